// The examples of the README, as they stand there.

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./worker.js";

/** The code block behind `<!-- runs: NAME -->`, written to a file in the repository. */
export async function example(name: string, extension: string): Promise<string> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const code = new RegExp(`<!-- runs: ${name} -->\n\`\`\`\\w+\n(.*?)\n\`\`\``, "s").exec(readme)?.[1];
  assert.ok(code, `the README has an example that runs: ${name}`);
  await mkdir(join(ROOT, "target/readme"), { recursive: true });
  const file = `target/readme/${name}.${extension}`;
  await writeFile(join(ROOT, file), code);
  return file;
}
