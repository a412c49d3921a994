// Every public type and function of the crate has a doctest; `cargo test --doc` runs it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../support/worker.js";

/** The files with public items. Only js/ calls the two `bindings.rs`; the other files of src/llm/ are private. */
const files = readdirSync(join(ROOT, "src"))
  .filter((file) => file.endsWith(".rs") && file !== "bindings.rs")
  .concat("llm/mod.rs", "llm/recognise.rs", "llm/request.rs");

for (const file of files) {
  test(`src/${file}`, () => {
    const lines = readFileSync(join(ROOT, "src", file), "utf8").split("\n");
    const without = lines.filter((line, index) => {
      if (!/^\s*pub (const )?(fn|struct|enum|trait|type)\b/.test(line)) return false;
      const above = lines.slice(0, index);
      const start = above.findLastIndex((text) => !/^\s*(\/\/\/|#\[)/.test(text));
      return !above.slice(start + 1).some((text) => /^\s*\/\/\/ ```/.test(text));
    });
    assert.deepEqual(without, []);
  });
}
