// Runs the examples of the guide "OpenTelemetry" with OpenTelemetry's SDK.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import type { Opik } from "../../pkg/index.js";
import { type Collector, startCollector } from "../support/collector.js";
import { startOtlpCollector } from "../support/otlp.js";
import { loadExample } from "./load-example.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
  process.env["OPIK_URL_OVERRIDE"] = collector.url;
});
after(() => collector.close());

const load = <M>(name: string): Promise<M> => loadExample<M>(name, { "@opentelemetry": "@opentelemetry" });

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
