// Notes for each consumer and version whether its tests passed. Each note is a file in target/check/versions/;
// scripts/docs makes the README's tables from them.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import { PROGRAMS } from "./programs.js";
import { ROOT } from "./worker.js";

const FOLDER = join(ROOT, "target/check/versions");

/** The version of a package installed in `folder` of the repository. */
export function versionOf(name: string, folder = "node_modules"): string {
  return JSON.parse(readFileSync(join(ROOT, folder, name, "package.json"), "utf8")).version;
}

/** The version of a runtime in programs.ts, or of either workerd. */
export function runtimeVersion(name: string): string {
  if (name === "old workerd") return versionOf("workerd", "node_modules/miniflare-old/node_modules");
  const [program] = PROGRAMS[name] ?? [];
  if (!program || !name.startsWith("Node ")) return versionOf(name.toLowerCase());
  return execFileSync(program, ["-p", "process.versions.node"], { encoding: "utf8" }).trim();
}

/** Runs `run` and writes down whether it passed. `step` is the step of scripts/check that this is part of. */
export async function recorded(step: string, consumer: string, version: string, run: () => Promise<void>) {
  let passed = false;
  try {
    await run();
    passed = true;
  } finally {
    await write(step, consumer, version, passed);
  }
}

/** Writes down whether the calling suite passed: tests have run, and all of them passed. */
export function recordSuite(step: string, consumer: string, version: string | (() => string)): void {
  const results: unknown[] = [];
  afterEach((context) => {
    results.push((context as { readonly passed?: boolean }).passed);
  });
  after(async () => {
    const passed = results.length > 0 && results.every((result) => result === true);
    await write(step, consumer, typeof version === "string" ? version : version(), passed);
  });
}

async function write(step: string, consumer: string, version: string, passed: boolean): Promise<void> {
  const name = [step, consumer, version].join("-").replace(/[^\w.]+/g, "-");
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${name}.json`), `${JSON.stringify({ step, consumer, version, passed })}\n`);
}
