// The size budgets, which are gates: raise one only in the commit that says why. 1 KB is 1024 bytes; gzip is level 9,
// as a registry or a CDN would do it.

import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const ROOT = resolve(import.meta.dirname, "..");
const KB = 1024;

/** A Worker that does nothing but what the package brings along. */
const WORKER = `
  import { withOpik } from "opik-edge/cloudflare";
  export default withOpik({ fetch: () => new Response() }, () => ({}));`;
const PAGE = `export { Opik } from "opik-edge";`;

const wasm = await readFile(`${ROOT}/pkg/core_bg.wasm`);
const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
  await readFile(`${ROOT}/package.json`, "utf8"),
);

const rows = [
  kilobytes("wasm, gzip", 18.5, gzipped(wasm)),
  // The platform imports the module beside the script, so the upload is the sum of both.
  kilobytes(
    "Worker upload (minified JS + wasm), gzip",
    38,
    gzipped(await bundle(WORKER, ["workerd", "worker"])) + gzipped(wasm),
  ),
  kilobytes("browser bundle of { Opik }, minified, gzip", 38, gzipped(await bundle(PAGE, []))),
  kilobytes("standalone.js, gzip", 39, gzipped(await readFile(`${ROOT}/pkg/standalone.js`))),
  kilobytes("npm tarball", 200, tarballBytes()),
  count("runtime dependencies", 0, { ...dependencies, ...optionalDependencies, ...peerDependencies }),
];
for (const { what, figure, limit, fits } of rows) {
  console.log(`${what.padEnd(44)} ${figure.padStart(9)} of ${limit.padStart(6)}  ${fits ? "ok" : "EXCEEDED"}`);
}
if (!rows.every(({ fits }) => fits)) {
  console.error("a size budget is exceeded");
  process.exitCode = 1;
}

function kilobytes(what, limit, bytes) {
  return { what, figure: `${(bytes / KB).toFixed(2)} KB`, limit: `${limit} KB`, fits: bytes <= limit * KB };
}

function count(what, limit, things) {
  const figure = Object.keys(things).length;
  return { what, figure: `${figure}`, limit: `${limit}`, fits: figure <= limit };
}

/** `source` with what it imports, minified. It finds the package by its own name, as a user's bundler does. */
async function bundle(source, conditions) {
  const result = await build({
    stdin: { contents: source, resolveDir: ROOT },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // Beside "browser" and "import", which are active of themselves.
    conditions,
    external: ["*.wasm", "node:*", "cloudflare:*"],
    logLevel: "warning",
  });
  return result.outputFiles[0].contents;
}

function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length;
}

function tarballBytes() {
  const output = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  // npm 11 and before: an array; from 12 on: an object by package name.
  const [packed] = Object.values(JSON.parse(output));
  return packed.size;
}
