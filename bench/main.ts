// The bench: scripts/bench [--quick]

import { installTarball } from "../tests/support/installed.js";
import { bundleProgram } from "./bundle.js";
import { CONTENDERS } from "./contenders.js";
import { checkDelivered } from "./delivered.js";
import { type Player, startPlayer } from "./players.js";
import { FULL, playRounds, QUICK } from "./rounds.js";
import { shapeOf } from "./shapes.js";
import { figureTable } from "./tables.js";

const effort = process.argv.includes("--quick") ? QUICK : FULL;
const installed = await installTarball();
const players: Player[] = [];
for (const entry of CONTENDERS) {
  players.push(startPlayer(entry, process.execPath, [await bundleProgram(installed, entry.file)]));
}
for (const { entry, ask } of players) {
  const { delivered } = await ask({ show: "edge" });
  checkDelivered(delivered ?? [], shapeOf("edge"), entry.caller);
}
console.log(figureTable(await playRounds(players, (run) => ({ run, shape: "edge" }), effort)));
for (const player of players) await player.close();
await installed.remove();
