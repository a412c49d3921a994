// The bench: scripts/bench [--quick | --accept | --profile [contender] [shape] [requests]]

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Installed, installTarball } from "../tests/support/installed.js";
import { bundleSizes } from "./bundle-sizes.js";
import { OURS } from "./contenders.js";
import { accept, baselineOf, measureBytes, measureCore, measureRequest, toolchain } from "./gate.js";
import { measureMemory } from "./memory.js";
import { profile } from "./profile.js";
import { race } from "./race.js";
import { markdown, type Results, writeResults } from "./results.js";
import { type Effort, FULL, QUICK } from "./rounds.js";
import { measureScaling } from "./scaling.js";
import { importAll, startUp } from "./startup.js";

const RUNTIMES = ["Node", "workerd", "Deno", "Bun"];

if (process.argv.includes("--accept")) {
  await accept(await toolchain(), { ...(await measureBytes()), ...(await measureCore()), ...(await measureRequest()) });
} else if (process.argv.includes("--profile")) {
  const [file = OURS.file, shape = "edge", requests = "20000"] = process.argv.slice(
    process.argv.indexOf("--profile") + 1,
  );
  const installed = await installTarball();
  try {
    console.log(await profile(installed, { file, name: file }, shape, Number(requests)));
  } finally {
    await installed.remove();
  }
} else {
  const effort = process.argv.includes("--quick") ? QUICK : FULL;
  const installed = await installTarball();
  try {
    const results = await measure(installed, effort);
    // Beside the page, for whoever wants to calculate.
    const folder = join(import.meta.dirname, "../target/bench");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "results.json"), JSON.stringify(results));
    if (effort === FULL) await writeResults(results);
    console.log(markdown(results));
  } finally {
    await installed.remove();
  }
}

async function measure(installed: Installed, effort: Effort): Promise<Results> {
  const races = [];
  for (const runtime of RUNTIMES) races.push(await told(`all shapes in ${runtime}`, race(installed, runtime, effort)));
  const few = { ...effort, rounds: Math.ceil(effort.rounds / 3) };
  const tools = await toolchain();
  return {
    races,
    startup: await told("start-up in workerd", startUp(installed, effort.rounds)),
    imports: await told("imports in Node", importAll(installed, few.rounds)),
    sizes: await told("bundles", bundleSizes(installed)),
    memory: await told("memory in Node", measureMemory(installed)),
    scaling: await told("growth in workerd", measureScaling(installed, few)),
    bytes: await measureBytes(),
    toolchain: tools,
    baseline: await baselineOf(tools),
  };
}

async function told<T>(what: string, done: Promise<T>): Promise<T> {
  const begun = performance.now();
  console.error(`== measuring ${what}`);
  const result = await done;
  console.error(`   ${Math.round((performance.now() - begun) / 1000)} s`);
  return result;
}
