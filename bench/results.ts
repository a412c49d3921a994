// The measurements, as bench/RESULTS.md and as charts.

import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { aims } from "./aims.js";
import { chart } from "./chart.js";
import { FIRST, firstPhase, IMPORT } from "./cold.js";
import {
  BY_HAND,
  CONTENDERS,
  type Entry,
  MODEL_DECODED,
  MODEL_PASSED,
  MODEL_READ,
  OURS,
  PEERS,
  WRAPPED,
} from "./contenders.js";
import type { Behind, Results } from "./model.js";
import { type Measurement, over, spread } from "./rounds.js";
import type { Point } from "./scaling.js";
import type { SHAPES } from "./shapes.js";
import { short, shown, table } from "./tables.js";

const BENCH = import.meta.dirname;
const MB = 1024 * 1024;

/** The shapes, with their names and contents. */
const TITLES: Readonly<Record<keyof typeof SHAPES | "headers", readonly [title: string, content: string]>> = {
  edge: ["The edge request", "a joined trace, a root and three children, 7 KB of payload, two header maps, one flush"],
  stream: ["A streamed answer", "the edge request, whose model answers in 150 pieces; its span ends with the last"],
  many: ["50 spans", "in one trace, with next to nothing in them, and their flush"],
  "5mb": ["5 MB", "of payload in 20 spans"],
  headers: ["Headers", "the caller's in, a new span's out; nothing is recorded"],
};

/** Writes RESULTS.md and the charts. */
export async function writeResults(results: Results): Promise<void> {
  await writeFile(join(BENCH, "RESULTS.md"), markdown(results));
  await rm(join(BENCH, "charts"), { recursive: true, force: true });
  await mkdir(join(BENCH, "charts"));
  for (const [shape, [title, content]] of Object.entries(TITLES)) {
    const series = results.runtimes
      .filter(({ name }) => name === "Node 24" || name === "workerd")
      .map(({ name, measurements }) => ({ name, figures: figuresIn(measurements, shape, "steady") }));
    await writeFile(join(BENCH, `charts/${shape}.svg`), chart(title, content, series));
  }
}

/** All tables. */
export function markdown(results: Results): string {
  const { runtimes, sizes, memory, scaling } = results;
  const columns = runtimes.map(({ name }) => name);
  const behind = runtimes.flatMap(({ measurements, cold }) => [...measurements, ...cold]).flatMap(behindIn);
  const parts = [
    "# Results",
    "Written by `scripts/bench`; [README.md](README.md) describes the measurements. A figure is a median, with the range of " +
      "four fifths of the rounds in brackets. Times are CPU time of the process, all its threads. They belong to the machine, and to whatever " +
      "else it did: **only ratios are to be compared**, and those within one column.",
    "## Where this package is not ahead",
    behind.length === 0
      ? "Nowhere: no peer takes less in any of the measurements below."
      : "The cost of this package, as a multiple of a peer's, in each measurement in which one of its interfaces takes more; the worst first.",
    ...(behind.length === 0 ? [] : [behindTable(behind)]),
    ...failures(results),
    "## Aims",
    aims(results, behind),
    "## Machine and versions",
    machine(results),
  ];
  for (const [shape, [title, content]] of Object.entries(TITLES)) {
    parts.push(
      `## ${title}`,
      `${content.charAt(0).toUpperCase()}${content.slice(1)}.`,
      `![${title}](charts/${shape}.svg)`,
      figureTable(results, shape, "steady"),
    );
  }
  parts.push(
    "## A model's streamed answer",
    "Of OpenAI's chat API, 75 KB in events of one word, four to a chunk, in microseconds for each KB: the whole call without recording, " +
      "and the cost added by recording it, with `opik-edge/llm` and with code written by hand.",
    table(
      ["", ...columns],
      [
        [MODEL_PASSED.name, ...runtimes.map(({ models }) => shown(models.passed))],
        [MODEL_READ.name, ...runtimes.map(({ models }) => shown(models.read))],
        [MODEL_DECODED.name, ...runtimes.map(({ models }) => shown(models.decoded))],
        ["ratio", ...runtimes.map(({ models }) => shown(models.ratio, 2))],
      ],
    ),
    "## A request that is not recorded",
    "Microseconds more than the same request without this package.",
    table(
      ["", ...columns],
      runtimes[0]!.quiet.map(({ name }, index) => [name, ...runtimes.map(({ quiet }) => shown(quiet[index]!.beyond))]),
    ),
    "## The first requests",
    "Of the edge request, in a fresh process, in workerd in a fresh isolate: all of them together. Peers are imported as one file each, which " +
      "is quicker than their packages. An import's figure excludes the import without a tracer, which in workerd makes an isolate.",
  );
  for (const phase of [IMPORT, ...[false, true].flatMap((imported) => FIRST.map((n) => firstPhase(n, imported)))]) {
    parts.push(`### ${phase.charAt(0).toUpperCase()}${phase.slice(1)}`, figureTable(results, "edge", phase));
  }
  parts.push(
    "## Size in a Worker",
    "Bundled and minified by esbuild with the same settings, the module beside it counted as well.",
    table(
      ["", "KB", "gzip, KB", "flag"],
      sizes.map(({ entry, minified, gzip }) => [
        entry.name,
        short(minified / 1024),
        short(gzip / 1024),
        entry.flags?.join(", ") ?? "nodejs_als",
      ]),
    ),
    "## Memory",
    "Of a process of Node 24 that serves edge requests one after the other: resident once it is loaded, resident at most during the next " +
      "1000 requests, and how much the heap grows with 1000 more, after a collection: a leak would be a figure that is there every time.",
    table(
      ["", "loaded, MB", "at most, MB", "kept of 1000, KB"],
      memory.map(({ entry, loaded, peak, kept }) => [
        entry.name,
        loaded === undefined ? "" : short(loaded / MB),
        peak === undefined ? "" : short(peak / MB),
        shown({ median: kept.median / 1024, p10: kept.p10 / 1024, p90: kept.p90 / 1024 }),
      ]),
    ),
    "## How cost grows",
    "In workerd, in microseconds. Of a span, by the spans of its trace; of a request, by how many are under way at the same time; of a " +
      `request, by the bytes of its payload. **One more byte costs ${short(scaling.slope)} times what it costs in \`JSON.stringify\`.**`,
    pointTable("spans in the trace", scaling.spans),
    pointTable("requests at the same time", scaling.concurrent, WRAPPED.name),
    pointTable("bytes", scaling.bytes),
    "## The gate",
    `Instructions, allocations and sizes that \`scripts/check bench\` holds, with ${results.toolchain}.`,
    results.baseline
      ? table(
          ["", ""],
          Object.entries(results.baseline).map(([name, value]) => [name, value.toLocaleString("en")]),
        )
      : "There is no baseline for this toolchain.",
  );
  return `${parts.join("\n\n")}\n`;
}

/** In the order of the columns. */
const OWN = [OURS, BY_HAND];

/** The peers that take no more than this package does in one of its ways. */
function behindIn(measurement: Measurement): Behind[] {
  const { figures } = measurement;
  return figures
    .filter(({ entry }) => PEERS.includes(entry))
    .map((peer) => {
      const own = figures.filter(({ entry }) => OWN.includes(entry));
      const times = own.map(({ entry, rounds }) => [entry, spread(over(rounds, peer.rounds))] as const);
      return { measurement, peer: peer.entry, times: new Map(times) };
    })
    .filter((one) => worst(one) >= 1);
}

function worst({ times }: Behind): number {
  return Math.max(...[...times.values()].map(({ median }) => median));
}

function behindTable(behind: readonly Behind[]): string {
  const rows = behind
    .toSorted((a, b) => worst(b) - worst(a))
    .map(({ measurement: { runtime, shape, phase }, peer, times }) => [
      runtime,
      `${TITLES[shape]![0]}, ${phase}`,
      peer.name,
      ...OWN.map((entry) => {
        const one = times.get(entry);
        return one ? `${shown(one, 2)}${one.median < 1 ? " ahead" : ""}` : "";
      }),
    ]);
  return table(["", "", "beside", ...OWN.map(({ name }) => name)], rows);
}

function failures({ runtimes }: Results): string[] {
  const rows = runtimes.flatMap(({ name, failures: own }) => own.map(({ entry, why }) => [entry.name, name, why]));
  return rows.length === 0 ? [] : ["Not measured:", table(["", "in", "since"], rows)];
}

/** Versions, and what kind of machine it was. */
function machine({ runtimes }: Results): string {
  const versions = [OURS, ...PEERS]
    .filter((entry) => entry.package)
    .map((entry) => `${entry.package} ${versionOf(entry)}`);
  const [cpu] = cpus();
  return [
    `- ${cpu?.model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}`,
    `- ${runtimes.map(({ name, version }) => `${name.split(" ", 1)[0]} ${version}`).join(", ")}`,
    `- ${versions.join(", ")}`,
  ].join("\n");
}

function versionOf({ package: name, folder = "." }: Entry): string {
  const file = name === OURS.package ? "../package.json" : `${folder}/node_modules/${name}/package.json`;
  return JSON.parse(readFileSync(join(BENCH, file), "utf8")).version;
}

function figuresIn(measurements: readonly Measurement[], shape: string, phase: string) {
  return measurements.find((one) => one.shape === shape && one.phase === phase)?.figures ?? [];
}

/** A row for each contender, a column for each runtime. */
function figureTable({ runtimes }: Results, shape: string, phase: string): string {
  const all = runtimes.map(({ measurements, cold }) => figuresIn([...measurements, ...cold], shape, phase));
  const cold = phase !== "steady";
  const rows = CONTENDERS.flatMap((entry) => {
    const own = all.map((figures) => figures.find((figure) => figure.entry === entry));
    const some = own.find((figure) => figure);
    if (!some) return [];
    const cells = own.map((figure) => {
      if (!figure) return "";
      const { median } = figure.cpu;
      const time = cold ? `${short(median / 1000)} ms` : `${short(median)} µs`;
      return phase === IMPORT ? time : `${shown(figure.ratio, 2)} × · ${time}`;
    });
    const sent = some.requests
      ? [`${Math.round(some.requests)}`, Math.round(some.bytes!).toLocaleString("en")]
      : ["", ""];
    return [[entry.name, ...cells, ...(cold ? [] : sent)]];
  });
  const what = phase === IMPORT ? "" : ": × the floor";
  return table(["", ...runtimes.map(({ name }) => `${name}${what}`), ...(cold ? [] : ["uploads", "bytes"])], rows);
}

function pointTable(what: string, points: readonly Point[], who = OURS.name): string {
  return table(
    [what, ...points.map(({ at }) => at.toLocaleString("en"))],
    [
      [who, ...points.map(({ ours }) => shown(ours))],
      ["the floor", ...points.map(({ floor }) => shown(floor))],
      ["ratio", ...points.map(({ ours, floor }) => short(ours.median / floor.median, 2))],
    ],
  );
}
