// A process with a listener whose error is not caught. It sends itself a request; the test compares how it ends.

import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { withOpik } from "opik-edge/node";
import { InMemoryExporter } from "opik-edge/testing";
import { CRASHES } from "./frameworks-crashes.js";
import type { Side } from "./sides.js";

/** Input of the program, its last argument. */
export interface CrashConfig {
  readonly side: Side;
  readonly crash: string;
}

const { side, crash } = JSON.parse(process.argv.at(-1)!) as CrashConfig;
const listener = CRASHES[crash]!;
const server = createServer(side === "plain" ? listener : withOpik(listener, { transport: new InMemoryExporter() }));
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  const asked = request({ port, host: "127.0.0.1", method: "POST", agent: false }, (response) => {
    response.resume().on("end", () => console.log("answered", response.statusCode));
    response.on("close", () => server.close());
  });
  asked.on("error", () => server.close());
  asked.end("a body");
});
