// OpenTelemetry's exporters send to the viewer as they would to Opik. Rows have the ids that Opik derives.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ROOT_CONTEXT, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { v7 as uuid7 } from "uuid";
import type { RefusalEntry, TraceSummary } from "../../viewer/src/api.js";
import { seeded } from "../hostile/seeded.js";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { PYTHON, QUIET } from "../support/python.js";
import { ROOT } from "../support/worker.js";

const PATH = "/v1/private/otel/v1/traces";
const DAY_MS = 24 * 60 * 60 * 1000;
const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";

let collector: Collector;
before(async () => {
  collector = await startCollector();
});
after(() => collector.close());
beforeEach(() => collector.store.clear());

function send(body: unknown, headers: Record<string, string> = {}, path = PATH): Promise<Response> {
  const isBytes = body instanceof Uint8Array;
  return fetch(collector.url + path, {
    method: "POST",
    body: isBytes || typeof body === "string" ? (body as BodyInit) : JSON.stringify(body),
    headers: { "content-type": isBytes ? PROTOBUF : JSON_TYPE, ...headers },
  });
}

const now = Date.now();
const nanos = (ms: number) => `${ms}000000`;
const TRACE = "0af7651916cd43dd8448eb211c80319c";
/** A trace that the viewer has not seen yet. */
const newTrace = () => randomBytes(16).toString("hex");

function span(fields: object = {}) {
  return {
    traceId: TRACE,
    spanId: "00f067aa0ba902b7",
    name: "ask",
    startTimeUnixNano: nanos(now),
    endTimeUnixNano: nanos(now + 5),
    ...fields,
  };
}

function request(spans: unknown[], attributes: unknown[] = []) {
  return { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { name: "test" }, spans }] }] };
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const sendSpans = (...spans: unknown[]) => send(request(spans));
const names = () => collector.spans().map((row) => row["name"]);

/** As UPSTREAM.md and Opik's OpenTelemetryMapper have it: 48 bits of time, and 80 of the hash. */
function derived(hex: string, ms: number): string {
  const bits = BigInt(`0x${createHash("sha256").update(Buffer.from(hex, "hex")).digest("hex").slice(0, 20)}`);
  const version = (bits & ~(0xfn << 76n)) | (7n << 76n);
  const variant = (version & ~(3n << 62n)) | (2n << 62n);
  const id = ms.toString(16).padStart(12, "0") + variant.toString(16).padStart(20, "0");
  return [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20)].join("-");
}

test("the ids are those that Opik derives", () => {
  // By Python's hashlib.
  assert.equal(derived(TRACE, 1764409000000), "019acef8-c040-7334-bd2a-4b7838de7d6e");
  assert.equal(derived("00f067aa0ba902b7", 1764409000000), "019acef8-c040-79a1-8e17-2e40dc859aed");
});

describe("an exporter of OpenTelemetry JS", () => {
  const exporters = [
    ["JSON", JsonExporter],
    ["protobuf", ProtobufExporter],
  ] as const;
  for (const [encoding, Exporter] of exporters) {
    for (const compression of ["none", "gzip"]) {
      test(`sends ${encoding} (${compression})`, async () => {
        const exporter = new Exporter({
          url: collector.url + PATH,
          headers: { projectName: "shop", "Comet-Workspace": "default" },
          compression: compression as never,
        });
        const provider = new BasicTracerProvider({
          resource: resourceFromAttributes({ "service.name": "checkout", "telemetry.sdk.language": "nodejs" }),
          spanProcessors: [new BatchSpanProcessor(exporter)],
        });
        const tracer = provider.getTracer("test");
        const inside = (parent: Span) => trace.setSpan(ROOT_CONTEXT, parent);
        const root = tracer.startSpan("answer", {
          startTime: now,
          attributes: { thread_id: "cart-81", "opik.tags": ["a", "b", "a"] },
        });
        const model = tracer.startSpan("chat gpt-5", { startTime: now + 10 }, inside(root));
        model.setAttributes({
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "openai",
          "gen_ai.request.model": "gpt-5",
          "gen_ai.response.model": "gpt-5-2026",
          "gen_ai.usage.input_tokens": 12,
          "gen_ai.usage.output_tokens": 8,
        });
        model.end(now + 15);
        const tool = tracer.startSpan("lookup ✓ 🧾", { startTime: now + 20 }, inside(root));
        tool.recordException(new TypeError("no such invoice"));
        tool.setStatus({ code: SpanStatusCode.ERROR, message: "failed" });
        tool.end(now + 20);
        root.end(now + 30);
        await provider.shutdown();

        const [row, ...others] = collector.traces();
        assert.equal(others.length, 0);
        assert.deepEqual(
          [row!["name"], row!["project_name"], row!["thread_id"], row!["tags"]],
          ["answer", "shop", "cart-81", ["a", "b"]],
        );
        const [summary] = collector.store.list().traces as [TraceSummary];
        assert.deepEqual([summary.spans, summary.errors, summary.senders], [3, 1, ["checkout · nodejs"]]);
        assert.deepEqual(shapeOf(collector.tree(row!.id)), [
          'trace "answer" 30 ms thread=cart-81',
          '└─ "answer" general 30 ms',
          '   ├─ "chat gpt-5" llm 5 ms model=gpt-5-2026 tokens=20',
          '   └─ "lookup ✓ 🧾" general 0 ms ERROR TypeError: no such invoice',
        ]);
        const { traceId, spanId } = root.spanContext();
        assert.equal(row!.id, derived(traceId, now));
        const own = collector.spans().find((row) => row["name"] === "answer")!;
        assert.equal(own.id, derived(spanId, now));
      });
    }
  }
});

test("OpenTelemetry's Python SDK sends protobuf, and Opik's processor links spans to a trace", async () => {
  const [trace_id, parent] = [uuid7(), uuid7()];
  const env = {
    ...process.env,
    ...QUIET,
    TRACE_ID: trace_id,
    PARENT_ID: parent,
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/v1/private/otel`,
    OTEL_EXPORTER_OTLP_HEADERS: "projectName=Demo%20Project,Comet-Workspace=default",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    PYTHONDONTWRITEBYTECODE: "1",
  };
  await promisify(execFile)(PYTHON, [join(ROOT, "tests/interop/otlp.py")], { env });
  const rows = collector.traces();
  assert.deepEqual(
    rows.map((row) => [row["name"], row["project_name"]]),
    [["alone", "Demo Project"]],
  );
  const withoutTimes = (id: string) => shapeOf(collector.tree(id)).map((line) => line.replace(/ \d+ ms/, ""));
  assert.deepEqual(withoutTimes(rows[0]!.id), [
    'trace "alone"',
    '└─ "alone" general',
    '   ├─ "chat" llm model=gpt-5 tokens=7',
    "   └─ \"lookup\" general ERROR KeyError: 'INV-7'",
  ]);
  assert.deepEqual(withoutTimes(trace_id), [
    "trace (no trace row)",
    '└─ "linked" general (orphan: no span PARENT)'.replace("PARENT", parent),
    '   └─ "below" general',
  ]);
  assert.deepEqual(collector.store.summary(trace_id)!.senders, ["ranker · python"]);
});

/** A tree without ids. */
function shapeOf(tree: string): string[] {
  return tree.split("\n").map((line) => line.replace(/trace \S+/, "trace").replace(/(\S) {2}/g, "$1 "));
}

describe("ids", () => {
  test("a span that names its ids has them, and no trace row", async () => {
    const [id, trace_id, parent] = [uuid7(), uuid7(), uuid7()];
    const link = [
      text("opik.trace_id", trace_id.toUpperCase()),
      text("opik.parent_span_id", parent),
      text("opik.span_id", id),
    ];
    await sendSpans(span({ attributes: link }));
    const [row] = collector.spans();
    assert.deepEqual([row!.id, row!.trace_id, row!.parent_span_id], [id, trace_id, parent]);
    assert.deepEqual(collector.traces(), []);
  });

  test("a span that names its trace alone hangs under the trace, with an id that is derived", async () => {
    const trace_id = uuid7();
    await sendSpans(span({ parentSpanId: "b7ad6b7169203331", attributes: [text("opik.trace_id", trace_id)] }));
    const [row] = collector.spans();
    assert.deepEqual(
      [row!.id, row!.trace_id, row!.parent_span_id],
      [derived("00f067aa0ba902b7", now), trace_id, undefined],
    );
    assert.deepEqual(collector.traces(), []);
  });

  for (const [what, link] of [
    ["of version 4", "9b2fa2ba-3b0f-4c83-9d52-0fa1d2a6a0d1"],
    ["that are no UUIDs", "trace"],
    ["that are empty", ""],
  ]) {
    test(`ids ${what} are ignored`, async () => {
      await sendSpans(span({ attributes: ["trace_id", "span_id"].map((name) => text(`opik.${name}`, link!)) }));
      assert.equal(collector.spans()[0]!.id, derived("00f067aa0ba902b7", now));
      assert.equal(collector.traces()[0]!.id, derived(TRACE, now));
    });
  }

  test("a parent alone is ignored", async () => {
    await sendSpans(span({ attributes: [text("opik.parent_span_id", uuid7())] }));
    assert.equal(collector.spans()[0]!.parent_span_id, undefined);
    assert.equal(collector.traces().length, 1);
  });

  test("descendants that name no ids have their own trace without a row, below a span that names its ids", async () => {
    const link = { trace_id: uuid7(), span_id: uuid7() };
    const named = span({
      attributes: Object.entries(link).map(([name, id]) => text(`opik.${name}`, id)),
    });
    await sendSpans(named, span({ spanId: "b7ad6b7169203331", parentSpanId: "00f067aa0ba902b7" }));
    const child = collector.spans().find(({ trace_id }) => trace_id !== link.trace_id)!;
    assert.equal(child.trace_id, derived(TRACE, now));
    assert.equal(child.parent_span_id, derived("00f067aa0ba902b7", now));
    assert.deepEqual(collector.traces(), []);
  });

  test("the first request decides on a trace's id, by its earliest span", async () => {
    const traceId = newTrace();
    const later = (spanId: string, ms: number) =>
      span({ traceId, spanId, parentSpanId: "00f067aa0ba902b7", startTimeUnixNano: nanos(ms) });
    await sendSpans(later("b7ad6b7169203331", now + 7), later("b7ad6b7169203332", now + 9));
    await sendSpans(span({ traceId }));
    const id = derived(traceId, now + 7);
    assert.deepEqual(new Set(collector.spans().map(({ trace_id }) => trace_id)), new Set([id]));
    assert.equal(collector.traces()[0]!.id, id);
    assert.match(collector.tree(id), /└─ "ask".*\n {3}├─ "ask"/);
    await send(request([span({ traceId })]), { projectName: "other" });
    assert.equal(collector.traces().length, 2, "in another project it is another trace");
  });

  test("two root spans have one trace: the first one's", async () => {
    await sendSpans(span({ name: "first" }), span({ name: "second", spanId: "b7ad6b7169203331", parentSpanId: TRACE }));
    assert.deepEqual(
      collector.traces().map((row) => row["name"]),
      ["first"],
    );
  });

  test("a request that comes twice changes nothing", async () => {
    await sendSpans(span());
    await sendSpans(span());
    assert.deepEqual([collector.traces().length, collector.spans().length], [1, 1]);
  });

  for (const [what, ms] of [
    ["from more than a day ago", now - 2 * DAY_MS],
    ["from the future", now + 2 * DAY_MS],
  ] as const) {
    test(`spans ${what} are refused as Opik refuses them`, async () => {
      const response = await sendSpans(span({ traceId: newTrace(), startTimeUnixNano: nanos(ms) }));
      assert.equal(response.status, 400);
      assert.match(
        ((await response.json()) as { message: string }).message,
        /Invalid UUID for id: .*outside the window/,
      );
      assert.deepEqual([collector.spans(), collector.traces()], [[], []]);
      const [refusal] = (await refusals()) as [RefusalEntry];
      assert.deepEqual([refusal.name, refusal.row, refusal.field], ["ask", 0, "id"]);
    });
  }
});

async function refusals(): Promise<RefusalEntry[]> {
  const response = await fetch(`${collector.url}/viewer/refusals`);
  return ((await response.json()) as { refusals: RefusalEntry[] }).refusals;
}

describe("JSON", () => {
  test("values of every type", async () => {
    const value = (key: string, value: unknown) => ({ key, value });
    await sendSpans(
      span({
        attributes: [
          value("opik.metadata.text", { stringValue: "" }),
          value("opik.metadata.flag", { boolValue: false }),
          value("opik.metadata.int", { intValue: "-7" }),
          value("opik.metadata.number", { intValue: 7 }),
          value("opik.metadata.large", { intValue: "9223372036854775807" }),
          value("opik.metadata.double", { doubleValue: 0.5 }),
          value("opik.metadata.nan", { doubleValue: "NaN" }),
          value("opik.metadata.bytes", { bytesValue: "AAE=" }),
          value("opik.metadata.none", {}),
          value("opik.metadata.list", { arrayValue: { values: [{ intValue: 1 }, { stringValue: "b" }, {}] } }),
          value("opik.metadata.map", { kvlistValue: { values: [value("__proto__", { boolValue: true })] } }),
        ],
      }),
    );
    const { metadata } = collector.spans()[0]! as { metadata?: Record<string, unknown> };
    const of = (name: string) => metadata?.[name];
    assert.deepEqual(["text", "flag", "int", "number", "large", "double", "nan", "bytes", "list"].map(of), [
      "",
      false,
      -7,
      7,
      "9223372036854775807",
      0.5,
      "NaN",
      "AAE=",
      [1, "b", null],
    ]);
    assert.equal(JSON.stringify(of("map")), '{"__proto__":true}');
  });

  test("unknown fields and snake_case are ignored, and so is null", async () => {
    const response = await send({ resource_spans: [{}], resourceSpans: null, later: [1] });
    assert.deepEqual([response.status, await response.json()], [200, {}]);
    await sendSpans(span({ span_id: "b7ad6b7169203331", kind: "SPAN_KIND_SERVER", links: 7, attributes: null }));
    assert.equal(collector.spans()[0]!.id, derived("00f067aa0ba902b7", now));
  });

  test("times as numbers; a span that has not ended is open", async () => {
    await sendSpans(span({ startTimeUnixNano: (now + 0.5005) * 1e6, endTimeUnixNano: 0 }));
    const [row] = collector.spans();
    assert.deepEqual(
      [row!["start_time"], row!["end_time"]],
      [new Date(now).toISOString().replace("Z", "500Z"), undefined],
    );
  });

  const malformed: [string, unknown][] = [
    ["a list", []],
    ["a text", '"resourceSpans"'],
    ["nothing", ""],
    ["half of it", JSON.stringify(request([span()])).slice(0, 100)],
    ["resourceSpans that is no list", { resourceSpans: {} }],
    ["a resource that is null in the list", { resourceSpans: [null] }],
    ["spans that are texts", request(["span"])],
    ["an id in base64", request([span({ traceId: "CvdlGRbNQ92ESOshHIAxnA==" })])],
    ["a short trace id", request([span({ traceId: "0af7651916cd43dd" })])],
    ["a trace id of zeros", request([span({ traceId: "0".repeat(32) })])],
    ["no span id", request([span({ spanId: undefined })])],
    ["a long span id", request([span({ spanId: TRACE })])],
    ["a long parent id", request([span({ parentSpanId: TRACE.replace("0", "1") })])],
    ["a name that is a number", request([span({ name: 7 })])],
    ["a time that is a date", request([span({ startTimeUnixNano: "2026-01-01T00:00:00Z" })])],
    ["a negative time", request([span({ startTimeUnixNano: -1 })])],
    ["a time beyond 64 bits", request([span({ endTimeUnixNano: "18446744073709551616" })])],
    ["no time", request([span({ traceId: newTrace(), startTimeUnixNano: undefined })])],
    ["a status by its name", request([span({ status: { code: "STATUS_CODE_ERROR" } })])],
    [
      "an integer beyond 64 bits",
      request([span({ attributes: [{ key: "a", value: { intValue: "9223372036854775808" } }] })]),
    ],
    ["a fraction as an integer", request([span({ attributes: [{ key: "a", value: { intValue: 1.5 } }] })])],
    ["a flag that is a text", request([span({ attributes: [{ key: "a", value: { boolValue: "true" } }] })])],
    ["a value that is not typed", request([span({ attributes: [{ key: "a", value: "b" }] })])],
  ];
  for (const [what, body] of malformed) {
    test(`${what} is malformed`, async () => {
      const response = await send(body);
      assert.equal(response.status, 400);
      const { code, message } = (await response.json()) as { code: number; message: string };
      assert.equal(code, 3);
      assert.ok(message.length > 10, message);
      assert.deepEqual(collector.spans(), []);
    });
  }
});

/** Encodes fields by their numbers: texts, bytes, numbers as varints, bigints as fixed64, lists of fields as messages. */
type Value = string | number | bigint | Uint8Array | Fields;
type Fields = readonly (readonly [number, Value])[];

function encode(fields: Fields, writer = new BinaryWriter()): BinaryWriter {
  for (const [number, value] of fields) {
    if (typeof value === "number") writer.tag(number, WireType.Varint).int64(value);
    else if (typeof value === "bigint") writer.tag(number, WireType.Bit64).fixed64(value);
    else if (typeof value === "string") writer.tag(number, WireType.LengthDelimited).string(value);
    else if (value instanceof Uint8Array) writer.tag(number, WireType.LengthDelimited).bytes(value);
    else encode(value, writer.tag(number, WireType.LengthDelimited).fork()).join();
  }
  return writer;
}

const hex = (digits: string) => new Uint8Array(Buffer.from(digits, "hex"));
const bytesOf = (fields: Fields) => encode(fields).finish();
const BASE: Fields = [
  [1, hex(TRACE)],
  [2, hex("00f067aa0ba902b7")],
  [5, "ask"],
  [7, BigInt(nanos(now))],
  [8, BigInt(nanos(now + 5))],
];
const inRequest = (...spans: Value[]): Fields => [[1, [[2, spans.map((one) => [2, one] as const)]]]];

describe("protobuf", () => {
  test("a request without spans is answered with an empty message", async () => {
    const response = await send(new Uint8Array());
    assert.deepEqual(
      [response.status, response.headers.get("content-type"), (await response.bytes()).length],
      [200, PROTOBUF, 0],
    );
  });

  test("unknown fields are skipped, of every wire type", async () => {
    const unknown = new BinaryWriter()
      .tag(99, WireType.Varint)
      .uint64(2n ** 64n - 1n)
      .tag(99, WireType.Bit64)
      .fixed64(7n)
      .tag(99, WireType.Bit32)
      .fixed32(7)
      .tag(99, WireType.LengthDelimited)
      .bytes(new Uint8Array(9))
      .tag(99, WireType.StartGroup)
      .tag(1, WireType.Varint)
      .int32(1)
      .tag(99, WireType.EndGroup)
      .raw(bytesOf(BASE))
      .finish();
    assert.equal((await send(bytesOf(inRequest(unknown)))).status, 200);
    assert.deepEqual(names(), ["ask"]);
  });

  test("values of every type", async () => {
    const double = new BinaryWriter().tag(4, WireType.Bit64).double(Number.NEGATIVE_INFINITY).finish();
    const attribute = (key: string, value: Value): readonly [number, Value] => [
      9,
      [
        [1, `opik.metadata.${key}`],
        [2, value],
      ],
    ];
    const attributes: Fields = [
      attribute("text", [[1, "ü"]]),
      attribute("flag", [[2, 1]]),
      attribute("int", [[3, -7]]),
      attribute("double", double),
      attribute("list", [
        [
          5,
          [
            [1, [[3, 1]]],
            [1, [[1, "b"]]],
          ],
        ],
      ]),
      attribute("map", [
        [
          6,
          [
            [
              1,
              [
                [1, "k"],
                [2, [[2, 0]]],
              ],
            ],
          ],
        ],
      ]),
      attribute("bytes", [[7, hex("0001")]]),
    ];
    assert.equal((await send(bytesOf(inRequest([...BASE, ...attributes])))).status, 200);
    const { metadata } = collector.spans()[0]! as { metadata?: Record<string, unknown> };
    assert.deepEqual(
      ["text", "flag", "int", "double", "list", "map", "bytes"].map((name) => metadata?.[name]),
      ["ü", true, -7, "-Infinity", [1, "b"], { k: false }, "AAE="],
    );
  });

  const deep = (levels: number) => {
    let value: Fields = [[1, "x"]];
    for (let level = 0; level < levels; level += 1)
      value = [
        [
          6,
          [
            [
              1,
              [
                [1, "k"],
                [2, value],
              ],
            ],
          ],
        ],
      ];
    return bytesOf(
      inRequest([
        ...BASE,
        [
          9,
          [
            [1, "deep"],
            [2, value],
          ],
        ],
      ]),
    );
  };

  test("values may be nested", async () => assert.equal((await send(deep(20))).status, 200));

  const whole = bytesOf(inRequest(BASE));
  const malformed: [string, Uint8Array][] = [
    ["JSON", new TextEncoder().encode(JSON.stringify(request([span()])))],
    ["a value that is nested a thousand times", deep(1000)],
    ["a name that is not UTF-8", bytesOf(inRequest([...BASE, [5, hex("c328")]]))],
    ["a name that is a number", bytesOf(inRequest([...BASE, [5, 7]]))],
    ["a time that is a varint", bytesOf(inRequest([...BASE, [7, 7]]))],
    ["a flag that is a text", bytesOf(inRequest([...BASE, [9, [[2, [[2, ""]]]]]]))],
    ["an attribute that is a fixed64", bytesOf(inRequest([...BASE, [9, 7n]]))],
    ["a span that is a group", new BinaryWriter().tag(1, WireType.StartGroup).tag(1, WireType.EndGroup).finish()],
    ["a group that does not end", new BinaryWriter().tag(99, WireType.StartGroup).finish()],
    ["groups in groups", new Uint8Array(100_000).fill(0x0b)],
    ["an end of a group", new Uint8Array([0x0c])],
    ["field 0", new Uint8Array([0x00, 0x00])],
    ["wire type 7", new Uint8Array([0x0f])],
    ["a length of 4 GB", new Uint8Array([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    [
      "a varint of 11 bytes",
      bytesOf(inRequest([...BASE, [15, new Uint8Array([0x18, ...new Uint8Array(10).fill(0xff), 1])]])),
    ],
    [
      "a length beyond its message",
      bytesOf([
        [1, hex("1205")],
        [1, hex("0000000000")],
      ]),
    ],
    ["a short trace id", bytesOf(inRequest([[1, hex("0af7")], ...BASE.slice(1)]))],
    ["no ids", bytesOf(inRequest([[5, "ask"]]))],
  ];
  for (const [what, body] of malformed) {
    test(`${what} is malformed`, async () => {
      const response = await send(body);
      assert.deepEqual([response.status, response.headers.get("content-type")], [400, PROTOBUF]);
      const reader = new BinaryReader(await response.bytes());
      assert.deepEqual(
        [reader.tag(), reader.int32(), reader.tag()],
        [[1, WireType.Varint], 3, [2, WireType.LengthDelimited]],
      );
      assert.ok(reader.string(true).length > 10);
      assert.deepEqual(collector.spans(), []);
    });
  }

  test("cut off anywhere, it is malformed, or ends between two messages", async () => {
    for (let length = 1; length < whole.length; length += 1) {
      assert.equal((await send(whole.slice(0, length))).status, 400, `${length}`);
    }
    assert.deepEqual(collector.spans(), []);
  });

  test("more messages than memory should hold are refused", async () => {
    const empty = new Uint8Array(5_000_000).map((_, at) => (at % 2 === 0 ? 0x0a : 0));
    assert.equal((await send(new Uint8Array(gzipSync(empty)), { "content-encoding": "gzip" })).status, 413);
  });
});

test("bodies that are changed at random are stored or refused, and never end the viewer", async () => {
  const attribute: Fields = [
    [1, "gen_ai.usage.input_tokens"],
    [
      2,
      [
        [
          5,
          [
            [1, [[3, 12]]],
            [1, [[1, "b"]]],
          ],
        ],
      ],
    ],
  ];
  const seeds = [
    bytesOf(
      inRequest([
        ...BASE,
        [9, attribute],
        [
          11,
          [
            [1, 7n],
            [2, "exception"],
            [3, attribute],
          ],
        ],
        [
          15,
          [
            [2, "no"],
            [3, 2],
          ],
        ],
      ]),
    ),
    new TextEncoder().encode(
      JSON.stringify(request([span({ attributes: [text("a", "b")], events: [{ name: "e" }] })])),
    ),
  ];
  for (let seed = 1; seed <= 600; seed += 1) {
    const random = seeded(seed);
    const body = seeds[seed % 2]!.slice();
    for (let changes = 1 + random.below(6); changes > 0; changes -= 1) {
      body[random.below(body.length)] = random.below(256);
    }
    const cut = random.below(4) === 0 ? body.slice(0, random.below(body.length)) : body;
    const { status } = await send(cut, { "content-type": seed % 2 === 0 ? PROTOBUF : JSON_TYPE });
    assert.ok([200, 400, 413].includes(status), `seed ${seed}: ${status}`);
  }
});

describe("a request", () => {
  const body = request([span()]);
  test("of another type is refused", async () => {
    for (const type of ["text/plain", "application/x-ndjson", ""]) {
      assert.equal((await send(JSON.stringify(body), { "content-type": type })).status, 415);
    }
    assert.equal((await send(JSON.stringify(body), { "content-type": "Application/JSON; charset=utf-8" })).status, 200);
  });

  test("of metrics and logs is answered as Opik does", async () => {
    for (const signal of ["metrics", "logs"]) {
      const response = await send({}, {}, `/v1/private/otel/v1/${signal}`);
      assert.equal(response.status, 501);
      assert.match(
        ((await response.json()) as { message: string }).message,
        new RegExp(`${signal} .*not yet supported`),
      );
    }
  });

  test("to another path or by another method is refused", async () => {
    const twice = await send(body, {}, `${PATH}/v1/traces`);
    assert.equal(twice.status, 404);
    assert.match(
      ((await twice.json()) as { message: string }).message,
      /OTEL_EXPORTER_OTLP_ENDPOINT is .*private\/otel/,
    );
    assert.equal((await fetch(collector.url + PATH)).status, 405);
  });

  test("has the Default Project without a header", async () => {
    await send(body);
    await send(body, { projectName: " " });
    assert.deepEqual(new Set(collector.spans().map((row) => row["project_name"])), new Set(["Default Project"]));
  });

  test("of a page of another site is refused, and one of this machine's is not", async () => {
    const sent = (origin: string) => send(body, { origin, "sec-fetch-site": "cross-site" });
    assert.equal((await sent("https://evil.example")).status, 403);
    assert.deepEqual(collector.spans(), []);
    const response = await sent("http://localhost:3000");
    assert.deepEqual(
      [response.status, response.headers.get("access-control-allow-origin")],
      [200, "http://localhost:3000"],
    );
    assert.match(response.headers.get("access-control-allow-headers")!, /projectname/);
  });

  test("with a broken gzip body is refused", async () => {
    const response = await send(new Uint8Array(9), { "content-encoding": "gzip" });
    assert.deepEqual([response.status, response.headers.get("content-type")], [400, PROTOBUF]);
  });

  test("of JSON that is nested too deeply is refused", async () => {
    assert.equal((await send("[".repeat(200_000))).status, 400);
  });
});

describe("a sender", () => {
  const senderOf = async (attributes: unknown[], headers: Record<string, string> = {}) => {
    await send(request([span()], attributes), headers);
    return collector.store.list().traces[0]!.senders;
  };

  test("is the service", async () => {
    const attributes = [text("service.name", "shop"), text("telemetry.sdk.language", "python")];
    assert.deepEqual(await senderOf(attributes), ["shop · python"]);
  });

  test("without a name has its project's", async () => {
    const attributes = [text("service.name", "unknown_service:node"), text("telemetry.sdk.language", "nodejs")];
    assert.deepEqual(await senderOf(attributes, { projectName: "orders" }), ["orders · nodejs"]);
  });

  test("without either is read from the request", async () => {
    const agent = { "user-agent": "OTel-OTLP-Exporter-Python/1.38.0" };
    assert.deepEqual(await senderOf([], agent), ["opentelemetry · python"]);
  });

  test("each resource of a request is a sender", async () => {
    const of = (name: string, fields: object) => request([span(fields)], [text("service.name", name)]).resourceSpans[0];
    await send({
      resourceSpans: [
        of("gateway", {}),
        of("ledger", { spanId: "b7ad6b7169203331", parentSpanId: "00f067aa0ba902b7" }),
      ],
    });
    assert.deepEqual(
      collector.store.ofTrace(collector.traces()[0]!.id).map(({ entity, sender }) => `${entity} ${sender}`),
      ["traces gateway · node", "spans gateway · node", "spans ledger · node"],
    );
  });
});

test("usage that a parent has from its children counts once", async () => {
  const usage = (tokens: number) => [
    { key: "gen_ai.request.model", value: { stringValue: "gpt-5" } },
    { key: "gen_ai.usage.input_tokens", value: { intValue: tokens } },
  ];
  const child = (spanId: string) => span({ spanId, parentSpanId: "00f067aa0ba902b7", attributes: usage(5) });
  await sendSpans(span({ attributes: usage(10) }), child("b7ad6b7169203331"), child("b7ad6b7169203332"));
  assert.equal(collector.store.list().traces[0]!.tokens, 10);
  collector.store.clear();
  await sendSpans(span({ attributes: usage(11) }), child("b7ad6b7169203331"), child("b7ad6b7169203332"));
  assert.equal(collector.store.list().traces[0]!.tokens, 21);
});

test("an upload is passed on as it came", async (t) => {
  const target = await startCollector();
  const from = await startCollector({ forward: { url: target.url } });
  t.after(() => closeAll(from, target));
  const body = bytesOf(inRequest(BASE));
  const headers = { "content-type": PROTOBUF, projectName: "shop" };
  const sent = (url: string) => fetch(url, { method: "POST", body: body as BodyInit, headers });
  assert.equal((await sent(`${from.url}/v1/private/otel/v1/metrics`)).status, 501);
  assert.equal((await sent(from.url + PATH)).status, 200);
  await target.until(() => target.spans().length === 1);
  assert.equal(target.requests.length, 1, "without the metrics");
  assert.deepEqual(target.spans()[0]!["project_name"], "shop");
});
