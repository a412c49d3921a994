// Checks that every link from one document to another, or to a file, leads somewhere.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { anchorsOf, documents, linksOf } from "../support/markdown.js";
import { ROOT } from "../support/worker.js";

for (const file of await documents()) {
  const links = await linksOf(file);
  if (links.length === 0) continue;
  test(`${file}: ${links.length}`, async () => {
    const broken: string[] = [];
    for (const { line, target } of links) {
      const [path = "", anchor] = target.split("#");
      const to = path === "" ? file : normalize(join(dirname(file), decodeURI(path)));
      const isThere =
        !to.startsWith("..") &&
        existsSync(join(ROOT, to)) &&
        (anchor === undefined || (to.endsWith(".md") && (await anchorsOf(to)).has(anchor)));
      if (!isThere) broken.push(`${file}:${line}: ${target}`);
    }
    assert.equal(broken.length, 0, `\n${broken.join("\n")}`);
  });
}
