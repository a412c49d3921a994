// The size budgets. They are gates: a commit that raises a budget gives the reason.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { measureSizes } from "./sizes.mjs";

const KB = 1024;
/** In KB, of 1024 bytes. */
const BUDGETS = {
  "wasm, gzip": 18.35,
  "Worker upload (minified JS + wasm), gzip": 50.1,
  "opik-edge/llm, wasm, gzip": 41,
  "opik-edge/llm, JS beside an observer's, gzip": 3,
  "opik-edge/ai-sdk, JS of opikTelemetry, gzip": 3,
  "opik-edge/ai-sdk, JS of opikTracer, gzip": 3,
  "opik-edge/otel, JS of opikSpan…, gzip": 2.6,
  "opik-edge/otel, JS of otlp, gzip": 1.25,
  "browser bundle of { Opik }, minified, gzip": 51.3,
  "standalone.js, gzip": 53.95,
  "npm tarball": 444,
};

const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
  await readFile(resolve(import.meta.dirname, "../package.json"), "utf8"),
);
const rows = [
  ...(await measureSizes()).map(({ what, bytes }) => kilobytes(what, BUDGETS[what], bytes)),
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
