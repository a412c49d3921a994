// All shapes by all contenders in one runtime.

import type { Installed } from "../tests/support/installed.js";
import { PROGRAMS } from "../tests/support/programs.js";
import { bundleProgram } from "./bundle.js";
import { CONTENDERS, type Entry, FLOOR, PLAIN, QUIET, UNTRACED, UNTRACED_HANDLER } from "./contenders.js";
import { checkDelivered } from "./delivered.js";
import { type Player, startPlayer } from "./players.js";
import { type Effort, type Figure, playRounds, type Spread, spread } from "./rounds.js";
import { SHAPES, shapeOf } from "./shapes.js";
import { startWorkerPlayer } from "./workerd.js";

/** What a request costs that is not recorded, beyond what it costs without this package, in microseconds. */
export interface Quiet {
  readonly name: string;
  readonly beyond: Spread;
}

/** What a race came to. */
export interface Race {
  readonly runtime: string;
  /** By shape. */
  readonly figures: Record<string, Figure[]>;
  readonly quiet: Quiet[];
}

/** Runs all of it. */
export async function race(installed: Installed, runtime: string, effort: Effort): Promise<Race> {
  const start = (entry: Entry): Promise<Player> => startIn(runtime, installed, entry);
  const figures: Record<string, Figure[]> = {};
  const entries = CONTENDERS.filter((entry) => runtime !== "workerd" || entry !== PLAIN);
  await withPlayers(entries, start, async (players) => {
    for (const shape of Object.keys(SHAPES)) {
      const playing = players.filter(({ entry: { only } }) => only?.includes(shape) ?? true);
      for (const player of playing) await checkOnce(player, shape);
      figures[shape] = await playRounds(playing, (run) => ({ run, shape }), effort);
    }
    const withHeaders = players.filter(({ entry }) => entry.headers);
    figures["headers"] = await playRounds(withHeaders, (run) => ({ run, headers: true }), effort);
  });
  return { runtime, figures, quiet: await raceQuietly(start, effort) };
}

/** Starts a contender in `workerd`, or in a runtime that runs programs. */
export async function startIn(runtime: string, installed: Installed, entry: Entry): Promise<Player> {
  if (runtime === "workerd") return startWorkerPlayer(installed, entry);
  const program = runtime === "Node" ? process.execPath : PROGRAMS[runtime]![0];
  // The peers read variables, and more.
  const args = runtime === "Deno" ? ["run", "--allow-all", "--no-prompt"] : [];
  return startPlayer(entry, program, [...args, await bundleProgram(installed, entry.file)]);
}

/** Fails unless the contender delivers one request whole. */
export async function checkOnce({ entry, ask }: Player, shape: string): Promise<void> {
  const { delivered, requests } = await ask({ show: shape });
  try {
    if (entry.caller) checkDelivered(delivered ?? [], shapeOf(shape), entry.caller);
    else if (requests !== 0) throw new Error("it was to send nothing");
  } catch (error) {
    throw new Error(`${entry.name} does not deliver "${shape}"`, { cause: error });
  }
}

async function raceQuietly(start: (entry: Entry) => Promise<Player>, effort: Effort): Promise<Quiet[]> {
  const entries = [FLOOR, UNTRACED, UNTRACED_HANDLER, ...QUIET.map(({ entry }) => entry)];
  return withPlayers(entries, start, async (players) => {
    for (const player of players) await checkOnce(player, "edge");
    const figures = await playRounds(players, (run) => ({ run, shape: "edge" }), effort);
    const roundsOf = (of: Entry): readonly number[] => figures.find(({ entry }) => entry === of)!.rounds;
    return QUIET.map(({ entry, beyond }) => {
      const without = roundsOf(beyond);
      return { name: entry.name, beyond: spread(roundsOf(entry).map((micros, round) => micros - without[round]!)) };
    });
  });
}

/** Runs `play` with all of them started; they are ended whatever happens. */
export async function withPlayers<T>(
  entries: readonly Entry[],
  start: (entry: Entry) => Promise<Player>,
  play: (players: Player[]) => Promise<T>,
): Promise<T> {
  const players: Player[] = [];
  try {
    for (const entry of entries) players.push(await start(entry));
    return await play(players);
  } finally {
    for (const player of players) await player.close();
  }
}
