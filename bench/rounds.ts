// Rounds: every contender in turn does a piece of work, again and again, so that what disturbs the machine disturbs all of
// them. A figure is a median of rounds; a ratio is a median of the ratios within each round.

import type { Command } from "./commands.js";
import { type Entry, FLOOR } from "./contenders.js";
import { type Player, timed } from "./players.js";

/** The length of the rounds, and their number. */
export interface Effort {
  readonly rounds: number;
  /** Of one contender in one round, in ms of CPU time. */
  readonly pieceMs: number;
  /** Before a contender's first rounds, in ms of CPU time; with each further shape a quarter of it. */
  readonly warmupMs: number;
  /** The number of fresh starts of each contender. */
  readonly lives: number;
}

/** For figures, and for a look. */
export const FULL: Effort = { rounds: 11, pieceMs: 60, warmupMs: 3000, lives: 5 };
export const QUICK: Effort = { rounds: 5, pieceMs: 20, warmupMs: 500, lives: 1 };

/** The middle of some values, and where most of them lie. */
export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

/** The result of a contender. */
export interface Figure {
  readonly entry: Entry;
  /** CPU time in microseconds, of each request or of a whole phase. */
  readonly cpu: Spread;
  /** The same of each round. */
  readonly rounds: readonly number[];
  /** CPU time as a multiple of the floor's, within the same round. */
  readonly ratio: Spread;
  /** Requests that the sink received for one, and bytes, where they are counted. */
  readonly requests?: number;
  readonly bytes?: number;
}

/** All contenders, in one runtime, with one shape, in one phase of their lives. */
export interface Measurement {
  readonly runtime: string;
  readonly shape: string;
  readonly phase: string;
  readonly figures: readonly Figure[];
}

/** Runs `command(times)` in rounds for all players. Ratios are to the floor; where it does not play, to the first player. */
export async function playRounds(
  players: readonly Player[],
  command: (times: number) => Command,
  effort: Effort,
): Promise<Figure[]> {
  const sides = [];
  for (const player of players) sides.push(await warmUp(player, command, effort));
  for (let round = 0; round < effort.rounds; round += 1) {
    // Each time another begins.
    for (let n = 0; n < sides.length; n += 1) {
      const { player, times, cpu } = sides[(n + round) % sides.length]!;
      const { cpuMs } = await timed(player.pid, () => player.ask(command(times)));
      cpu.push((cpuMs * 1000) / times);
    }
  }
  return figuresOf(sides.map(({ player: { entry }, cpu, requests, bytes }) => ({ entry, cpu, requests, bytes })));
}

/** The figures of rounds that all `sides` have played. Ratios are to the floor; where it does not play, to the first side. */
export function figuresOf(
  sides: readonly (Pick<Figure, "entry" | "requests" | "bytes"> & { cpu: number[] })[],
): Figure[] {
  const floor = (sides.find(({ entry }) => entry === FLOOR) ?? sides[0]!).cpu;
  return sides.map(({ cpu, ...side }) => ({ ...side, cpu: spread(cpu), rounds: cpu, ratio: spread(over(cpu, floor)) }));
}

/** Round by round. */
export function over(some: readonly number[], others: readonly number[]): number[] {
  return some.map((value, round) => value / others[round]!);
}

/** Until the compiler has seen enough; finds how many fit into a piece. */
async function warmUp(player: Player, command: (times: number) => Command, { warmupMs, pieceMs }: Effort) {
  let spent = 0;
  let times = 1;
  let fit = 1;
  let sent = { requests: 0, bytes: 0 };
  while (spent < warmupMs) {
    const { cpuMs, wallMs, result } = await timed(player.pid, () => player.ask(command(times)));
    // A busy machine warms up as long as a quiet machine; a contender that waits for timers would take too long.
    const ms = Math.max(cpuMs, wallMs / 5);
    spent += ms;
    fit = Math.max(1, Math.round((times * pieceMs) / ms));
    sent = { requests: (result.requests ?? 0) / times, bytes: (result.bytes ?? 0) / times };
    times = Math.min(times * 4, fit);
  }
  return { player, times: fit, cpu: [] as number[], ...sent };
}

/** The middle of `values`, and where four fifths of them lie. */
export function spread(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), p10: quantile(values, 0.1), p90: quantile(values, 0.9) };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? below;
  return below + (above - below) * (at - Math.floor(at));
}
