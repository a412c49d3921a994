// Writes the table of sizes in the guide for pages. With --check it writes nothing, and fails if a figure in the guide
// differs from the measured size by more than 1 KB.

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { bundle, gzipped } from "./sizes.mjs";

const ROOT = resolve(import.meta.dirname, "..");
const GUIDE = resolve(ROOT, "docs/guides/browser.md");
const KB = 1024;
const TABLE = /(<!-- table: sizes -->\n)(.*?)(<!-- end -->)/s;

const WORKER = `import { withOpik } from "opik-edge/cloudflare";`;
const HANDLER = "{ fetch: () => new Response() }";
const MODULES = { core: "pkg/core_bg.wasm", llm: "pkg/llm/llm_bg.wasm" };

/** Programs by their imports: the source, or a built file, and the modules that are uploaded beside it. */
const PROGRAMS = {
  "a page: `{ Opik }`": { source: `export { Opik } from "opik-edge";` },
  "a page: `{ Opik, tabThreadId, serverContext }`": {
    source: `export { Opik, serverContext, tabThreadId } from "opik-edge";`,
  },
  "a page: `{ Opik }` and `llm()`": {
    source: `export { Opik } from "opik-edge"; export { llm } from "opik-edge/llm";`,
  },
  "a page: `standalone.js`": { file: "pkg/standalone.js" },
  "a Worker: `withOpik`": { source: `${WORKER} export default withOpik(${HANDLER});`, modules: ["core"] },
  "a Worker: `withOpik` and `llm()`": {
    source: `${WORKER} import { llm } from "opik-edge/llm"; export default withOpik(${HANDLER}, { observe: [llm()] });`,
    modules: ["core", "llm"],
  },
  "a Worker: `relay`": { source: `export { relay } from "opik-edge/relay";`, modules: ["core"] },
};

const rows = [];
for (const [name, { source, file, modules = [] }] of Object.entries(PROGRAMS)) {
  const conditions = modules.length > 0 ? ["workerd", "worker"] : [];
  const script = file ? readFileSync(resolve(ROOT, file)) : Buffer.from(await bundle(source, conditions));
  const parts = [script, ...modules.map((module) => readFileSync(resolve(ROOT, MODULES[module])))];
  const sum = (sizeOf) => Math.round(parts.reduce((total, part) => total + sizeOf(part), 0) / KB);
  rows.push([name, sum((part) => part.length), sum(gzipped), sum((part) => brotliCompressSync(part).length)]);
}

const guide = readFileSync(GUIDE, "utf8");
if (process.argv[2] === "--check") {
  const stated = (TABLE.exec(guide)?.[2] ?? "").split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  for (const [name, ...figures] of rows) {
    const [, , ...cells] = stated.find(([, cell]) => cell === name) ?? [];
    if (figures.every((figure, index) => Math.abs(figure - Number.parseFloat(cells[index])) <= 1)) continue;
    console.error(`${name}: ${figures.join(", ")} KB, and the guide says ${cells.join(", ")}: run scripts/docs`);
    process.exitCode = 1;
  }
} else {
  const head = ["program", "minified", "gzip", "brotli"];
  const lines = [
    head,
    head.map(() => "---"),
    ...rows.map(([name, ...sizes]) => [name, ...sizes.map((kb) => `${kb} KB`)]),
  ];
  writeFileSync(
    GUIDE,
    guide.replace(TABLE, (_, begin, _table, end) => {
      return begin + lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("") + end;
    }),
  );
}
