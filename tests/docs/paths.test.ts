// Checks that every file and folder in the maps of this repository exists.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../support/worker.js";

/** A path from the root of the repository in a text; not part of a link, a URL or a longer path. */
const PATH =
  /(?<![\w./-])(?:(?:bench|collector|docs|examples|fuzz|js|scripts|src|tests)\/[\w./-]*\w\/?|[A-Z]+\.md|package\.json|Cargo\.toml)/g;

for (const file of ["ARCHITECTURE.md", "CONTRIBUTING.md", "tests/vectors/README.md"]) {
  test(file, () => {
    const paths = [...readFileSync(join(ROOT, file), "utf8").matchAll(PATH)].map(([path]) => path);
    assert.ok(paths.length > 5, `${paths}`);
    assert.deepEqual(
      paths.filter((path) => !existsSync(join(ROOT, path))),
      [],
    );
  });
}
