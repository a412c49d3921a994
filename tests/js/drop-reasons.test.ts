// `DropReason` and the guide name exactly the reasons that the code gives. The compiler checks the reasons that JavaScript
// gives; it cannot check those that come from the core and from errors.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../support/worker.js";

const read = (path: string): Promise<string> => readFile(join(ROOT, path), "utf8");
const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, found]) => found as string);

const errors = await read("js/errors.ts");
const [union = ""] = /export type DropReason =[^;]*(?:;(?! *\n\n)[^;]*)*;\n\n/.exec(errors) ?? [];
const reasons = all(union, /^ {2}\| "(\w+)"/gm);

/** Codes of the core's reasons, for rows that it does not keep and for answers. */
async function codesOfCore(): Promise<string[]> {
  const files = await Promise.all(["src/batch.rs", "src/upload.rs"].map(read));
  return files.flatMap((text) => all(text, /Self::\w+ => "(\w+)"/g));
}

test("every reason of the core is in the union", async () => {
  const codes = await codesOfCore();
  assert.ok(codes.includes("buffer_full") && codes.includes("server_error"));
  assert.deepEqual(
    codes.filter((code) => !reasons.includes(code)),
    [],
  );
});

test("every error that stops the core is in the union", async () => {
  const codes = all(await read("js/platform/core.ts"), /new OpikError\(\s*"(\w+)"/g);
  assert.ok(codes.includes("wasm_trap"));
  // Without random bytes there is no id, so there is no row to lose.
  assert.deepEqual(
    codes.filter((code) => code !== "no_random" && !reasons.includes(code)),
    [],
  );
});

test("every reason of the union occurs somewhere in the code", async () => {
  const files = (await readdir(join(ROOT, "js"), { recursive: true })).filter((path) => path.endsWith(".ts"));
  const code = (await Promise.all(files.map((path) => read(join("js", path))))).join("\n").replace(union, "");
  const given = new Set([...all(code, /"(\w+)"/g), ...(await codesOfCore())]);
  assert.deepEqual(
    reasons.filter((reason) => !given.has(reason)),
    [],
  );
});

test("every reason says what happened and how to fix it", () => {
  const described = all(union, /^ {2}\/\*\* .+[.:;] .+\. \*\/\n {2}\| "(\w+)"/gm);
  assert.deepEqual(described, reasons);
});

test("the guide lists every reason, and no other", async () => {
  const guide = await read("docs/guides/delivery-and-limits.md");
  const [table = ""] = /\| reason \|[\s\S]*?\n\n/.exec(guide) ?? [];
  const listed = all(table, /^\| `(\w+)` \|/gm);
  assert.deepEqual(listed.sort(), [...reasons].sort());
});
