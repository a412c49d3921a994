// What ran in which version, and whether it passed: a file for each in target/check/versions/, for the tables that name
// versions.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./worker.js";

const FOLDER = join(ROOT, "target/check/versions");

/** Runs `run`, and writes down what became of it. `step` is the step of scripts/check that this is part of. */
export async function recorded(step: string, consumer: string, version: string, run: () => Promise<void>) {
  let passed = false;
  try {
    await run();
    passed = true;
  } finally {
    const name = [step, consumer, version].join("-").replace(/[^\w.]+/g, "-");
    await mkdir(FOLDER, { recursive: true });
    await writeFile(join(FOLDER, `${name}.json`), `${JSON.stringify({ consumer, version, passed })}\n`);
  }
}
