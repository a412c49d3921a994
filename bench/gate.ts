// Instructions and sizes that must not grow unnoticed, against the baseline of a toolchain. With another toolchain the
// figures are shown and not judged, because its compiler makes different code.

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { measureSizes } from "../scripts/sizes.mjs";
import { installTarball } from "../tests/support/installed.js";
import { countAllocations } from "./allocations.js";
import { programOf } from "./bundle.js";
import { OURS } from "./contenders.js";
import { CORE_PARTS, countCore, countRequest } from "./instructions/count.js";

const BASELINE = join(import.meta.dirname, "baseline.json");

/** By name: instructions for one of what it names, or bytes. */
export type Measured = Record<string, number>;

/** The growth, as a share, that passes without a word: a change of a few lines can cause it. */
const TOLERANCES: readonly (readonly [prefix: string, share: number])[] = [
  // In another folder the compiler inlines other functions of it.
  ["bytes: opik-edge/llm, wasm", 0.03],
  ["bytes: ", 0.01],
  ["instructions: core", 0.02],
  ["instructions: request", 0.03],
  ["allocated: request", 0.02],
];

/** `true` if instructions can be counted here. */
export async function hasCallgrind(): Promise<boolean> {
  return promisify(execFile)("valgrind", ["--version"]).then(
    () => process.platform === "linux",
    () => false,
  );
}

/** The toolchain, as far as it changes a figure. */
export async function toolchain(): Promise<string> {
  const output = async (program: string, ...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(program, args).catch(() => ({ stdout: "none" }));
    return stdout.trim().split(" (")[0]!;
  };
  const [rustc, libc, valgrind] = await Promise.all([
    output("rustc", "-V"),
    output("getconf", "GNU_LIBC_VERSION"),
    output("valgrind", "--version"),
  ]);
  const wasm = (process.env["OPIK_EDGE_WASM_RUSTC"] ?? rustc).split(" (")[0]!;
  return `node ${process.version}, ${rustc}, ${wasm} for wasm32, ${libc}, ${valgrind}, ${process.platform} ${process.arch}`;
}

/** Sizes in bytes. */
export async function measureBytes(): Promise<Measured> {
  const sizes = await measureSizes();
  return Object.fromEntries(sizes.map(({ what, bytes }) => [`bytes: ${what}`, bytes]));
}

/** Instructions of the core, for each part; its driver is built. */
export async function measureCore(): Promise<Measured> {
  const parts = Object.keys(CORE_PARTS);
  const counts = await Promise.all(parts.map(countCore));
  return Object.fromEntries(parts.map((part, index) => [`instructions: core, ${part}`, counts[index]!]));
}

/** Instructions of the edge request. */
export async function measureRequest(): Promise<Measured> {
  return withProgram(async (program) => ({ "instructions: request": await countRequest(program) }));
}

/** Bytes that the edge request allocates, on the heap and in buffers. */
export async function measureAllocations(): Promise<Measured> {
  return withProgram(async (program) => ({ "allocated: request": await countAllocations(program) }));
}

async function withProgram(measure: (program: readonly string[]) => Promise<Measured>): Promise<Measured> {
  const installed = await installTarball();
  try {
    return await measure(await programOf(installed, OURS.file));
  } finally {
    await installed.remove();
  }
}

/** Measures everything. */
export async function measureAll(): Promise<Measured> {
  const parts = [measureBytes, measureCore, measureRequest, measureAllocations];
  let all: Measured = {};
  for (const measure of parts) all = { ...all, ...(await measure()) };
  return all;
}

/** The baseline of a toolchain; `undefined` where nobody has accepted one. */
export async function baselineOf(tools: string): Promise<Measured | undefined> {
  return (JSON.parse(await readFile(BASELINE, "utf8")) as Record<string, Measured>)[tools];
}

/** Makes the measured figures the baseline of this toolchain. */
export async function accept(tools: string, measured: Measured): Promise<void> {
  const all = JSON.parse(await readFile(BASELINE, "utf8").catch(() => "{}")) as Record<string, Measured>;
  await writeFile(BASELINE, `${JSON.stringify({ ...all, [tools]: measured }, undefined, 2)}\n`);
}

/** Compares a figure with its baseline, for people; `ok` if it has not grown beyond its tolerance. */
export function compare(name: string, value: number, baseline: number | undefined): { text: string; ok: boolean } {
  if (baseline === undefined) return { text: `${name}: ${value}`, ok: true };
  const tolerance = TOLERANCES.find(([prefix]) => name.startsWith(prefix))![1];
  const change = value / baseline - 1;
  const better = change < -tolerance ? "; scripts/bench --accept makes it the baseline" : "";
  return {
    text: `${name}: ${value}, ${change < 0 ? "" : "+"}${(change * 100).toFixed(2)} %${better}`,
    ok: change <= tolerance,
  };
}
