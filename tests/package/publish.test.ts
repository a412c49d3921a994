// A release takes one command: npm's only complaint about the package is that nobody is logged in.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../support/worker.js";

test("npm publish --dry-run", async () => {
  // No registry listens here.
  const args = ["publish", "--dry-run", "--ignore-scripts", "--registry=http://127.0.0.1:9", "--fetch-retries=0"];
  const { stdout, stderr } = await promisify(execFile)("npm", args, { cwd: ROOT });
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal(stdout.trim(), `+ opik-edge@${version}`);
  const warnings = stderr.split("\n").filter((line) => line.trim() && !line.startsWith("npm notice"));
  assert.equal(warnings.length, 1, stderr);
  assert.match(warnings[0]!, /requires you to be logged in/);
});

test("the changelog has a section for this version", async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  const sections = (await readFile(join(ROOT, "CHANGELOG.md"), "utf8")).match(/^## .*$/gm) ?? [];
  assert.ok(sections[0]?.includes(version), `${sections}`);
  if (version === "0.1.0") assert.equal(sections.length, 1, "nothing was published before");
});
