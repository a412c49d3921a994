// Measures the size of the package: as a module, in a Worker, in a page, as a file, as a tarball. 1 KB is 1024 bytes; gzip
// is level 9, as registries and CDNs use it.

import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const ROOT = resolve(import.meta.dirname, "..");

/** A Worker that only loads the package. */
const WORKER = `
  import { withOpik } from "opik-edge/cloudflare";
  export default withOpik({ fetch: () => new Response() }, () => ({}));`;
/** The same with an observer of calls, and with an observer of model calls. */
const OBSERVED = `
  import { callObserver } from "opik-edge";
  import { withOpik } from "opik-edge/cloudflare";
  export default withOpik({ fetch: () => new Response() }, () => ({ observe: [callObserver(() => undefined)] }));`;
const MODELS = `
  import { withOpik } from "opik-edge/cloudflare";
  import { llm } from "opik-edge/llm";
  export default withOpik({ fetch: () => new Response() }, () => ({ observe: [llm()] }));`;
/** The same without an observer, with functions of another entry. */
const beside = (names, entry) => `
  import { withOpik } from "opik-edge/cloudflare";
  export { ${names} } from "opik-edge/${entry}";
  export default withOpik({ fetch: () => new Response() }, () => ({}));`;
const PAGE = `export { Opik } from "opik-edge";`;

/** All sizes, in bytes. */
export async function measureSizes() {
  const wasm = await readFile(`${ROOT}/pkg/core_bg.wasm`);
  const [worker, observed, models, telemetry, tracer, spans, collector] = await Promise.all(
    [
      WORKER,
      OBSERVED,
      MODELS,
      beside("opikTelemetry", "ai-sdk"),
      beside("opikTracer", "ai-sdk"),
      beside("opikSpanProcessor, opikSpanExporter", "otel"),
      beside("otlp", "otel"),
    ].map(async (source) => gzipped(await bundle(source, ["workerd", "worker"]))),
  );
  return [
    { what: "wasm, gzip", bytes: gzipped(wasm) },
    // The platform imports the module beside the script, so the upload is the sum of both.
    { what: "Worker upload (minified JS + wasm), gzip", bytes: worker + gzipped(wasm) },
    { what: "opik-edge/llm, wasm, gzip", bytes: gzipped(await readFile(`${ROOT}/pkg/llm/llm_bg.wasm`)) },
    { what: "opik-edge/llm, JS beside an observer's, gzip", bytes: models - observed },
    { what: "opik-edge/ai-sdk, JS of opikTelemetry, gzip", bytes: telemetry - worker },
    { what: "opik-edge/ai-sdk, JS of opikTracer, gzip", bytes: tracer - worker },
    { what: "opik-edge/otel, JS of opikSpan…, gzip", bytes: spans - worker },
    { what: "opik-edge/otel, JS of otlp, gzip", bytes: collector - worker },
    { what: "browser bundle of { Opik }, minified, gzip", bytes: gzipped(await bundle(PAGE, [])) },
    { what: "standalone.js, gzip", bytes: gzipped(await readFile(`${ROOT}/pkg/standalone.js`)) },
    { what: "npm tarball", bytes: tarballBytes() },
  ];
}

/** Bundles and minifies `source`. It finds the package by the package's name, as a user's bundler does. */
export async function bundle(source, conditions, resolveDir = ROOT) {
  const result = await build({
    stdin: { contents: source, resolveDir },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // Active beside "browser" and "import", which bundlers add.
    conditions,
    external: ["*.wasm", "node:*", "cloudflare:*"],
    logLevel: "warning",
  });
  return result.outputFiles[0].contents;
}

/** The length of `bytes` after gzip. */
export function gzipped(bytes) {
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
