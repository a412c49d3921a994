// The memory of a contender's process, in Node: the most during a thousand requests, and the growth by a thousand more.

import type { Installed } from "../tests/support/installed.js";
import { residentBytes } from "../tests/support/processes.js";
import { programOf } from "./bundle.js";
import { COMPRESSED, CONTENDERS, type Entry, UNTRACED } from "./contenders.js";
import { type Player, startPlayer } from "./players.js";
import { type Effort, type Spread, spread } from "./rounds.js";

/** In bytes. */
export interface Memory {
  readonly entry: Entry;
  /** Resident, once it is loaded and has served one request. */
  readonly loaded: number | undefined;
  /** Resident at most, while it served a thousand requests more. */
  readonly peak: number | undefined;
  /** Growth of the heap and its buffers, after a collection, with each later thousand. */
  readonly kept: Spread;
}

const REQUESTS = 1000;
/** Before the heap is looked at first: until then the compiler adds to it. */
const WARM_UP = 4;

/** Measures all of them, one after the other. */
export async function measureMemory(installed: Installed, effort: Effort): Promise<Memory[]> {
  const rounds = Math.ceil(effort.rounds / 4);
  const all: Memory[] = [];
  for (const entry of [UNTRACED, ...CONTENDERS.filter((one) => one !== COMPRESSED)]) {
    const program = await programOf(installed, entry.file);
    const player = await startPlayer(entry, process.execPath, ["--expose-gc", ...program]);
    try {
      await run(player, 1);
      const loaded = await residentBytes(player.pid);
      await run(player, REQUESTS);
      const peak = await residentBytes(player.pid, "VmHWM");
      for (let n = 1; n < WARM_UP; n += 1) await run(player, REQUESTS);
      const kept: number[] = [];
      for (let before = await heapOf(player); kept.length < rounds; ) {
        await run(player, REQUESTS);
        const after = await heapOf(player);
        kept.push(after - before);
        before = after;
      }
      all.push({ entry, loaded, peak, kept: spread(kept) });
    } finally {
      await player.close();
    }
  }
  return all;
}

async function run(player: Player, requests: number): Promise<void> {
  await player.ask({ run: requests, shape: "edge" });
}

async function heapOf(player: Player): Promise<number> {
  return (await player.ask({ heap: "collected" })).heap!;
}
