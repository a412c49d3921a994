// The figures that the package is meant to reach, and whether it does.

import { firstPhase, IMPORT } from "./cold.js";
import { BY_HAND, type Entry, OURS, WRAPPED } from "./contenders.js";
import type { Behind, Results } from "./model.js";
import type { Figure } from "./rounds.js";
import { short, table } from "./tables.js";

type Value = (figure: Figure) => number;
const times: Value = ({ ratio }) => ratio.median;
const micros: Value = ({ cpu }) => cpu.median;
const millis: Value = ({ cpu }) => cpu.median / 1000;

/** The highest ratio, in the runtimes whose name matches. */
interface Aim {
  readonly what: string;
  readonly in: RegExp;
  readonly shape: string;
  readonly phase: string;
  readonly entry: Entry;
  readonly value: Value;
  readonly most: number;
}

const steady = { shape: "edge", phase: "steady", value: times };
const AIMS: readonly Aim[] = [
  { ...steady, what: "the edge request by hand, × the floor", in: /Node|workerd/, entry: BY_HAND, most: 1.6 },
  { ...steady, what: "the edge request in callbacks, × the floor", in: /Node|workerd/, entry: OURS, most: 1.8 },
  { ...steady, what: "the edge request by hand, × the floor", in: /Deno|Bun/, entry: BY_HAND, most: 1.9 },
  { ...steady, what: "the edge request in callbacks, × the floor", in: /Deno|Bun/, entry: OURS, most: 1.9 },
  { ...steady, what: "`withOpik`, × the floor", in: /workerd/, entry: WRAPPED, most: 2.4 },
  { ...steady, what: "extract and inject, µs", in: /./, shape: "headers", entry: OURS, value: micros, most: 2 },
  ...(
    [
      [/Node/, 1.2],
      [/workerd/, 1.15],
      [/Bun/, 1.35],
      [/Deno/, 0.7],
    ] as const
  ).map(([runtime, most]) => ({
    ...steady,
    what: "5 MB, × the floor",
    in: runtime,
    shape: "5mb",
    entry: OURS,
    most,
  })),
  { ...steady, what: "import, CPU ms", in: /Node/, phase: IMPORT, entry: OURS, value: millis, most: 9 },
  {
    ...steady,
    what: "first request, CPU ms",
    in: /Node/,
    phase: firstPhase(1, false),
    entry: OURS,
    value: millis,
    most: 11,
  },
];

/** In KB, of what `scripts/size` measures. */
const WORKER = "bytes: Worker upload (minified JS + wasm), gzip";
const WORKER_KB = 38;

/** As a table: the figures, and the comparisons with peers. */
export function aims({ runtimes, bytes }: Results, behind: readonly Behind[]): string {
  const rows: string[][] = [];
  const add = (what: string, aim: string, value: string, ok: boolean): void => {
    rows.push([what, aim, value, ok ? "yes" : "**no**"]);
  };
  const most = (what: string, limit: number, value: number): void =>
    add(what, `≤ ${limit}`, short(value, 2), value <= limit);

  for (const aim of AIMS) {
    for (const { name, measurements, cold } of runtimes.filter((runtime) => aim.in.test(runtime.name))) {
      const found = [...measurements, ...cold]
        .find(({ shape, phase }) => shape === aim.shape && phase === aim.phase)
        ?.figures.find(({ entry }) => entry === aim.entry);
      if (found) most(`${name}: ${aim.what}`, aim.most, aim.value(found));
    }
  }
  for (const { name, models } of runtimes) {
    most(`${name}: a model's stream, × a TextDecoder and JSON.parse`, 1, models.ratio.median);
  }
  for (const { name, quiet } of runtimes) {
    for (const { name: what, beyond } of quiet) most(`${name}: ${what}, µs`, 1, beyond.median);
  }
  for (const { name } of runtimes) {
    const ahead = (what: string, of: (one: Behind) => boolean): void => {
      const found = behind.filter((one) => one.measurement.runtime === name && of(one));
      const peers = [...new Set(found.map(({ peer }) => peer.name))];
      add(
        `${name}: ${what}`,
        "ahead of all",
        peers.length === 0 ? "" : `not of ${peers.join("; ")}`,
        peers.length === 0,
      );
    };
    const phases = [100, 1000].flatMap((requests) => [firstPhase(requests, false), firstPhase(requests, true)]);
    const edge = ({ measurement: { shape } }: Behind): boolean => shape === "edge";
    ahead("the edge request, steady", (one) => edge(one) && one.measurement.phase === "steady");
    ahead("its first 100 and 1,000", (one) => edge(one) && phases.includes(one.measurement.phase));
    // The official SDK hands `fetch` a text: where it is ahead it is named above.
    ahead(
      "5 MB, except the official SDK",
      ({ measurement: { shape }, peer }) => shape === "5mb" && peer.file !== "opik",
    );
  }
  const worker = bytes[WORKER];
  if (worker !== undefined) most("a Worker's share, gzip, KB", WORKER_KB, worker / 1024);
  return table(["", "aim", "measured", "reached"], rows);
}
