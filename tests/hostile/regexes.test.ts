// Every regular expression of js/ against its worst input: none takes time that grows faster than its text. Decided from
// the expression's automaton, so the length of that text makes no difference.

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import type { Node } from "typescript/unstable/ast";
import { isIdentifier, isNewExpression, isRegularExpressionLiteral } from "typescript/unstable/ast/is";
import { API } from "typescript/unstable/sync";
import { ROOT } from "../support/worker.js";

// The checker in JavaScript, which is the same on every machine; the variable is read when it is loaded.
process.env["RECHECK_SYNC_BACKEND"] = "pure";
const { checkSync } = await import("recheck");

/** What would be slow on a long text, and why it is never given one. */
const BOUNDED: Readonly<Record<string, string>> = {
  "/(:\\d+:\\d+)?\\W*$/": "js/record/json.ts gives it the last 32 characters of a word",
};
/** Where an expression is made of what the host gives. */
const MADE = ["js/record/redact.ts"];

const found = new Map<string, string>();
const made: string[] = [];
const api = new API({ cwd: ROOT });
const [project] = api.updateSnapshot({ openProjects: [join(ROOT, "tsconfig.json")] }).getProjects();
for (const name of project!.program.getSourceFileNames()) {
  const file = relative(ROOT, name);
  if (!file.startsWith("js/")) continue;
  const visit = (node: Node): void => {
    if (isRegularExpressionLiteral(node)) found.set(node.text, file);
    if (isNewExpression(node) && isIdentifier(node.expression) && node.expression.text === "RegExp") made.push(file);
    node.forEachChild(visit);
  };
  visit(project!.program.getSourceFile(name)!);
}
api.close();

describe("a regular expression is linear", () => {
  for (const [literal, file] of found) {
    test(`${file}: ${literal}`, (t) => {
      const [, source, flags] = /^\/(.*)\/(\w*)$/s.exec(literal)!;
      const { status } = checkSync(source!, flags!, { timeout: null, randomSeed: 1 });
      const isBounded = literal in BOUNDED;
      if (isBounded) t.diagnostic(BOUNDED[literal]!);
      assert.equal(status, isBounded ? "vulnerable" : "safe");
    });
  }
});

test("all of them were found", () => {
  assert.ok(found.size > 20, `${found.size} expressions`);
  assert.deepEqual(made, MADE);
  for (const literal of Object.keys(BOUNDED)) assert.ok(found.has(literal), `there is no ${literal} any more`);
});
