// OpenTelemetry's SDK with our processor and our exporter: the same trees as its own exporter sends over OTLP, and one tree with
// spans of this package. tests/js/otel.test.ts has the rest.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { context, createTraceState, ROOT_CONTEXT, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  SimpleSpanProcessor,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { Opik, type OpikConfig, span as spanHere } from "../../pkg/index.js";
import { opikSpanExporter, opikSpanProcessor } from "../../pkg/otel/index.js";
import { InMemoryExporter } from "../../pkg/testing/index.js";
import { startCollector } from "../support/collector.js";
import { startWorker } from "../support/worker.js";

/** A span as both sides tell of it. */
interface Told {
  readonly name: string;
  readonly parent: string | undefined;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: unknown;
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: { readonly key: string; readonly value: Record<string, unknown> }[];
}

/** The spans that OpenTelemetry's own exporter has sent. */
const sent: OtlpSpan[] = [];
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  for (const { scopeSpans } of JSON.parse(body).resourceSpans) for (const { spans } of scopeSpans) sent.push(...spans);
  response.setHeader("content-type", "application/json");
  response.end("{}");
});
let url: string;
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
});
after(() => server.close());
beforeEach(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterEach(() => {
  sent.length = 0;
  context.disable();
});

function clientOf(config: OpikConfig = {}) {
  const exporter = new InMemoryExporter();
  const codes: string[] = [];
  const onError = ({ code }: { code: string }): number => codes.push(code);
  return { opik: new Opik({ transport: exporter, background: false, onError, ...config }), exporter, codes };
}

function tracerOf(...spanProcessors: SpanProcessor[]): { tracer: Tracer; provider: BasicTracerProvider } {
  const provider = new BasicTracerProvider({ spanProcessors });
  return { tracer: provider.getTracer("test"), provider };
}

const msOf = (nanos: string): number => Number(nanos.slice(0, -6));

/** The spans that OpenTelemetry's exporter has sent, sorted. */
function toldByOtlp(): Told[] {
  const names = new Map(sent.map(({ spanId, name }) => [spanId, name]));
  return sorted(
    sent.map((span) => ({
      name: span.name,
      parent: names.get(span.parentSpanId ?? ""),
      startMs: msOf(span.startTimeUnixNano),
      endMs: msOf(span.endTimeUnixNano),
      attributes: Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]])),
    })),
  );
}

/** The spans that were recorded, sorted. */
function toldByRows({ spans }: InMemoryExporter): Told[] {
  const names = new Map(spans.map(({ id, name }) => [id, name]));
  return sorted(
    spans.map((row) => {
      const { "w3c.trace_id": _, ...attributes } = (row["metadata"] ?? {}) as Record<string, unknown>;
      return {
        name: `${row.name}`,
        parent: names.get(row.parent_span_id ?? ""),
        startMs: Date.parse(`${row["start_time"]}`),
        endMs: Date.parse(`${row["end_time"]}`),
        attributes,
      };
    }),
  );
}

const sorted = (told: Told[]): Told[] => told.sort((a, b) => (a.name < b.name ? -1 : 1));

/** Two traces with nested, parallel and late spans. */
async function work(tracer: Tracer): Promise<void> {
  for (const job of ["a", "b"]) {
    await tracer.startActiveSpan(`job ${job}`, { attributes: { job } }, async (root) => {
      await Promise.all(
        [1, 2].map((part) =>
          tracer.startActiveSpan(`part ${job}${part}`, async (span) => {
            await new Promise((resolve) => setTimeout(resolve, part));
            tracer.startActiveSpan(`leaf ${job}${part}`, (leaf) => leaf.setAttribute("n", part).end());
            span.end();
          }),
        ),
      );
      const late = tracer.startSpan(`late ${job}`, { startTime: Date.now() - 5000 });
      root.end();
      late.end();
    });
  }
}

test("the processor records the trees that OpenTelemetry sends over OTLP", async () => {
  const { opik, exporter, codes } = clientOf();
  const own = new BatchSpanProcessor(new OTLPTraceExporter({ url }));
  const { tracer, provider } = tracerOf(opikSpanProcessor({ client: opik }), own);
  await work(tracer);
  await provider.shutdown();
  assert.deepEqual(codes, []);
  assert.equal(sent.length, 12);
  assert.deepEqual(toldByRows(exporter), toldByOtlp());
  checkTraces(exporter);
});

for (const maxExportBatchSize of [1, 2, 512]) {
  test(`the exporter records the same trees, from batches of ${maxExportBatchSize}`, async () => {
    const { opik, exporter, codes } = clientOf();
    const { tracer, provider } = tracerOf(
      new BatchSpanProcessor(opikSpanExporter({ client: opik }), { maxExportBatchSize }),
      new SimpleSpanProcessor(new OTLPTraceExporter({ url })),
    );
    await work(tracer);
    await provider.shutdown();
    assert.deepEqual(codes, []);
    assert.equal(sent.length, 12);
    assert.deepEqual(toldByRows(exporter), toldByOtlp());
    checkTraces(exporter);
  });
}

/** Each trace has one row, with the fields of its root. */
function checkTraces({ traces, spans }: InMemoryExporter): void {
  const roots = spans.filter(({ parent_span_id }) => !parent_span_id);
  assert.deepEqual(
    traces.map(({ id, name, start_time, end_time }) => [id, name, start_time, end_time]).sort(),
    roots.map(({ trace_id, name, start_time, end_time }) => [trace_id, name, start_time, end_time]).sort(),
  );
  assert.equal(new Set(traces.map(({ id }) => id)).size, 2);
  assert.equal(new Set(spans.map(({ id }) => id)).size, spans.length);
  for (const { trace_id, name } of spans) {
    const job = `job ${`${name}`.split(" ")[1]?.charAt(0)}`;
    assert.equal(traces.find(({ id }) => id === trace_id)?.name, job);
  }
}

test("spans of both tracers are one tree, in each other to any depth", async () => {
  const { opik, exporter, codes } = clientOf();
  const { tracer, provider } = tracerOf(opikSpanProcessor({ client: opik }));
  await tracer.startActiveSpan("theirs 1", async (theirs) => {
    await spanHere({ name: "ours 2" }, async () => {
      await tracer.startActiveSpan("theirs 3", async (inner) => {
        await Promise.resolve();
        await opik.span({ name: "ours 4" }, async (ours) => {
          tracer.startSpan("theirs 5").end();
          ours.span({ name: "ours 5" }).end();
          spanHere({ name: "ours 5 too" }).end();
        });
        tracer.startSpan("theirs 4").end();
        inner.end();
      });
      tracer.startSpan("theirs 2.1").end();
    });
    spanHere({ name: "ours 2.1" }, () => {});
    theirs.end();
  });
  await opik.span({ name: "ours 1" }, async () => {
    tracer.startActiveSpan("theirs below", (span) => {
      opik.span({ name: "ours below" }).end();
      span.end();
    });
  });
  await provider.shutdown();
  const parents = Object.fromEntries(toldByRows(exporter).map(({ name, parent }) => [name, parent]));
  assert.deepEqual(parents, {
    "theirs 1": undefined,
    "ours 2": "theirs 1",
    "theirs 3": "ours 2",
    "ours 4": "theirs 3",
    "theirs 5": "ours 4",
    "ours 5": "ours 4",
    "ours 5 too": "ours 4",
    "theirs 4": "theirs 3",
    "theirs 2.1": "ours 2",
    "ours 2.1": "theirs 1",
    "ours 1": undefined,
    "theirs below": "ours 1",
    "ours below": "theirs below",
  });
  assert.deepEqual(exporter.traces.map(({ name }) => name).sort(), ["ours 1", "theirs 1"]);
  assert.deepEqual(codes, []);
});

test("each client has parents in its own provider until it is shut down", async () => {
  const sides = ["a", "b"].map((side) => {
    const client = clientOf();
    return { side, ...client, ...tracerOf(opikSpanProcessor({ client: client.opik })) };
  });
  const run = (phase: string): void => {
    for (const { side, tracer, opik } of sides) {
      tracer.startActiveSpan(`theirs ${side} ${phase}`, (span) => {
        opik.span({ name: `ours ${side} ${phase}` }).end();
        span.end();
      });
    }
  };
  run("1");
  await sides[1]?.provider.shutdown();
  run("2");
  await sides[0]?.provider.shutdown();
  await sides[1]?.opik.flush();
  const told = sides.flatMap(({ exporter }) => toldByRows(exporter).map(({ name, parent }) => [name, parent]));
  assert.deepEqual(told, [
    ["ours a 1", "theirs a 1"],
    ["ours a 2", "theirs a 2"],
    ["theirs a 1", undefined],
    ["theirs a 2", undefined],
    ["ours b 1", "theirs b 1"],
    ["ours b 2", undefined],
    ["theirs b 1", undefined],
  ]);
});

test("in a Worker, spans of concurrent requests are below their own request", async () => {
  const collector = await startCollector();
  const worker = await startWorker("tests/models/otel-worker.ts", {
    compatibilityFlags: ["nodejs_compat"],
    bindings: { OPIK_URL_OVERRIDE: collector.url },
  });
  try {
    const answers = await Promise.all(["/a", "/b"].map(async (path) => (await fetch(worker.url + path)).text()));
    assert.deepEqual(answers, ["hello", "hello"]);
    await collector.until(() => collector.spans().length === 8);
    const rows = collector.spans();
    for (const path of ["/a", "/b"]) {
      const names = [`inner ${path}`, `ours ${path}`, `theirs ${path}`, `GET ${path}`];
      const own = names.map((name) => rows.find((row) => row["name"] === name));
      assert.deepEqual(
        own.map((row) => row?.["parent_span_id"]),
        [...own.slice(1).map((row) => row?.id), undefined],
      );
      assert.equal(own[0]?.["type"], "llm");
    }
    assert.equal(collector.traces().length, 2);
  } finally {
    await worker.close();
    await collector.close();
  }
});

const TRACE_ID = "019ab5c0-7c00-7a11-8a11-0123456789ab";
const SPAN_ID = "019ab5c0-7c02-7a11-9a11-0123456789ab";

test("a remote parent that names our trace is joined, and any other begins a trace", async () => {
  for (const processor of [opikSpanProcessor, opikSpanExporter]) {
    const { opik, exporter, codes } = clientOf();
    const made = processor({ client: opik });
    const { tracer, provider } = tracerOf("export" in made ? new SimpleSpanProcessor(made) : made);
    const remote = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: 1,
      isRemote: true,
    };
    const member = `${TRACE_ID}${SPAN_ID}`.replaceAll("-", "");
    for (const state of [`opik=${member},a=b`, "a=b", "opik=0123", undefined]) {
      const traceState = state === undefined ? {} : { traceState: createTraceState(state) };
      const parent = trace.setSpanContext(ROOT_CONTEXT, { ...remote, ...traceState });
      tracer.startSpan(`${state}`, {}, parent).end();
    }
    await provider.shutdown();
    const [joined, ...others] = exporter.spans;
    assert.deepEqual([joined?.trace_id, joined?.parent_span_id], [TRACE_ID, SPAN_ID]);
    assert.deepEqual(exporter.traces.map(({ id }) => id).sort(), others.map(({ trace_id }) => trace_id).sort());
    assert.equal(new Set(exporter.traces.map(({ id }) => id)).size, 3);
    for (const { parent_span_id, metadata } of others) {
      assert.equal(parent_span_id, undefined);
      assert.deepEqual(metadata, { "w3c.trace_id": remote.traceId, "w3c.parent_id": remote.spanId });
    }
    assert.deepEqual(codes, []);
  }
});

test("spans below a remote parent that names our trace are in it, in any order", async () => {
  for (const isExporter of [true, false]) {
    const { opik, exporter, codes } = clientOf();
    const own = isExporter
      ? new SimpleSpanProcessor(opikSpanExporter({ client: opik }))
      : opikSpanProcessor({ client: opik });
    const { tracer, provider } = tracerOf(own);
    const remote = trace.setSpanContext(ROOT_CONTEXT, {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: 1,
      isRemote: true,
      traceState: createTraceState(`opik=${`${TRACE_ID}${SPAN_ID}`.replaceAll("-", "")}`),
    });
    const server = tracer.startSpan("server", {}, remote);
    const child = tracer.startSpan("child", {}, trace.setSpan(ROOT_CONTEXT, server));
    tracer.startSpan("leaf", {}, trace.setSpan(ROOT_CONTEXT, child)).end();
    child.end();
    server.end();
    await provider.shutdown();
    assert.deepEqual(
      toldByRows(exporter).map(({ name, parent }) => [name, parent]),
      [
        ["child", "server"],
        ["leaf", "child"],
        ["server", undefined],
      ],
    );
    assert.deepEqual([...new Set(exporter.spans.map(({ trace_id }) => trace_id))], [TRACE_ID]);
    assert.equal(exporter.spans.find(({ name }) => name === "server")?.parent_span_id, SPAN_ID);
    assert.deepEqual([exporter.traces, codes], [[], []]);
  }
});

test("a trace has the thread of its spans, whatever their batches", async () => {
  for (const make of [SimpleSpanProcessor, BatchSpanProcessor]) {
    const { opik, exporter, codes } = clientOf();
    const { tracer, provider } = tracerOf(new make(opikSpanExporter({ client: opik })));
    for (const thread of ["t1", undefined]) {
      tracer.startActiveSpan("root", (root) => {
        const attributes = thread === undefined ? {} : { "gen_ai.conversation.id": thread };
        tracer.startSpan("chat", { attributes }).end();
        root.end();
      });
    }
    await provider.shutdown();
    assert.deepEqual(
      exporter.traces.map((row) => row["thread_id"]),
      ["t1", undefined],
    );
    assert.deepEqual(codes, []);
  }
});

test("an exception is the error, a status without one too, and other events are metadata", async () => {
  const { opik, exporter } = clientOf();
  const { tracer, provider } = tracerOf(opikSpanProcessor({ client: opik }));
  const thrown = tracer.startSpan("thrown");
  thrown.addEvent("cache miss", { key: "k" });
  thrown.recordException(new RangeError("too far"));
  thrown.setStatus({ code: SpanStatusCode.ERROR, message: "failed" }).updateName("renamed").end();
  tracer.startSpan("status").setStatus({ code: SpanStatusCode.ERROR, message: "failed" }).end();
  await provider.shutdown();
  const [first, second] = exporter.spans;
  const info = (first?.["error_info"] ?? {}) as Record<string, string>;
  assert.deepEqual([first?.name, info["exception_type"], info["message"]], ["renamed", "RangeError", "too far"]);
  assert.match(`${info["traceback"]}`, /RangeError: too far\n +at /);
  const [event] =
    ((first?.["metadata"] ?? {}) as Record<string, Record<string, unknown>[]>)["opentelemetry.events"] ?? [];
  assert.deepEqual([event?.["name"], event?.["attributes"]], ["cache miss", { key: "k" }]);
  assert.match(`${event?.["time_unix_nano"]}`, /^\d{19}$/);
  assert.equal((second?.["error_info"] as Record<string, string> | undefined)?.["message"], "failed");
});
