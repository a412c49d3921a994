// Checks the English of comments, documents, test titles and messages against the rules of prose-rules.ts.
//   scripts/prose                 every file of the repository
//   scripts/prose PATH …          the files in these paths
//   scripts/prose --count         violations by folder
// The rules are a floor. The rest is up to the reader: name the subject, use a verb, keep to one idea a sentence.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { proseOf } from "./prose-extract.js";
import { RULES } from "./prose-rules.js";

const ROOT = join(import.meta.dirname, "..");
/** Documents that are generated from checked files, and the rules with their wrong examples. */
const SKIPPED = /^(docs\/api\/|bench\/RESULTS\.md$|scripts\/prose-rules\.ts$)/;

interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly advice: string;
  readonly sentence: string;
}

const isBelow = (file: string, path: string) =>
  path === "." || file === path || file.startsWith(`${path.replace(/\/$/, "")}/`);

function violationsOf(file: string): Violation[] {
  return proseOf(file, readFileSync(join(ROOT, file), "utf8")).flatMap(({ line, sentence }) =>
    RULES.filter(({ pattern }) => pattern.test(sentence)).map(({ name, advice }) => ({
      file,
      line,
      rule: name,
      advice,
      sentence,
    })),
  );
}

const LIST = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
const files = execFileSync("git", LIST, { cwd: ROOT, encoding: "utf8" })
  .split("\0")
  .filter((file) => file && existsSync(join(ROOT, file)) && !SKIPPED.test(file));

const args = process.argv.slice(2);
const isCount = args[0] === "--count";
const paths = isCount ? args.slice(1) : args;
const named = paths.filter((path) => statSync(join(ROOT, path)).isFile());
const searched = files.filter((file) => paths.length === 0 || paths.some((path) => isBelow(file, path)));
const found = [...new Set([...searched, ...named])].flatMap(violationsOf);

if (isCount) {
  const table = new Map<string, number>();
  for (const { file } of found) {
    const folder = file.split("/").slice(0, -1).slice(0, 2).join("/") || file;
    table.set(folder, (table.get(folder) ?? 0) + 1);
  }
  for (const [folder, count] of [...table].sort(([, a], [, b]) => b - a)) console.log(`${count}`.padStart(5), folder);
  console.log(`${found.length}`.padStart(5), "in all");
} else {
  for (const { file, line, rule, advice, sentence } of found) {
    console.log(`${file}:${line}: ${rule}: ${advice}\n    ${sentence}`);
  }
  if (found.length > 0) {
    console.log(`${found.length} violations`);
    process.exitCode = 1;
  }
}
