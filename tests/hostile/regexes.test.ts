// Runs every regular expression of js/ against its worst input: its time grows linearly with the text. The checker decides
// from the expression's automaton, so the length of the text makes no difference.

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import type { Node } from "typescript/unstable/ast";
import { isIdentifier, isNewExpression, isRegularExpressionLiteral } from "typescript/unstable/ast/is";
import { API } from "typescript/unstable/sync";
import { ROOT } from "../support/worker.js";

// The JavaScript checker is the same on every machine. It reads the variable when it is loaded.
process.env["RECHECK_SYNC_BACKEND"] = "pure";
const { checkSync } = await import("recheck");

/** Expressions that would be slow on a long text, and the reason why they never get a long text. */
const BOUNDED: Readonly<Record<string, string>> = {
  "/(:\\d+:\\d+)?\\W*$/": "js/record/json.ts gives it the last 32 characters of a word",
};
/** Files that build expressions from the host's settings. */
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

test("every expression was found", () => {
  assert.ok(found.size > 20, `${found.size} expressions`);
  assert.deepEqual(made, MADE);
  for (const literal of Object.keys(BOUNDED)) assert.ok(found.has(literal), `there is no ${literal} any more`);
});
