// Builds viewer/: compiles the schema's validators, bundles the page, and bundles the server and the command with them.
// The sources import viewer/generated/. The package contains viewer/dist/, with the licences of all bundled packages.

import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import standaloneCode from "ajv/dist/standalone/index.js";
import addFormats from "ajv-formats";
import { build } from "esbuild";

const ROOT = resolve(import.meta.dirname, "../viewer");
const MODELS = [
  "Trace_Write",
  "TraceBatch_Write",
  "TraceUpdate",
  "Span_Write",
  "SpanBatch_Write",
  "SpanUpdate",
  "FeedbackScoreBatch",
  "FeedbackScoreBatchThread",
];
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const NODE = "node20.16";
const OPTIONS = { bundle: true, minify: true, write: false, format: "esm", logLevel: "warning", absWorkingDir: ROOT };
/** The files of other packages that were bundled. */
const bundled = new Set();

await rm(`${ROOT}/generated`, { recursive: true, force: true });
await rm(`${ROOT}/dist`, { recursive: true, force: true });
await mkdir(`${ROOT}/generated`, { recursive: true });
await mkdir(`${ROOT}/dist`, { recursive: true });

await writeFile(`${ROOT}/generated/validators.js`, await validators());
await writeFile(`${ROOT}/generated/validators.d.ts`, declarations());
const attributes = await readerOfAttributes();
await writeFile(`${ROOT}/generated/attributes.js`, attributes);
await writeFile(
  `${ROOT}/generated/attributes.d.ts`,
  "export function readAttributes(json: string): Record<string, unknown>;\n",
);
const assets = await pageFiles();
await writeFile(`${ROOT}/generated/assets.js`, `export const ASSETS = ${JSON.stringify(assets)};\n`);
await writeFile(
  `${ROOT}/generated/assets.d.ts`,
  "export const ASSETS: { readonly version: string; readonly files: Readonly<Record<string, { readonly type: string; readonly text: string }>> };\n",
);
await writeFile(`${ROOT}/dist/attributes.js`, attributes);
await bundleForNode("src/server/server.ts", "dist/server.js", [beside("attributes")]);
execFileSync(process.execPath, [resolve(ROOT, "../node_modules/typescript/bin/tsc"), "-p", ROOT], { stdio: "inherit" });
await bundleForNode("src/cli/cli.ts", "dist/cli.js", [beside("server")]);
await writeFile(`${ROOT}/dist/LICENSES.txt`, await licences());

async function validators() {
  const schema = JSON.parse(await readFile(`${ROOT}/src/server/schema.json`, "utf8"), (_, value) =>
    value?.format === "int32" ? { type: "integer", minimum: -(2 ** 31), maximum: 2 ** 31 - 1 } : value,
  );
  const ajv = new Ajv2020({ strict: false, code: { source: true, esm: true } });
  (addFormats.default ?? addFormats)(ajv);
  ajv.addSchema(schema);
  const code = standaloneCode.default(ajv, Object.fromEntries(MODELS.map((name) => [name, `opik#/$defs/${name}`])));
  const [{ contents }] = await bundle({
    minify: false,
    stdin: { contents: code, resolveDir: resolve(ROOT, "..") },
    platform: "neutral",
    mainFields: ["main"],
  });
  return contents;
}

/** opik-edge's reader of attributes, with its WebAssembly, as scripts/build has compiled them. */
async function readerOfAttributes() {
  const [{ contents }] = await bundle({
    entryPoints: ["../target/tsc/llm/attributes.js"],
    platform: "node",
    target: NODE,
  });
  return contents;
}

function declarations() {
  const error =
    "{ readonly instancePath: string; readonly message?: string; readonly params: Record<string, unknown> }";
  const type = `{ (value: unknown): boolean; readonly errors?: readonly ${error}[] | null }`;
  return MODELS.map((name) => `export const ${name}: ${type};\n`).join("");
}

async function pageFiles() {
  const { version } = JSON.parse(await readFile(`${ROOT}/package.json`, "utf8"));
  const outputFiles = await bundle({
    entryPoints: ["src/page/page.tsx", "src/page/page.css"],
    outdir: "page",
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
  });
  const files = Object.fromEntries(outputFiles.map(({ path, text }) => [path.slice(path.lastIndexOf("/")), text]));
  files["/"] = await readFile(`${ROOT}/src/page/index.html`, "utf8");
  files["/icon.svg"] = await readFile(`${ROOT}/src/page/icon.svg`, "utf8");
  const typed = Object.entries(files).map(([name, text]) => {
    const type = TYPES[name === "/" ? ".html" : name.slice(name.lastIndexOf("."))];
    return [name, { type: `${type}; charset=utf-8`, text }];
  });
  return { version, files: Object.fromEntries(typed) };
}

/** Bundles everything except Node's own modules. */
async function bundleForNode(entry, outfile, plugins = []) {
  const [{ contents }] = await bundle({
    entryPoints: [entry],
    platform: "node",
    target: NODE,
    plugins,
    legalComments: "none",
  });
  await writeFile(`${ROOT}/${outfile}`, contents, { mode: 0o755 });
}

/** Imports this module from its own file. */
function beside(name) {
  return {
    name: `beside-${name}`,
    setup: ({ onResolve }) =>
      onResolve({ filter: new RegExp(`/${name}\\.js$`) }, () => ({ path: `./${name}.js`, external: true })),
  };
}

async function bundle(options) {
  const { outputFiles, metafile } = await build({ ...OPTIONS, ...options, metafile: true });
  for (const file of Object.keys(metafile.inputs)) if (file.includes("node_modules/")) bundled.add(resolve(ROOT, file));
  return outputFiles;
}

/** The licence of each bundled package: its file, or the notices at the head of its sources. */
async function licences() {
  const folders = new Set(Array.from(bundled, (file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)[0]));
  const texts = await Promise.all(
    [...folders].sort().map(async (folder) => {
      const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
      const own = (await readdir(folder)).find((file) => /^licen[cs]e/i.test(file));
      const text = own ? await readFile(`${folder}/${own}`, "utf8") : await noticesIn(folder);
      if (text === "") throw new Error(`${name} has no licence`);
      return `${name} ${version}: ${license}\n\n${text.trim()}\n`;
    }),
  );
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

async function noticesIn(folder) {
  const notices = new Map();
  for (const file of bundled) {
    if (!file.startsWith(`${folder}/`)) continue;
    const [head, first] = /^(\/\/ Copyright.*\n)(?:\/\/.*\n)*/.exec(await readFile(file, "utf8")) ?? [];
    if (head !== undefined && !notices.has(first)) notices.set(first, head.replace(/^\/\/ ?/gm, ""));
  }
  return [...notices.values()].join("\n");
}
