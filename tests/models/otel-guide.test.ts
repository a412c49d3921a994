// Runs the examples of the guide "OpenTelemetry" with OpenTelemetry's SDK.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { build } from "esbuild";
import type { Opik } from "../../pkg/index.js";
import { type Collector, startCollector } from "../support/collector.js";
import { startOtlpCollector } from "../support/otlp.js";
import { example } from "../support/readme.js";
import { ROOT } from "../support/worker.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
  process.env["OPIK_URL_OVERRIDE"] = collector.url;
});
after(() => collector.close());

/** Bundles an example with the packages of this folder, and loads it. */
async function load<M>(name: string): Promise<M> {
  const outfile = join(ROOT, `target/models/${name}.mjs`);
  await build({
    absWorkingDir: ROOT,
    entryPoints: [await example(name, "ts")],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    external: ["opik-edge", "opik-edge/*"],
    alias: { "@opentelemetry": join(ROOT, "tests/models/node_modules/@opentelemetry") },
    logLevel: "error",
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  return import(pathToFileURL(outfile).href);
}

/** The exports of the first example. */
interface Processing {
  readonly provider: BasicTracerProvider;
  order(): Promise<string>;
}

test("the processor", async () => {
  const { provider, order } = await load<Processing>("guide-otel-processor");
  assert.equal(await order(), "42");
  await provider.shutdown();
  const rows = collector.spans();
  const names = new Map(rows.map(({ id, name }) => [id, name]));
  assert.deepEqual(rows.map(({ name, parent_span_id }) => [name, names.get(`${parent_span_id}`)]).sort(), [
    ["ask", "order"],
    ["look up", "ask"],
    ["order", undefined],
  ]);
});

test("the exporter", async () => {
  const { provider } = await load<{ provider: BasicTracerProvider }>("guide-otel-exporter");
  provider.getTracer("test").startSpan("exported").end();
  await provider.forceFlush();
  assert.ok(collector.spans().some(({ name }) => name === "exported"));
});

test("a collector beside Opik", async () => {
  await using otlp = await startOtlpCollector();
  process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = otlp.url;
  const { opik } = await load<{ opik: Opik }>("guide-otel-otlp");
  opik.span({ name: "copied" }).end();
  await opik.flush();
  assert.deepEqual([otlp.spans.map(({ name }) => name), otlp.errors], [["copied"], []]);
  assert.ok(collector.spans().some(({ name }) => name === "copied"));
});
