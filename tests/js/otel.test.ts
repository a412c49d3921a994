// `opik-edge/otel` without OpenTelemetry: spans as its SDK hands them over, and collectors. tests/models/otel.test.ts runs the SDK.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Opik, type OpikConfig, type OpikError } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm } from "opik-edge/llm";
import { type OtelSpan, opikSpanExporter, opikSpanProcessor, otlp } from "opik-edge/otel";
import { InMemoryExporter } from "opik-edge/testing";
import { startCollector } from "../support/collector.js";
import { type OtlpCollector, startOtlpCollector } from "../support/otlp.js";

type Json = Readonly<Record<string, unknown>>;

const START = [1_790_000_000, 123_456_789] as const;
const END = [1_790_000_001, 1] as const;

let made = 0;
/** A span that has ended. */
function spanOf(name: string, attributes: Json = {}, more: object = {}): OtelSpan {
  made += 1;
  const spanId = made.toString(16).padStart(16, "0");
  const spanContext = () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 });
  return { name, attributes, spanContext, startTime: START, endTime: END, events: [], status: { code: 0 }, ...more };
}

function clientOf(config: OpikConfig = {}) {
  const exporter = new InMemoryExporter();
  const errors: OpikError[] = [];
  const onError = (error: OpikError): number => errors.push(error);
  return { opik: new Opik({ transport: exporter, background: false, onError, ...config }), exporter, errors };
}

async function exported(opik: Opik, ...spans: OtelSpan[]): Promise<void> {
  const exporter = opikSpanExporter({ client: opik });
  exporter.export(spans, ({ code }) => assert.equal(code, 0));
  await exporter.forceFlush();
}

const vectors = async (name: string): Promise<Json[]> =>
  JSON.parse(await readFile(`tests/vectors/${name}.json`, "utf8"));

test("the attributes of the vectors become the fields of rows", async () => {
  for (const { name, attributes, fields } of await vectors("attributes")) {
    const { opik, exporter, errors } = clientOf();
    await exported(opik, spanOf("span", attributes as Json));
    const { trace_id, parent_span_id, id, thread_id, metadata, ...expected } = fields as Json;
    const [row] = exporter.spans;
    const trace = exporter.traces[0];
    if (trace_id) {
      assert.deepEqual([row?.trace_id, row?.parent_span_id, row?.id, trace], [trace_id, parent_span_id, id, undefined]);
    } else {
      assert.equal(row?.trace_id, trace?.id);
      assert.equal(trace?.["thread_id"], thread_id);
    }
    const { "w3c.trace_id": _, ...own } = (row?.["metadata"] ?? {}) as Json;
    assert.deepEqual(own, metadata ?? {}, `${name}: metadata`);
    for (const field of [
      "type",
      "model",
      "provider",
      "usage",
      "total_estimated_cost",
      "ttft",
      "tags",
      "input",
      "output",
    ]) {
      assert.deepEqual(row?.[field], expected[field], `${name}: ${field}`);
    }
    // A wrong id begins a new trace, and is reported.
    const isWrong = !trace_id && "opik.trace_id" in (attributes as Json);
    assert.deepEqual(
      errors.map(({ code }) => code),
      isWrong ? ["invalid_headers"] : [],
      `${name}`,
    );
  }
});

test("a row has the times of its span, and its id carries the start", async () => {
  const { opik, exporter } = clientOf();
  await exported(opik, spanOf("span"));
  const [row] = exporter.spans;
  assert.equal(row?.["start_time"], "2026-09-21T14:13:20.123Z");
  assert.equal(row?.["end_time"], "2026-09-21T14:13:21.000Z");
  assert.equal(Number.parseInt(`${row?.id}`.replace("-", "").slice(0, 12), 16), 1_790_000_000_123);
});

test("a parent that comes behind its child in a batch has an id with its own start", async () => {
  const { opik, exporter } = clientOf();
  const parent = spanOf("parent", {}, { startTime: [START[0] - 3600, START[1]] });
  await exported(opik, spanOf("child", {}, { parentSpanContext: parent.spanContext() }), parent);
  const [child, row] = exporter.spans;
  assert.equal(child?.parent_span_id, row?.id);
  for (const id of [row?.id, exporter.traces[0]?.id]) {
    assert.equal(Number.parseInt(`${id}`.replace("-", "").slice(0, 12), 16), 1_789_996_400_123);
  }
});

test("settings of the client hold", async () => {
  const content = { "gen_ai.operation.name": "chat", "gen_ai.prompt": "my secret", "gen_ai.completion": "your secret" };
  const events = [{ name: "gen_ai.user.message", time: START, attributes: { content: "my secret" } }];
  const hidden = clientOf({ recordInputs: false, recordOutputs: false });
  await exported(hidden.opik, spanOf("chat", content, { events }));
  assert.doesNotMatch(JSON.stringify([hidden.exporter.spans, hidden.exporter.traces]), /secret/);
  const masked = clientOf({ redact: { patterns: [/my secret/g] } });
  await exported(masked.opik, spanOf("chat", { ...content, note: "my secret" }));
  assert.doesNotMatch(JSON.stringify([masked.exporter.spans, masked.exporter.traces]), /my secret/);
  const off = clientOf({ disabled: true });
  await exported(off.opik, spanOf("chat"));
  const unsampled = clientOf({ sampleRate: 0 });
  await exported(unsampled.opik, spanOf("chat"), spanOf("other"));
  assert.deepEqual([...off.exporter.spans, ...unsampled.exporter.spans, ...unsampled.exporter.traces], []);
});

test("spans that OpenTelemetry does not sample, spans of our uploads and spans below them are not recorded", async () => {
  const { opik, exporter, errors } = clientOf({ url: "https://opik.example/api" });
  const processor = opikSpanProcessor({ client: opik });
  const upload = spanOf("POST", { "url.full": "https://opik.example/api/v1/private/spans/batch" });
  const below = spanOf("dns", {}, { parentSpanContext: upload.spanContext() });
  otlp({ url: "https://collector.example/v1/traces" });
  const copy = spanOf("POST", { "url.full": "https://collector.example/v1/traces" });
  const unsampled = spanOf("unsampled", {}, { spanContext: () => ({ ...upload.spanContext(), traceFlags: 0 }) });
  for (const span of [upload, below, copy, unsampled]) processor.onStart(span, undefined);
  for (const span of [below, upload, copy, unsampled]) processor.onEnd(span);
  await processor.shutdown();
  const late = spanOf("late");
  processor.onStart(late, undefined);
  processor.onEnd(late);
  await processor.forceFlush();
  assert.deepEqual([exporter.spans, exporter.traces, errors], [[], [], []]);
});

test("uploads are recognised however their URL is written, and neighbours of the API are not uploads", async () => {
  const { opik, exporter } = clientOf({ url: "https://opik.example/api" });
  otlp({ url: "HTTPS://Traces.example:443?key=secret" });
  const own = [
    "https://traces.example/",
    "https://traces.example/?key=REDACTED",
    "https://opik.example/api/is-alive/ping",
  ];
  const neighbours = ["https://traces.example/v1", "https://opik.example/api-docs", "/relative"];
  await exported(opik, ...[...own, ...neighbours].map((url) => spanOf(url, { "url.full": url })));
  assert.deepEqual(
    exporter.spans.map(({ name }) => name),
    neighbours,
  );
});

test("an exporter that is shut down fails", async () => {
  const { opik, exporter } = clientOf();
  const made = opikSpanExporter({ client: opik });
  await made.shutdown();
  const code = await new Promise((resolve) => made.export([spanOf("late")], (result) => resolve(result.code)));
  assert.deepEqual([code, exporter.spans], [1, []]);
});

test("a flush that rejects ends forceFlush and an export", async () => {
  const client = { flush: () => Promise.reject(new Error("not Opik's")) };
  const made = opikSpanExporter({ client });
  await opikSpanProcessor({ client }).forceFlush();
  await made.forceFlush();
  assert.equal(await new Promise((resolve) => made.export([], (result) => resolve(result.code))), 0);
});

test("tokens stand once where an observer has seen the call", async () => {
  const { opik, exporter } = clientOf({ observe: [llm({ providers: { "llm.test": "openai" } })] });
  const processor = opikSpanProcessor({ client: opik });
  const active: OtelSpan[] = [];
  const api = Symbol.for("opentelemetry.js.api.1");
  const holder = globalThis as { [api]?: unknown };
  holder[api] = { context: { active: () => ({ getValue: () => active[0] }) } };
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const via = { fetch: async () => Response.json({ model: "m", choices: [], usage }) };
  try {
    for (const isObserved of [true, false]) {
      const attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 2,
      };
      const span = spanOf(`chat ${isObserved}`, attributes);
      processor.onStart(span, undefined);
      active[0] = span;
      if (isObserved) {
        const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hi" }] });
        const url = "https://llm.test/v1/chat/completions";
        await (await opik.fetch(url, { method: "POST", body, opik: { via } } as RequestInit)).text();
      }
      active.length = 0;
      processor.onEnd(span);
    }
  } finally {
    delete holder[api];
  }
  await processor.forceFlush();
  const counted = exporter.spans.filter((row) => row["usage"]).map(({ name }) => name);
  assert.deepEqual(counted.sort(), ["chat false", "chat m"]);
  const observed = exporter.spans.find(({ name }) => name === "chat m");
  assert.equal(observed?.parent_span_id, exporter.spans.find(({ name }) => name === "chat true")?.id);
});

test("a span of any shape throws nothing, and the next one is recorded", async () => {
  const { opik, exporter } = clientOf();
  const processor = opikSpanProcessor({ client: opik });
  const getter = Object.defineProperty({}, "a", { enumerable: true, get: () => assert.fail("read") });
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  for (const attributes of [getter, cycle, { n: Number.NaN, big: 10n, symbol: Symbol("s"), none: undefined }, null]) {
    const span = spanOf("odd", attributes as Json);
    processor.onStart(span, undefined);
    processor.onEnd(span);
  }
  const broken = { ...spanOf("broken"), spanContext: () => assert.fail("no context") };
  for (const on of [processor.onStart, processor.onEnd]) assert.doesNotThrow(() => on(broken, undefined));
  const fine = spanOf("fine");
  processor.onStart(fine, undefined);
  processor.onEnd(fine);
  await processor.forceFlush();
  assert.equal(exporter.spans.at(-1)?.name, "fine");
});

test("a span without its members ends, and costs an export no other span", async () => {
  for (const member of ["events", "status", "startTime", "endTime", "name"]) {
    const { opik, exporter, errors } = clientOf();
    const time = [Math.floor(Date.now() / 1000), 0];
    const span = spanOf("odd", {}, { startTime: time, endTime: time, [member]: undefined });
    await exported(opik, spanOf("fine"), span, spanOf("fine too"));
    const isRecorded = member !== "startTime";
    assert.equal(exporter.spans.length, isRecorded ? 3 : 2, member);
    assert.equal(exporter.traces.length, exporter.spans.length, member);
    assert.deepEqual(
      errors.map(({ code }) => code),
      member === "name" ? [] : ["unexpected"],
      member,
    );
  }
});

test("env of a Worker's request is not held after it", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const processor = opikSpanProcessor();
  const exporter = new InMemoryExporter();
  const parent = spanOf("parent");
  const handler = withOpik(
    {
      async fetch(_request: Request, _env: object): Promise<Response> {
        const child = spanOf("child", {}, { parentSpanContext: parent.spanContext() });
        for (const span of [parent, child]) processor.onStart(span, undefined);
        for (const span of [parent, child]) processor.onEnd(span);
        return new Response();
      },
    },
    () => ({ transport: exporter }),
  );
  const call = async (): Promise<WeakRef<object>> => {
    const env = {};
    const work: Promise<unknown>[] = [];
    const ctx = { waitUntil: (promise: Promise<unknown>) => work.push(promise), passThroughOnException() {} };
    await (handler.fetch as (...args: unknown[]) => Promise<Response>)(new Request("http://localhost/"), env, ctx);
    await Promise.all(work);
    return new WeakRef(env);
  };
  const env = await call();
  const names = new Map(exporter.spans.map(({ id, name }) => [id, name]));
  assert.deepEqual(exporter.spans.map(({ name, parent_span_id }) => [name, names.get(`${parent_span_id}`)]).sort(), [
    ["GET /", undefined],
    ["child", "parent"],
    ["parent", "GET /"],
  ]);
  await call(); // the last one is held in any case
  // A reference that is read holds its target until the next turn.
  do {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  } while (env.deref());
  await processor.shutdown();
});

test("five thousand parents are remembered, and twice as many are not", async () => {
  const { opik, exporter } = clientOf();
  const processor = opikSpanProcessor({ client: opik });
  const record = (span: OtelSpan): OtelSpan => {
    processor.onStart(span, undefined);
    processor.onEnd(span);
    return span;
  };
  const first = record(spanOf("first"));
  for (const isRemembered of [true, false]) {
    for (let index = 0; index < (isRemembered ? 4998 : 10_000); index += 1) record(spanOf("other"));
    record(spanOf(`child ${isRemembered}`, {}, { parentSpanContext: first.spanContext() }));
  }
  await processor.forceFlush();
  const children = exporter.spans.filter(({ name }) => `${name}`.startsWith("child"));
  assert.deepEqual(
    children.map(({ name, parent_span_id }) => [name, parent_span_id !== undefined]),
    [
      ["child true", true],
      ["child false", false],
    ],
  );
});

describe("otlp", () => {
  const record = async (opik: Opik): Promise<void> => {
    await opik.span({ name: "request", input: { question: "Hi" } }, async (span) => {
      span
        .span({ name: "chat m", type: "llm", model: "m", usage: { prompt_tokens: 1 }, ttft: 12.5, tags: ["a"] })
        .end();
      await Promise.resolve();
    });
    try {
      opik.span({ name: "failing", metadata: { stream: true, n: 1.5, list: ["a"], nested: { a: [1] } } }, () => {
        throw new RangeError("too far");
      });
    } catch {
      // recorded
    }
  };
  const attributeOf = (collector: OtlpCollector, name: string, key: string): unknown =>
    collector.spans.find((span) => span.name === name)?.attributes.find((one) => one.key === key)?.value;

  test("a collector gets spans that fit the definitions, and no key of Opik's", async () => {
    await using collector = await startOtlpCollector();
    const transport = otlp({ url: collector.url, headers: { "x-key": "k" } });
    const { opik, errors } = clientOf({ transport, apiKey: "opik-key", workspace: "w", projectName: "shop" });
    await record(opik);
    const report = await opik.flush();
    assert.deepEqual([collector.errors, errors, report.dropped], [[], [], {}]);
    assert.deepEqual(collector.spans.map(({ name }) => name).sort(), ["chat m", "failing", "request"]);
    assert.deepEqual(collector.services, ["shop"]);
    const [request] = collector.requests;
    assert.equal(request?.headers["x-key"], "k");
    assert.doesNotMatch(JSON.stringify(request), /opik-key/);
    const parent = collector.spans.find(({ name }) => name === "request");
    const child = collector.spans.find(({ name }) => name === "chat m");
    assert.deepEqual([child?.traceId, child?.parentSpanId], [parent?.traceId, parent?.spanId]);
    assert.deepEqual(attributeOf(collector, "chat m", "gen_ai.usage.input_tokens"), { intValue: "1" });
    const id = (attributeOf(collector, "chat m", "opik.span_id") as Json)["stringValue"] as string;
    assert.equal(child?.spanId, id.replaceAll("-", "").slice(16));
    assert.equal(report.sent, 5);
  });

  test("scores are refused and counted", async () => {
    await using collector = await startOtlpCollector();
    const { opik, errors } = clientOf({ transport: otlp({ url: collector.url }) });
    opik.span({ name: "scored" }, (span) => span.score({ name: "good", value: 1 }));
    const report = await opik.flush();
    assert.deepEqual([report.sent, report.dropped], [2, { rejected: 1 }]);
    assert.match(`${errors[0]?.message}`, /OTLP has no scores/);
  });

  test("a collector that is busy is asked again, after the time that it names", async () => {
    await using collector = await startOtlpCollector();
    for (const status of [429, 503]) collector.answers.push({ status, headers: { "retry-after": "0" } });
    const { opik, errors } = clientOf({ transport: otlp({ url: collector.url }) });
    await record(opik);
    const report = await opik.flush();
    assert.deepEqual([report.sent, report.dropped, collector.requests.length], [5, {}, 3]);
    assert.deepEqual(
      errors.map(({ message }) => /HTTP \d+/.exec(message)?.[0]),
      ["HTTP 429", "HTTP 503"],
    );
  });

  test("a partial refusal is reported once, and not sent again", async () => {
    await using collector = await startOtlpCollector();
    const body = JSON.stringify({ partialSuccess: { rejectedSpans: "2", errorMessage: "too old" } });
    collector.answers.push({ status: 200, body }, { status: 200, body });
    const told: string[] = [];
    const { opik } = clientOf({
      transport: otlp({ url: collector.url, onError: ({ message }) => told.push(message) }),
    });
    await record(opik);
    await opik.flush();
    await record(opik);
    await opik.flush();
    assert.equal(collector.requests.length, 2);
    assert.equal(told.length, 1);
    assert.match(`${told[0]}`, /refused 2 spans: too old/);
  });

  test("beside Opik, a collector gets a copy, and its failures change nothing", async () => {
    await using collector = await startOtlpCollector();
    const backend = await startCollector();
    const told: string[] = [];
    const transport = otlp({ url: collector.url, beside: true, onError: ({ message }) => told.push(message) });
    const { opik, errors } = clientOf({ transport, url: backend.url });
    await record(opik);
    collector.answers.push({ status: 500 });
    await opik.flush();
    assert.equal(backend.spans().length, 3);
    assert.equal(collector.requests.length, 1);
    assert.match(`${told}`, /the collector answered 500/);
    await record(opik);
    opik.span({ name: "scored" }, (span) => span.score({ name: "good", value: 1 }));
    const report = await opik.flush();
    assert.equal(collector.spans.length, 4);
    assert.deepEqual([report.dropped, errors, collector.errors], [{}, [], []]);
    await backend.close();
  });

  test("beside Opik, a collector that never answers does not hold up Opik's rows", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const backend = await startCollector();
    const told: string[] = [];
    const transport = otlp({ url, beside: true, onError: ({ message }) => told.push(message) });
    const { opik, errors } = clientOf({ transport, url: backend.url });
    await record(opik);
    const report = await opik.flush();
    assert.deepEqual([report.sent, report.kept, errors], [5, 0, []]);
    assert.match(`${told}`, /the collector cannot be reached/);
    await backend.close();
    silent.closeAllConnections();
    silent.close();
  });

  test("a page of HTML does not count as a delivery", async () => {
    for (const beside of [false, true]) {
      await using collector = await startOtlpCollector();
      const backend = await startCollector();
      collector.answers.push({ status: 200, headers: { "content-type": "text/html" }, body: "<html>Sign in</html>" });
      const told: string[] = [];
      const transport = otlp({ url: collector.url, beside, onError: ({ message }) => told.push(message) });
      const { opik, errors } = clientOf({ transport, url: backend.url });
      opik.span({ name: "work" }).end();
      const report = await opik.flush();
      assert.deepEqual([report.sent, report.kept], beside ? [2, 0] : [1, 1]);
      assert.match(`${told}${errors.map(({ message }) => message)}`, /text\/html/);
      await backend.close();
    }
  });

  test("compressed rows are asked for again as they are", async () => {
    for (const beside of [false, true]) {
      await using collector = await startOtlpCollector();
      const backend = await startCollector();
      const transport = { ...otlp({ url: collector.url, beside }), compress: true };
      const { opik, errors } = clientOf({ transport, url: backend.url });
      const text = "word ".repeat(20_000);
      for (let index = 0; index < 20; index += 1) opik.span({ name: "large", input: { text } }).end();
      const report = await opik.flush();
      assert.deepEqual([report.sent, report.dropped, errors, collector.spans.length], [40, {}, [], 20]);
      await backend.close();
    }
  });

  test("headers are merged whatever their case", async () => {
    for (const headers of [{ "Content-Type": "text/plain", "X-Key": "k" }, new Headers({ "x-key": "k" })]) {
      await using collector = await startOtlpCollector();
      const { opik } = clientOf({
        transport: otlp({ url: collector.url, headers: headers as Record<string, string> }),
      });
      opik.span({ name: "work" }).end();
      await opik.flush();
      const sent = collector.requests[0]?.headers;
      assert.deepEqual([sent?.["content-type"], sent?.["x-key"]], ["application/json", "k"]);
    }
  });

  test("a collector that cannot be reached costs only its own copies", async () => {
    const backend = await startCollector();
    const told: string[] = [];
    const transport = otlp({ url: "http://127.0.0.1:1", beside: true, onError: ({ message }) => told.push(message) });
    const { opik, errors } = clientOf({ transport, url: backend.url });
    await record(opik);
    await opik.flush();
    assert.deepEqual([backend.spans().length, errors, told.length], [3, [], 1]);
    await backend.close();
  });
});
