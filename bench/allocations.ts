// Bytes that a request allocates, by the growth of a heap without collections meanwhile. They repeat on a busy machine:
// the compiler takes the same steps every time, and its optimisations are a part of the figure.

import { OURS } from "./contenders.js";
import { startPlayer } from "./players.js";

/** Requests until everything is compiled, and the counted requests: they have to fit into the young generation. */
const WARM_UP = 5000;
const COUNTED = 1000;

const NODE_FLAGS = [
  ..."--predictable --single-threaded --hash-seed=1 --random-seed=1".split(" "),
  // In MB. The counted requests take about 40 of it.
  ..."--min-semi-space-size=512 --max-semi-space-size=512 --expose-gc".split(" "),
];

/** Bytes of one edge request in Node, on the heap and beside it, by a program as `programOf` gives it. */
export async function countAllocations(program: readonly string[]): Promise<number> {
  const player = await startPlayer(OURS, process.execPath, [...NODE_FLAGS, ...program]);
  try {
    await player.ask({ run: WARM_UP, shape: "edge" });
    const { heap: before } = await player.ask({ heap: "collected" });
    await player.ask({ run: COUNTED, shape: "edge" });
    const { heap: after } = await player.ask({ heap: "as it is" });
    return Math.round((after! - before!) / COUNTED);
  } finally {
    await player.close();
  }
}
