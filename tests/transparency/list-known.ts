// Writes known.ts from the last run of the suite, with as few rows as possible: `node --import tsx list-known.ts`. Each
// row sets only the conditions that separate differing cases from equal cases.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../support/worker.js";
import { ACCEPTED } from "./accepted.js";
import { type Difference, isRunIn, type Listed } from "./differential.js";
import { RUNTIMES } from "./runtimes.js";
import type { Row } from "./table.js";

interface Found {
  readonly suite: string;
  readonly runtime: string;
  readonly rows: readonly Row[];
  readonly differences: readonly Difference[];
}

const folder = join(ROOT, "target/transparency/report");
const found: Found[] = [];
for (const name of await readdir(folder)) found.push(JSON.parse(await readFile(join(folder, name), "utf8")));

const isIn = (where: Row, row: Row): boolean => Object.entries(where).every(([column, value]) => row[column] === value);

/** Conditions that cover `failing` and exclude `equal`, widest first. */
function cover(failing: readonly Row[], equal: readonly Row[]): Row[] {
  if (equal.length === 0) return [{}];
  const chosen: Row[] = [];
  let left = [...failing];
  for (let size = 1; left.length > 0; size += 1) {
    for (;;) {
      const counts = new Map<string, number>();
      for (const row of left) for (const where of parts(row, size)) counts.set(where, (counts.get(where) ?? 0) + 1);
      const widest = [...counts].sort(([, a], [, b]) => b - a);
      const pure = widest.find(([where]) => !equal.some((row) => isIn(JSON.parse(where), row)));
      const least = size < 3 ? 2 : 1;
      if (!pure || pure[1] < least) break;
      const where = JSON.parse(pure[0]) as Row;
      chosen.push(where);
      left = left.filter((row) => !isIn(where, row));
    }
    if (size === 3) {
      chosen.push(...left);
      break;
    }
  }
  return chosen;
}

/** The conditions on `size` columns that a row meets. */
function parts(row: Row, size: number): string[] {
  const columns = Object.keys(row);
  const choose = (from: number, count: number): string[][] =>
    count === 0
      ? [[]]
      : columns.slice(from).flatMap((column, at) => choose(from + at + 1, count - 1).map((rest) => [column, ...rest]));
  return choose(0, size).map((names) => JSON.stringify(Object.fromEntries(names.map((name) => [name, row[name]]))));
}

const lists = new Map<string, { listed: Omit<Listed, "runtimes">; runtimes: string[] }>();
for (const { suite, runtime, rows, differences } of found) {
  const isAccepted = ({ aspect, row }: Difference): boolean =>
    ACCEPTED.some(
      (listed) =>
        (listed.suite ?? suite) === suite &&
        `.${aspect}`.endsWith(`.${listed.aspect}`) &&
        isRunIn(listed, runtime) &&
        isIn(listed.where ?? {}, row),
    );
  const open = differences.filter((difference) => !isAccepted(difference));
  for (const aspect of new Set(open.map((difference) => difference.aspect))) {
    const failing = new Set(open.filter((one) => one.aspect === aspect).map(({ row }) => JSON.stringify(row)));
    const isFailing = (row: Row): boolean => failing.has(JSON.stringify(row));
    for (const where of cover(
      rows.filter(isFailing),
      rows.filter((row) => !isFailing(row)),
    )) {
      const listed = { suite, aspect, ...(Object.keys(where).length > 0 && { where }) };
      const key = JSON.stringify(listed);
      const list = lists.get(key) ?? { listed, runtimes: [] };
      list.runtimes.push(runtime);
      lists.set(key, list);
    }
  }
}

const all = (suite: string): number => found.filter((one) => one.suite === suite).length;
const order = RUNTIMES.map(({ name }) => name);
const lines = [...lists.values()].map(({ listed, runtimes }) => {
  const sorted = runtimes.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  return JSON.stringify({ ...listed, ...(runtimes.length < all(listed.suite!) && { runtimes: sorted }) });
});
await writeFile(
  join(ROOT, "tests/transparency/known.ts"),
  `// Differences that are still to be mended; list-known.ts writes this file.

import type { Listed } from "./differential.js";

// biome-ignore format: a row a line
export const KNOWN: readonly Listed[] = [
${lines.map((line) => `  ${line},\n`).join("")}];
`,
);
console.log(`${lines.length} rows`);
