// Growth of the cost: of a span with the spans of its trace, of a request with concurrent requests, of a payload with
// its bytes.

import type { Installed } from "../tests/support/installed.js";
import type { Command } from "./commands.js";
import { type Entry, FLOOR, OURS, WRAPPED } from "./contenders.js";
import { type Player, withPlayers } from "./players.js";
import { type Effort, playRounds, type Spread } from "./rounds.js";
import { startWorkerPlayer } from "./workerd.js";

/** One point of a curve: ours, and the floor's, in microseconds for each. */
export interface Point {
  readonly at: number;
  readonly ours: Spread;
  readonly floor: Spread;
}

/** The cost of growth. */
export interface Scaling {
  /** Of one span, by the spans of its trace. */
  readonly spans: Point[];
  /** Of one request, by how many are served at the same time. */
  readonly concurrent: Point[];
  /** Of one request, by the bytes of its payload. */
  readonly bytes: Point[];
  /** The cost of a further byte, relative to a further byte in JSON.stringify, which is the floor's only work. */
  readonly slope: number;
}

const SPANS = [1, 10, 100, 1000, 10_000];
const CONCURRENT = [1, 10, 100, 1000];
const BYTES = [1, 4, 16, 64, 256].map((kilobytes) => kilobytes * 1024);

/** Measures everything in workerd, in fewer rounds: a curve has many points. */
export async function measureScaling(installed: Installed, { rounds, warmupMs, ...rest }: Effort): Promise<Scaling> {
  const effort = { ...rest, rounds: Math.ceil(rounds / 3), warmupMs: warmupMs / 3 };
  const play = (ours: Entry, points: readonly number[], command: (at: number) => (times: number) => Command) =>
    withPlayers(
      [FLOOR, ours],
      (entry) => startWorkerPlayer(installed, entry),
      async (players) => {
        const curve: Point[] = [];
        for (const at of points) curve.push(await point(players, at, command(at), effort));
        return curve;
      },
    );
  const bytes = await play(OURS, BYTES, (at) => (run) => ({ run, shape: `large:${at}` }));
  return {
    spans: (await play(OURS, SPANS, (at) => (run) => ({ run, shape: `many:${at}` }))).map(ofEach),
    // Wrapped, so that each is an invocation with a separate flush; a shared client would send their spans together.
    concurrent: (
      await play(WRAPPED, CONCURRENT, (at) => (run) => ({ run: run * at, shape: "edge", concurrent: at }))
    ).map(ofEach),
    bytes,
    slope: slopeOf(bytes, "ours") / slopeOf(bytes, "floor"),
  };
}

async function point(
  players: readonly Player[],
  at: number,
  command: (times: number) => Command,
  effort: Effort,
): Promise<Point> {
  const [floor, ours] = await playRounds(players, command, effort);
  return { at, ours: ours!.cpu, floor: floor!.cpu };
}

/** The same for each of what there are `at` of. */
function ofEach({ at, ours, floor }: Point): Point {
  const each = ({ median, p10, p90 }: Spread): Spread => ({ median: median / at, p10: p10 / at, p90: p90 / at });
  return { at, ours: each(ours), floor: each(floor) };
}

/** Of the straight line with the least squares. */
function slopeOf(points: readonly Point[], of: "ours" | "floor"): number {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map(({ at }) => at));
  const y = mean(points.map((one) => one[of].median));
  const over = points.reduce((sum, one) => sum + (one.at - x) * (one[of].median - y), 0);
  return over / points.reduce((sum, { at }) => sum + (at - x) ** 2, 0);
}
