// The bench: scripts/bench [--quick] [section …]

import { installTarball } from "../tests/support/installed.js";
import { accept, measureBytes, measureCore, measureRequest, toolchain } from "./gate.js";
import { race } from "./race.js";
import { FULL, QUICK } from "./rounds.js";
import { figureTable, quietTable } from "./tables.js";

if (process.argv.includes("--accept")) {
  await accept(await toolchain(), { ...(await measureBytes()), ...(await measureCore()), ...(await measureRequest()) });
  process.exit();
}

const quick = process.argv.includes("--quick");
const installed = await installTarball();
try {
  const { figures, quiet } = await race(installed, process.argv.at(-1)!, quick ? QUICK : FULL);
  for (const [name, of] of Object.entries(figures)) console.log(`\n${name}\n${figureTable(of)}`);
  console.log(quietTable(quiet));
} finally {
  await installed.remove();
}
