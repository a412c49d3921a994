// The examples of the README and the guides, as written there.

import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fencesOf, guides } from "./markdown.js";
import { ROOT } from "./worker.js";

/** Writes the code block below `<!-- runs: NAME -->` to a file in the repository and returns its path. */
export async function example(name: string, extension: string): Promise<string> {
  const fences = (await Promise.all((await guides()).map(fencesOf))).flat();
  const [found, ...others] = fences.filter(({ notes }) => notes.get("runs") === name);
  assert.ok(found, `there is an example that runs: ${name}`);
  assert.deepEqual(others, [], "and no other of its name");
  await mkdir(join(ROOT, "target/readme"), { recursive: true });
  const file = `target/readme/${name}.${extension}`;
  await writeFile(join(ROOT, file), found.code);
  return file;
}

/** The code blocks behind `<!-- runs: NAME PATH -->`, written to their paths in `folder`, which is emptied first. */
export async function project(name: string, folder: string): Promise<void> {
  const fences = (await Promise.all((await guides()).map(fencesOf))).flat();
  const files = fences.filter(({ notes }) => notes.get("runs")?.startsWith(`${name} `));
  assert.ok(files.length > 0, `there is an example that runs: ${name}`);
  await rm(folder, { recursive: true, force: true });
  for (const { notes, code } of files) {
    const file = join(folder, notes.get("runs")!.slice(name.length + 1));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, code);
  }
}
