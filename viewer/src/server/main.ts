// The collector as a program: node --import tsx viewer/src/server/main.ts [--port 5173] [--store FILE]

import { parseArgs } from "node:util";
import { startCollector } from "./server.js";

const { values } = parseArgs({ options: { port: { type: "string", default: "5173" }, store: { type: "string" } } });
const collector = await startCollector({
  port: Number(values.port),
  ...(values.store !== undefined && { store: values.store }),
});
console.log(`OPIK_URL_OVERRIDE=${collector.url}`);
console.log(`trees: ${collector.url}/trees`);
