// What was measured, as bench/RESULTS.md and as charts.

import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import type { BundleSize } from "./bundle-sizes.js";
import { chart } from "./chart.js";
import { CONTENDERS, FLOOR, OURS, WRAPPED } from "./contenders.js";
import type { Measured } from "./gate.js";
import type { Memory } from "./memory.js";
import type { Race } from "./race.js";
import { type Figure, spread } from "./rounds.js";
import type { Point, Scaling } from "./scaling.js";
import type { SHAPES } from "./shapes.js";
import type { Imported, Start } from "./startup.js";
import { short, shown, table } from "./tables.js";

const BENCH = import.meta.dirname;
const MB = 1024 * 1024;

/** Everything. */
export interface Results {
  readonly races: readonly Race[];
  readonly startup: readonly Start[];
  readonly imports: readonly Imported[];
  readonly sizes: readonly BundleSize[];
  readonly memory: readonly Memory[];
  readonly scaling: Scaling;
  /** Of the package, by what `scripts/size` calls them. */
  readonly bytes: Measured;
  readonly toolchain: string;
  readonly baseline: Measured | undefined;
}

/** The shapes as they are called, and what is in them. */
const TITLES: Readonly<Record<keyof typeof SHAPES | "headers", readonly [title: string, content: string]>> = {
  edge: ["The edge request", "a joined trace, a root and three children, 7 KB of payload, two header maps, one flush"],
  single: ["One span", "with next to nothing in it, and its flush"],
  many: ["1000 spans", "in one trace, with next to nothing in them, and their flush"],
  "100kb": ["100 KB", "of payload in one span"],
  "5mb": ["5 MB", "of payload in 20 spans"],
  headers: ["Headers", "the caller's in, a new span's out; nothing is recorded"],
};

/** Writes RESULTS.md and the charts. */
export async function writeResults(results: Results): Promise<void> {
  await writeFile(join(BENCH, "RESULTS.md"), markdown(results));
  await mkdir(join(BENCH, "charts"), { recursive: true });
  for (const [shape, [title, content]] of Object.entries(TITLES)) {
    const series = results.races
      .filter(({ runtime }) => runtime === "Node" || runtime === "workerd")
      .map(({ runtime, figures }) => ({ name: runtime, figures: figures[shape] ?? [] }));
    await writeFile(join(BENCH, `charts/${shape}.svg`), chart(title, content, series));
  }
}

/** All tables. */
export function markdown(results: Results): string {
  const { races, startup, imports, sizes, memory, scaling } = results;
  const parts = [
    "# Results",
    "Written by `scripts/bench`; [README.md](README.md) says what is measured and how. A figure is a median; in brackets is where " +
      "four fifths of the rounds lie. Times are CPU time of the process, all its threads. They belong to the machine, and to whatever " +
      "else it did: **only ratios are to be compared**, and those within one column.",
    machine(results),
    "## What is aimed at",
    aims(results),
  ];
  for (const [shape, [title, content]] of Object.entries(TITLES)) {
    parts.push(
      `## ${title}`,
      `${content.charAt(0).toUpperCase()}${content.slice(1)}.`,
      `![${title}](charts/${shape}.svg)`,
      shapeTable(races, shape),
    );
  }
  parts.push(
    "## A request that is not recorded",
    "Microseconds more than the same request without this package.",
    table(
      ["", ...races.map(({ runtime }) => runtime)],
      races[0]!.quiet.map(({ name }, index) => [name, ...races.map(({ quiet }) => shown(quiet[index]!.beyond))]),
    ),
    "## Start-up",
    "Milliseconds from a request for a new isolate of workerd to its first response, in which an edge request is traced and " +
      "delivered, more than the same Worker without a tracer; and what importing it takes in a new process of Node.",
    table(
      ["", "workerd, ms", "workerd, CPU ms", "flag", "import in Node, ms"],
      startup.map(({ entry, beyond, cpuBeyond }) => [
        entry.name,
        typeof beyond === "string" ? `does not start: ${beyond}` : shown(beyond),
        cpuBeyond ? shown(cpuBeyond) : "",
        entry.flags?.join(", ") ?? "nodejs_als",
        importOf(imports, entry === WRAPPED ? OURS.file : entry.file),
      ]),
    ),
    "## What it adds to a Worker",
    "Bundled and minified by esbuild with the same settings, the module beside it counted as well.",
    table(
      ["", "KB", "gzip, KB"],
      sizes.map(({ entry, minified, gzip }) => [entry.name, short(minified / 1024), short(gzip / 1024)]),
    ),
    "## Memory",
    "Of a process of Node that serves edge requests one after the other: resident once it is loaded, resident at most during the next " +
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
    `Instructions and sizes that \`scripts/check bench\` holds, with ${results.toolchain}.`,
    results.baseline
      ? table(
          ["", ""],
          Object.entries(results.baseline).map(([name, value]) => [name, value.toLocaleString("en")]),
        )
      : "There is no baseline for this toolchain.",
  );
  return `${parts.join("\n\n")}\n`;
}

/** Versions, and what kind of machine it was. */
function machine({ races }: Results): string {
  const versions = CONTENDERS.filter(({ package: name }) => name).map(
    ({ package: name }) => `${name} ${versionOf(name!)}`,
  );
  const [cpu] = cpus();
  return [
    `- ${cpu?.model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}`,
    `- ${races.map(({ runtime }) => `${runtime} ${runtimeVersion(runtime)}`).join(", ")}`,
    `- ${versions.join(", ")}`,
  ].join("\n");
}

function versionOf(name: string): string {
  const file = name === OURS.package ? "../package.json" : `node_modules/${name}/package.json`;
  return JSON.parse(readFileSync(join(BENCH, file), "utf8")).version;
}

function runtimeVersion(runtime: string): string {
  if (runtime === "Node") return process.version.slice(1);
  const file = join(BENCH, "../node_modules", runtime.toLowerCase(), "package.json");
  return JSON.parse(readFileSync(file, "utf8")).version;
}

function shapeTable(races: readonly Race[], shape: string): string {
  const rows = CONTENDERS.flatMap((entry) => {
    const own = races.map(({ figures }) => figures[shape]?.find((figure) => figure.entry === entry));
    if (own.every((figure) => figure === undefined)) return [];
    const sent = own.find((figure) => figure)!;
    return [
      [
        entry.name,
        ...own.map((figure) => (figure ? `${shown(figure.ratio, 2)} × · ${short(figure.cpu.median)} µs` : "")),
        sent.requests > 0 ? `${Math.round(sent.requests)}` : "",
        sent.requests > 0 ? Math.round(sent.bytes).toLocaleString("en") : "",
      ],
    ];
  });
  return table(["", ...races.map(({ runtime }) => `${runtime}: × the floor`), "uploads", "bytes"], rows);
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

function importOf(imports: readonly Imported[], file: string): string {
  const found = imports.find(({ entry }) => entry.file === file);
  return found ? shown(found.ms) : "";
}

/** The figures that the package is meant to reach, and whether it does. */
function aims({ races, startup, bytes }: Results): string {
  const rows: string[][] = [];
  const add = (what: string, aim: string, value: number | undefined, ok: boolean): void => {
    if (value !== undefined && !Number.isNaN(value)) rows.push([what, aim, short(value, 2), ok ? "yes" : "**no**"]);
  };
  for (const { runtime, figures, quiet } of races) {
    if (runtime !== "Node" && runtime !== "workerd") continue;
    const of = (shape: string, file: string): Figure | undefined =>
      figures[shape]?.find(({ entry }) => entry.file === file);
    const times = (file: string): number => ratioOf(of("edge", file), of("edge", OURS.file));
    const floor = ratioOf(of("edge", OURS.file), of("edge", FLOOR.file));
    add(`${runtime}: the edge request, × the floor`, "≤ 1.3", floor, floor <= 1.3);
    add(`${runtime}: OpenTelemetry JS, × opik-edge`, "≥ 2", times("opentelemetry"), times("opentelemetry") >= 2);
    add(`${runtime}: the official SDK, × opik-edge`, "≥ 8", times("opik"), times("opik") >= 8);
    const headers = of("headers", OURS.file)?.cpu.median ?? Number.NaN;
    add(`${runtime}: extract and inject, µs`, "≤ 2", headers, headers <= 2);
    for (const { name, beyond } of quiet) add(`${runtime}: ${name}, µs`, "≤ 1", beyond.median, beyond.median <= 1);
  }
  const ours = startup.find(({ entry }) => entry === WRAPPED)?.beyond;
  if (typeof ours === "object") add("workerd: start-up, ms", "≤ 3", ours.median, ours.median <= 3);
  for (const [what, most] of [["wasm, gzip", 12] as const, ["Worker upload (minified JS + wasm), gzip", 18] as const]) {
    const kilobytes = (bytes[`bytes: ${what}`] ?? Number.NaN) / 1024;
    add(`${what}, KB`, `≤ ${most}`, kilobytes, kilobytes <= most);
  }
  return table(["", "aim", "measured", "reached"], rows);
}

/** Of two medians of rounds that were interleaved: the median of their ratios. */
function ratioOf(one: Figure | undefined, other: Figure | undefined): number {
  if (!one || !other) return Number.NaN;
  return spread(one.rounds.map((value, round) => value / other.rounds[round]!)).median;
}
