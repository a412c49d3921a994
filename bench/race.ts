// All shapes by all contenders in one runtime, in a steady state.

import type { Installed } from "../tests/support/installed.js";
import { CONTENDERS, type Entry, FLOOR, PEERS, QUIET, UNTRACED, UNTRACED_HANDLER } from "./contenders.js";
import { checkDelivered } from "./delivered.js";
import { type Player, withPlayers } from "./players.js";
import { type Effort, type Measurement, playRounds, type Spread, spread } from "./rounds.js";
import type { Runtime } from "./runtimes.js";
import { SHAPES, shapeOf } from "./shapes.js";

/** The cost of a request that is not recorded, beyond its cost without this package, in microseconds. */
export interface Quiet {
  readonly name: string;
  readonly beyond: Spread;
}

/** A peer that did not run, or did not deliver, and why. */
export interface Failure {
  readonly entry: Entry;
  readonly why: string;
}

/** The result of a race. */
export interface Race {
  readonly measurements: Measurement[];
  readonly quiet: Quiet[];
  readonly failures: Failure[];
}

/** Runs every contender. */
export async function race(installed: Installed, runtime: Runtime, effort: Effort): Promise<Race> {
  const start = (entry: Entry): Promise<Player> => runtime.start(installed, entry);
  const measurements: Measurement[] = [];
  const failures: Failure[] = [];
  const further = { ...effort, warmupMs: effort.warmupMs / 4 };
  await withPlayers(CONTENDERS, start, async (players) => {
    const takePart = async (player: Player, shape: string): Promise<boolean> => {
      if ((player.entry.only ?? shape) !== shape || failures.some(({ entry }) => entry === player.entry)) return false;
      try {
        await checkOnce(player, shape);
        return true;
      } catch (error) {
        if (!PEERS.includes(player.entry)) throw error;
        failures.push({ entry: player.entry, why: `${error}: ${(error as Error).cause ?? ""}` });
        return false;
      }
    };
    for (const shape of Object.keys(SHAPES)) {
      const playing: Player[] = [];
      for (const player of players) if (await takePart(player, shape)) playing.push(player);
      const isFirst = measurements.length === 0;
      const figures = await playRounds(playing, (run) => ({ run, shape }), isFirst ? effort : further);
      measurements.push({ runtime: runtime.name, shape, phase: "steady", figures });
    }
    const withHeaders = players.filter(
      ({ entry }) => entry.headers && !failures.some((failure) => failure.entry === entry),
    );
    const figures = await playRounds(withHeaders, (run) => ({ run, headers: true }), further);
    measurements.push({ runtime: runtime.name, shape: "headers", phase: "steady", figures });
  });
  return { measurements, quiet: await raceQuietly(start, effort), failures };
}

/** Fails unless the contender delivers one request whole. */
export async function checkOnce({ entry, ask }: Player, shape: string): Promise<void> {
  try {
    const { delivered, requests } = await ask({ show: shape });
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
