// The bench: scripts/bench [--quick [runtimes] | --accept | --profile [contender] [shape] [requests] [runtime]]

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Installed, installTarball } from "../tests/support/installed.js";
import { bundleSizes } from "./bundle-sizes.js";
import { measureCold } from "./cold.js";
import { OURS } from "./contenders.js";
import { accept, baselineOf, measureAll, measureBytes, toolchain } from "./gate.js";
import { measureMemory } from "./memory.js";
import type { Results, RuntimeResults } from "./model.js";
import { measureModels } from "./models.js";
import { profile } from "./profile.js";
import { race } from "./race.js";
import { markdown, writeResults } from "./results.js";
import { type Effort, FULL, QUICK } from "./rounds.js";
import { RUNTIMES, type Runtime } from "./runtimes.js";
import { measureScaling } from "./scaling.js";

if (process.argv.includes("--accept")) {
  await accept(await toolchain(), await measureAll());
} else if (process.argv.includes("--profile")) {
  const [file = OURS.file, shape = "edge", requests = "20000", runtime = "Node 24"] = process.argv.slice(
    process.argv.indexOf("--profile") + 1,
  );
  await withInstalled(async (installed) => {
    console.log(await profile(installed, runtime, { file, name: file }, shape, Number(requests)));
  });
} else {
  const quick = process.argv.indexOf("--quick");
  const effort = quick < 0 ? FULL : QUICK;
  const wanted = new RegExp(quick < 0 ? "" : (process.argv[quick + 1] ?? ""));
  const runtimes = RUNTIMES.filter(({ name }) => wanted.test(name));
  await withInstalled(async (installed) => {
    const results = await measure(installed, runtimes, effort);
    // Beside the page, for whoever wants to calculate.
    const folder = join(import.meta.dirname, "../target/bench");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "results.json"), JSON.stringify(results));
    if (effort === FULL) await writeResults(results);
    console.log(markdown(results));
  });
}

async function withInstalled(run: (installed: Installed) => Promise<void>): Promise<void> {
  const installed = await installTarball();
  try {
    await run(installed);
  } finally {
    await installed.remove();
  }
}

async function measure(installed: Installed, chosen: readonly Runtime[], effort: Effort): Promise<Results> {
  const runtimes: RuntimeResults[] = [];
  for (const runtime of chosen) {
    const steady = await told(`all shapes in ${runtime.name}`, race(installed, runtime, effort));
    const absent = steady.failures.map(({ entry }) => entry);
    const cold = await told(`first requests in ${runtime.name}`, measureCold(installed, runtime, absent, effort.lives));
    const models = await told(`models in ${runtime.name}`, measureModels(installed, runtime, effort));
    runtimes.push({ name: runtime.name, version: await runtime.version(), ...steady, cold, models });
  }
  const tools = await toolchain();
  return {
    runtimes,
    sizes: await told("bundles", bundleSizes(installed)),
    memory: await told("memory in Node 24", measureMemory(installed, effort)),
    scaling: await told("growth in workerd", measureScaling(installed, effort)),
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
