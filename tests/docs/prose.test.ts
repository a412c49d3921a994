// Tests the rules of scripts/prose on their own examples, and the parts of a file that the rules apply to.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { proseOf } from "../../scripts/prose-extract.js";
import { RULES } from "../../scripts/prose-rules.js";
import { ROOT } from "../support/worker.js";

for (const { name, pattern, wrong, right } of RULES) {
  test(`the rule ${name} refuses its wrong examples and accepts its right ones`, () => {
    assert.ok(wrong.length > 0 && right.length > 0);
    for (const sentence of wrong) assert.match(sentence, pattern);
    for (const sentence of right) assert.doesNotMatch(sentence, pattern);
  });
}

test("a right example breaks no other rule", () => {
  for (const { right } of RULES) {
    for (const sentence of right) {
      assert.deepEqual(
        RULES.filter(({ pattern }) => pattern.test(sentence)).map(({ name }) => name),
        [],
        sentence,
      );
    }
  }
});

interface Case {
  readonly file: string;
  readonly text: string;
  readonly expected: readonly [line: number, sentence: string][];
}

const CASES: readonly Case[] = [
  {
    file: "js/a.ts",
    text: `// The first line
// goes on. And a second sentence.
const url = "http://no.comment"; // Beside code.
// biome-ignore lint/style/x: read by a tool
/**
 * Adds \`what is\` {@link What} to a row.
 *
 * @param row - The open row.
 * @example
 * const what = "is code";
 * @returns The length in bytes.
 */
const pattern = /\\/\\/ no comment/;
throw new Error("the row was too long for us");
throw new Error(\`the row \${inner("a b")} was too long\`);
const key = "two words";
`,
    expected: [
      [1, "The first line goes on."],
      [2, "And a second sentence."],
      [3, "Beside code."],
      [6, "Adds `…` `…` to a row."],
      [8, "The open row."],
      [11, "The length in bytes."],
      [14, "the row was too long for us"],
      [15, "the row `…` was too long"],
    ],
  },
  {
    file: "tests/a.test.ts",
    text: `test("a title of a test", () => {
  assert.ok(true, "some text that is not one");
  t.test(\`title of \${name}\`, () => {});
});
`,
    expected: [
      [1, "a title of a test"],
      [3, "title of `…`"],
    ],
  },
  {
    file: "src/a.rs",
    text: `//! The module.
// A comment.
/// A summary.
///
/// \`\`\`
/// let what = "is code";
/// \`\`\`
const A: char = '"';
const B: &str = "// no comment";
fail("the row was too long for us");
`,
    expected: [
      [1, "The module."],
      [2, "A comment."],
      [3, "A summary."],
      [10, "the row was too long for us"],
    ],
  },
  {
    file: "a.md",
    text: `# A heading
One sentence in
two lines. See [the guide](docs/what-is.md).

- An item. \`fetch\` begins a sentence.

| a cell | another cell |
|---|---|

\`\`\`sh
what is code
\`\`\`
`,
    expected: [
      [1, "A heading"],
      [2, "One sentence in two lines."],
      [3, "See the guide ."],
      [5, "An item."],
      [5, "`…` begins a sentence."],
      [7, "a cell"],
      [7, "another cell"],
    ],
  },
  {
    file: "scripts/a",
    text: `#!/usr/bin/env bash
# A comment.
#   scripts/a PATH   checks a path
# shellcheck disable=SC2016
echo "# no comment" "\${x#y}" # Beside code.
`,
    expected: [
      [2, "A comment."],
      [3, "scripts/a PATH"],
      [3, "checks a path"],
      [5, "Beside code."],
    ],
  },
  {
    file: "a.py",
    text: `"""The module."""
x = "# no comment"  # Beside code.
`,
    expected: [
      [1, "The module."],
      [2, "Beside code."],
    ],
  },
];

for (const { file, text, expected } of CASES) {
  test(`sentences of ${file}`, () => {
    assert.deepEqual(
      proseOf(file, text).map(({ line, sentence }) => [line, sentence]),
      expected,
    );
  });
}

test("scripts/prose names the file, the line and the rule, and fails", () => {
  mkdirSync(join(ROOT, "target/prose"), { recursive: true });
  const run = (text: string) => {
    writeFileSync(join(ROOT, "target/prose/sample.md"), text);
    const args = ["--import", "tsx", "scripts/prose.ts", "target/prose/sample.md"];
    return execFileSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
  };
  assert.equal(run("A row.\n"), "");
  assert.throws(
    () => run("A row.\n\nIt can not be sent.\n"),
    ({ status, stdout }) => status === 1 && stdout.includes("target/prose/sample.md:3: can-not: "),
  );
});
