// Behaviour that every runtime shares. Runs in Node, Deno, Bun and workerd against the installed package and a real
// collector, and uses only APIs that all of them have.

import { assert } from "chai";
import * as ambient from "opik-edge";
import { type HeaderCarrier, Opik, type OpikError, type Span, type SpanOptions } from "opik-edge";
import vectors from "../vectors/headers.json" with { type: "json" };

/** Environment of the suite. */
export interface SuiteEnv {
  /** Base URL of the collector's API. */
  readonly collector: string;
  /** Base URL of a server that answers every request with its method, path and headers as JSON. */
  readonly echo: string;
  /** The runtime's name for backends. */
  readonly runtime: string;
  /** `true` if spans stay current across an await in this runtime. */
  readonly asyncContext: boolean;
}

/** The outcome of one case. */
export interface CaseResult {
  readonly name: string;
  readonly error?: string;
}

type Row = Record<string, unknown> & { id: string; trace_id?: string; parent_span_id?: string };

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const HEADERS = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Runs every case in turn and returns the outcome of each. */
export async function runSuite(env: SuiteEnv): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run(new Fixture(env));
      results.push({ name });
    } catch (error) {
      results.push({ name, error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) });
    }
  }
  return results;
}

/** A client that sends to the collector, and the errors that it reported. */
class Fixture {
  readonly errors: OpikError[] = [];
  readonly opik: Opik;

  constructor(readonly env: SuiteEnv) {
    this.opik = this.client();
  }

  client(config: object = {}): Opik {
    return new Opik({
      url: this.env.collector,
      background: false, // each test flushes explicitly
      onError: (error) => this.errors.push(error),
      ...config,
    });
  }

  codes(): string[] {
    return this.errors.map((error) => error.code);
  }

  async flushed(rows: number): Promise<void> {
    const report = await this.opik.flush();
    assert.deepEqual([report.sent, report.dropped], [rows, {}], "every row is sent");
  }

  async spans(traceId: string): Promise<Row[]> {
    const response = await fetch(`${this.env.collector}/v1/private/spans?trace_id=${traceId}`);
    return ((await response.json()) as { content: Row[] }).content;
  }

  async span(span: Span): Promise<Row> {
    const row = (await this.spans(span.traceId)).find(({ id }) => id === span.id);
    return row ?? assert.fail(`span ${span.id} has arrived`);
  }

  /** The trace row, or `undefined`. */
  async trace(id: string): Promise<Row | undefined> {
    const response = await fetch(`${this.env.collector}/v1/private/traces/${id}`);
    const row = (await response.json()) as Row;
    return response.ok ? row : undefined;
  }

  /** The recorded row of a span that is opened, updated and ended with these fields. */
  async recorded(options: SpanOptions): Promise<Row> {
    const span = this.opik.span(options);
    span.end();
    await this.flushed(2);
    return this.span(span);
  }
}

/** Stands for work that the host awaits, so that other tasks get their turn. */
async function later(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
}

async function drain(iterable: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}

const cases: Record<string, (fixture: Fixture) => Promise<void>> = {
  async "a parentless span begins a trace and mirrors itself into its row"(t) {
    const span = t.opik.span({ name: "root", type: "tool", input: { q: 1 }, tags: ["a", "a"], metadata: { m: 1 } });
    assert.match(span.id, UUID7);
    assert.match(span.traceId, UUID7);
    assert.isTrue(span.traceId < span.id, "ids sort by creation");
    span.update({ output: { a: 2 } });
    span.trace.update({ threadId: "t-1", tags: ["b"] });
    span.end();
    await t.flushed(2);
    const row = await t.span(span);
    assert.include(row, { name: "root", type: "tool", source: "sdk", project_name: "Default Project" });
    assert.deepEqual([row["input"], row["output"], row["tags"]], [{ q: 1 }, { a: 2 }, ["a"]]);
    const trace = await t.trace(span.traceId);
    assert.include(trace, { name: "root", thread_id: "t-1", source: "sdk" });
    assert.deepEqual([trace!["input"], trace!["output"], trace!["tags"]], [{ q: 1 }, { a: 2 }, ["a", "b"]]);
    assert.deepEqual(t.codes(), []);
  },

  async "a span under incoming headers joins, and no trace row is written"(t) {
    const span = t.opik.span({ name: "joined", parent: HEADERS });
    const child = span.span({ name: "child" });
    assert.equal(span.traceId, TRACE);
    assert.equal(span.parentSpanId, PARENT);
    span.trace.update({ name: "not ours" });
    child.end();
    span.end();
    await t.flushed(2);
    assert.equal((await t.span(child)).parent_span_id, span.id);
    assert.isUndefined(await t.trace(TRACE));
    assert.deepEqual(t.codes(), ["joined_trace"]);
  },

  async "headers are read from every shape that runtimes and frameworks use"(t) {
    const pairs = Object.entries(HEADERS);
    const carriers: Record<string, HeaderCarrier> = {
      Headers: new Headers(HEADERS),
      Request: new Request("http://localhost/", { headers: HEADERS }),
      "a plain object": { OPIK_TRACE_ID: TRACE, Opik_Parent_Span_Id: PARENT },
      "Node's header object": { "opik-trace-id": [TRACE, TRACE], "opik-parent-span-id": PARENT, host: "x" },
      "an incoming message": { headers: HEADERS },
      "a Map": new Map(pairs),
      pairs: pairs as [string, string][],
      "repeated pairs": [...pairs, ...pairs] as [string, string][],
    };
    for (const [shape, parent] of Object.entries(carriers)) {
      const span = t.opik.span({ parent });
      assert.equal(`${span.traceId} ${span.parentSpanId}`, `${TRACE} ${PARENT}`, shape);
    }
    assert.deepEqual(t.codes(), []);
  },

  async "hostile carriers never throw and begin a new trace"(t) {
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const throwing = {
      get headers(): never {
        throw new Error("no");
      },
    };
    for (const parent of [revoked.proxy, throwing, { get: () => 7 }, 7, "text", { opik_trace_id: {} }, [[1, 2]]]) {
      const span = t.opik.span({ parent: parent as HeaderCarrier });
      assert.match(span.traceId, UUID7);
      assert.notEqual(span.traceId, TRACE);
    }
  },

  async "the golden header vectors mean here what they mean in Rust"(t) {
    // The vectors bring their own clock. Ids from its future might lie in the past by now.
    const now = Date.now();
    for (const { name, given, now_ms, trace_id, parent_id } of vectors.accepted) {
      if (now_ms > now || name.includes("from the future")) continue;
      const span = t.opik.span({ parent: given as HeaderCarrier });
      assert.equal(span.traceId, trace_id, name);
      assert.equal(span.parentSpanId ?? null, parent_id ?? null, name);
    }
    for (const { name, given, reason } of vectors.rejected) {
      if (reason.endsWith("in_the_future")) continue; // depends on the vector's clock
      const client = t.client();
      const before = t.errors.length;
      const span = client.span({ parent: given as HeaderCarrier });
      assert.match(span.traceId, UUID7, name);
      assert.notInclude(Object.values(given) as unknown[], span.traceId, name);
      assert.include(t.errors[before]?.message, reason, name);
    }
  },

  async "outgoing headers carry both ids in both spellings, or in the requested spelling"(t) {
    const span = t.opik.span();
    const underscore = { opik_trace_id: span.traceId, opik_parent_span_id: span.id };
    const hyphen = { "opik-trace-id": span.traceId, "opik-parent-span-id": span.id };
    assert.deepEqual(span.headers(), { ...underscore, ...hyphen });
    assert.deepEqual(span.headers({ spelling: "underscore" }), underscore);
    assert.deepEqual(span.headers({ spelling: "hyphen" }), hyphen);
  },

  async "inject replaces the caller's headers in place, and copies immutable headers"(t) {
    const span = t.opik.span({ parent: HEADERS });
    const headers = new Headers({ ...HEADERS, "opik-trace-id": TRACE, accept: "*/*" });
    assert.strictEqual(span.inject(headers, { spelling: "underscore" }), headers);
    assert.deepEqual([...headers.keys()].sort(), ["accept", "opik_parent_span_id", "opik_trace_id"]);
    assert.equal(headers.get("opik_parent_span_id"), span.id);
    const record: Record<string, string> = { Opik_Trace_Id: TRACE, a: "b" };
    assert.deepEqual(span.inject(record), { a: "b", ...span.headers() });
    const immutable = (await fetch(t.env.echo)).headers;
    assert.equal(span.inject(immutable).get("opik_trace_id"), TRACE);
  },

  async "every field of the write model arrives under its name"(t) {
    const row = await t.recorded({
      name: "all",
      type: "llm",
      input: { i: 1 },
      output: { o: 1 },
      metadata: { m: 1 },
      tags: ["x"],
      model: "gpt",
      provider: "openai",
      usage: { prompt_tokens: 1, odd: 1.5, huge: 3e9, details: { cached: 2 } },
      totalEstimatedCost: 0.25,
      ttft: 12.5,
      error: new TypeError("bad"),
    });
    assert.include(row, { name: "all", type: "llm", model: "gpt", provider: "openai", ttft: 12.5 });
    assert.equal(row["total_estimated_cost"], 0.25);
    assert.deepEqual(row["usage"], { prompt_tokens: 1, "details.cached": 2 });
    const error = row["error_info"] as Record<string, string>;
    assert.include(error, { exception_type: "TypeError", message: "bad" });
    assert.isAbove(error["traceback"]!.length, 0);
    assert.deepEqual(t.codes(), ["field_dropped"]);
  },

  async "a value that is not a plain object is wrapped, arrays too"(t) {
    const row = await t.recorded({ input: [1, 2, 3], output: "text" });
    assert.deepEqual([row["input"], row["output"]], [{ input: [1, 2, 3] }, { output: "text" }]);
  },

  async "values that JSON lacks are written readably"(t) {
    const cycle: Record<string, unknown> = { twice: {} };
    cycle["self"] = cycle;
    const row = await t.recorded({
      input: {
        map: new Map([["k", new Set([1])]]),
        pairs: new Map([[1, 2]]),
        big: 12345678901234567890n,
        bytes: new Uint8Array(3),
        error: new Error("e", { cause: "c" }),
        date: new Date(0),
        cycle,
        request: new Request("https://x.test/path?secret=1", { method: "POST", headers: { a: "b" } }),
        response: new Response(null, { status: 204 }),
        headers: new Headers({ authorization: "secret" }),
        stream: new ReadableStream(),
        lone: "\ud800",
        nothing: undefined,
      },
    });
    assert.deepEqual(row["input"], {
      map: { k: [1] },
      pairs: [[1, 2]],
      big: "12345678901234567890",
      bytes: "[Uint8Array of 3 bytes]",
      error: { name: "Error", message: "e", cause: "c" },
      date: "1970-01-01T00:00:00.000Z",
      cycle: { twice: {}, self: "[circular]" },
      request: { method: "POST", url: "https://x.test/path" },
      response: { status: 204 },
      headers: { headers: ["authorization"] },
      stream: "[ReadableStream]",
      lone: "\ud800",
    });
  },

  async "a field that cannot be written loses neither the row nor its other fields"(t) {
    const row = await t.recorded({
      name: "kept",
      input: {
        toJSON() {
          throw new Error("no");
        },
      },
      output: { fine: true },
    });
    assert.deepEqual([row["name"], row["output"]], ["kept", { fine: true }]);
    assert.deepEqual(row["input"], { input: "[unserializable: no]" });
    assert.deepEqual(t.codes(), ["unserializable"]);
  },

  async "long and multi-byte texts arrive byte for byte"(t) {
    const text = 'a€😀\u001f\u0000"\\\n'.repeat(10_000);
    const row = await t.recorded({ input: { text } });
    assert.isTrue((row["input"] as { text: string }).text === text);
  },

  async "a thrown value of any type is recorded and rethrown untouched"(t) {
    for (const [thrown, type, message] of [
      [new RangeError("r"), "RangeError", "r"],
      ["text", "string", "text"],
      [undefined, "undefined", "undefined"],
      [{ code: 7 }, "Object", '{"code":7}'],
      [null, "object", "null"],
    ] as const) {
      let span: Span | undefined;
      let caught: unknown = "nothing";
      try {
        t.opik.span({ name: "throws" }, (current) => {
          span = current;
          throw thrown;
        });
      } catch (error) {
        caught = error;
      }
      assert.strictEqual(caught, thrown);
      await t.flushed(2);
      const error = (await t.span(span!))["error_info"] as Record<string, string>;
      assert.deepEqual([error["exception_type"], error["message"]], [type, message]);
      assert.isAbove(error["traceback"]!.length, 0);
    }
    assert.deepEqual(t.codes(), []);
  },

  async "a scoped call is sync for a sync function and ends when a promise settles"(t) {
    assert.equal(
      t.opik.span({}, () => 7),
      7,
    );
    const error = new Error("async");
    let span: Span | undefined;
    const caught = await t.opik
      .span({}, async (current) => {
        span = current;
        await later();
        throw error;
      })
      .catch((e: unknown) => e);
    assert.strictEqual(caught, error);
    await t.flushed(4);
    assert.equal(((await t.span(span!))["error_info"] as Record<string, string>)["message"], "async");
  },

  async "a returned stream ends its span when it is read, cancelled or fails"(t) {
    const source = (fail: boolean) => {
      let n = 0;
      return new ReadableStream<number>({
        pull(controller) {
          if (fail && n === 2) throw new Error("broken");
          if (n < 3) controller.enqueue(n++);
          else controller.close();
        },
      });
    };
    const open = (fail: boolean): [Span, ReadableStream<number>] => {
      let span: Span | undefined;
      const stream = t.opik.span({}, (current) => {
        span = current;
        return source(fail);
      });
      return [span!, stream];
    };
    const [read, whole] = open(false);
    assert.equal((await t.opik.flush()).sent, 0, "still open");
    assert.deepEqual(await drain(whole as unknown as AsyncIterable<number>), [0, 1, 2]);
    await t.flushed(2);
    assert.isUndefined((await t.span(read))["metadata"]);

    const [cancelled, partial] = open(false);
    await partial.cancel();
    await t.flushed(2);
    assert.deepEqual((await t.span(cancelled))["metadata"], { opik_edge_stopped_reading: 0 });

    // The reader cancels while it waits for the next chunk. The source's iterator then returns `done`.
    let waiting: Span | undefined;
    const silent = t.opik.span({}, (current) => {
      waiting = current;
      return new ReadableStream<number>({ pull: () => new Promise(() => {}) });
    });
    const reader = silent.getReader();
    const pending = reader.read();
    await Promise.resolve(); // lets the reader ask for the chunk
    await reader.cancel();
    assert.isTrue((await pending).done);
    await t.flushed(2);
    assert.deepEqual((await t.span(waiting!))["metadata"], { opik_edge_stopped_reading: 0 });

    const [failed, broken] = open(true);
    const caught = await drain(broken as unknown as AsyncIterable<number>).catch((e: Error) => e.message);
    assert.equal(caught, "broken");
    await t.flushed(2);
    assert.equal(((await t.span(failed))["error_info"] as Record<string, string>)["message"], "broken");
  },

  async "generators and async iterables end their span when consumed, and keep their type"(t) {
    const sync = t.opik.span({}, function* () {
      yield 1;
      yield 2;
    });
    assert.equal((await t.opik.flush()).sent, 0);
    assert.deepEqual([...sync], [1, 2]);
    await t.flushed(2);

    const early = t.opik.span({}, async function* () {
      yield 1;
      yield 2;
    });
    for await (const item of early) {
      assert.equal(item, 1);
      break;
    }
    await t.flushed(2);

    class Events {
      readonly controller = "kept";
      async *[Symbol.asyncIterator]() {
        yield "event";
      }
    }
    const events = new Events();
    assert.strictEqual(await t.opik.span({}, async () => events), events);
    assert.equal((await t.opik.flush()).sent, 0);
    assert.deepEqual(await drain(events), ["event"]);
    await t.flushed(2);
  },

  async "track keeps this, name, length and result, and records arguments and output"(t) {
    class Greeter {
      word = "hello";
      greet(name: string): string {
        return `${this.word} ${name}`;
      }
    }
    Greeter.prototype.greet = t.opik.track(Greeter.prototype.greet, { type: "tool" });
    assert.equal(Greeter.prototype.greet.name, "greet");
    assert.equal(Greeter.prototype.greet.length, 1);
    const parent = t.opik.span({ name: "parent" });
    const tracked = t.opik.track(async (x: number) => x + 1, { name: "plus" });
    assert.equal(new Greeter().greet("world"), "hello world");
    assert.equal(await tracked(1), 2);
    parent.end();
    await t.flushed(6);
  },

  async "tracked functions nest under the current span"(t) {
    const inner = t.opik.track(() => ambient.getTrackContext()!.span);
    let outer: Span | undefined;
    const found = t.opik.track(function outerFunction(this: void) {
      outer = ambient.getTrackContext()!.span;
      return inner();
    });
    const child = found();
    assert.equal(child.parentSpanId, outer!.id);
    await t.flushed(3);
    assert.include(await t.span(outer!), { name: "outerFunction", type: "general" });
  },

  async "a span is current inside its callback, across an await where the runtime can"(t) {
    await t.opik.span({ name: "outer" }, async (outer) => {
      assert.strictEqual(ambient.getTrackContext()?.span, outer);
      assert.deepEqual(ambient.getDistributedTraceHeaders(), outer.headers({ spelling: "underscore" }) as never);
      await later();
      assert.equal(ambient.getTrackContext()?.span.id, t.env.asyncContext ? outer.id : undefined);
    });
    assert.isUndefined(ambient.getTrackContext());
    assert.isNull(ambient.getDistributedTraceHeaders());
  },

  async "fifty concurrent spans never mix"(t) {
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        t.opik.span({ name: `request ${i}` }, async (root) => {
          await later();
          const child = t.env.asyncContext ? ambient.span({ name: `child ${i}` }) : root.span({ name: `child ${i}` });
          await later();
          assert.equal(child.parentSpanId, root.id);
          assert.equal(child.traceId, root.traceId);
          child.end();
        }),
      ),
    );
    await t.flushed(150);
  },

  async "distributedHeaders opens a root span under the caller and cleans up"(t) {
    const error = new Error("inside");
    let root: Span | undefined;
    const caught = await t.opik
      .distributedHeaders(
        HEADERS,
        async (span) => {
          root = span;
          throw error;
        },
        { flush: true },
      )
      .catch((e: unknown) => e);
    assert.strictEqual(caught, error);
    assert.isUndefined(ambient.getTrackContext());
    const row = await t.span(root!);
    assert.include(row, { name: "root", trace_id: TRACE, parent_span_id: PARENT });
    const result = t.opik.distributedHeaders({}, (span) => span.trace.joined);
    assert.isFalse(result);
    assert.deepEqual(t.codes(), ["invalid_headers"]);
    const direct = t.opik.distributedHeaders(HEADERS, () => ambient.span({ name: "direct" }), { span: false });
    assert.equal(direct.parentSpanId, PARENT);
  },

  async "span.fetch records the call, sends the headers and leaves the response unchanged"(t) {
    const span = t.opik.span({ name: "caller" });
    const response = await span.fetch(`${t.env.echo}/path?secret=1`, { method: "POST", body: "x" });
    assert.equal(response.url, `${t.env.echo}/path?secret=1`);
    assert.isFalse(response.redirected);
    const seen = (await response.json()) as { method: string; headers: Record<string, string> };
    span.end();
    await t.flushed(3);
    const call = (await t.spans(span.traceId)).find((row) => row.parent_span_id === span.id)!;
    assert.equal(seen.method, "POST");
    assert.equal(seen.headers["opik_trace_id"], span.traceId);
    assert.equal(seen.headers["opik-parent-span-id"], call.id);
    assert.equal(call["name"], `POST ${new URL(t.env.echo).host}/path`);
    assert.deepEqual(call["input"], { method: "POST", url: `${t.env.echo}/path` });
    assert.deepEqual(call["output"], { status: 200 });
  },

  async "headers go to allowed targets only, and inherited ones are removed elsewhere"(t) {
    const only = async (propagateTo: unknown) => {
      const span = t.client({ propagateTo }).span();
      const response = await span.fetch(new Request(t.env.echo, { headers: HEADERS }));
      const { headers } = (await response.json()) as { headers: Record<string, string> };
      return Object.keys(headers).filter((name) => name.startsWith("opik"));
    };
    const both = ["opik-parent-span-id", "opik-trace-id", "opik_parent_span_id", "opik_trace_id"];
    assert.sameMembers(await only(undefined), both);
    assert.sameMembers(await only([new URL(t.env.echo).origin]), both);
    assert.sameMembers(await only([{ to: () => true, spelling: "hyphen" }]), both.slice(0, 2));
    assert.deepEqual(await only(["https://example.com", "*.example.com", (url: URL) => url.port === "1"]), []);
  },

  async "nonsensical arguments never throw"(t) {
    const nonsense = null as never;
    const span = t.opik.span(nonsense);
    const trace = t.opik.trace(nonsense);
    span.update(nonsense);
    trace.update(nonsense);
    span.update({ output: { fine: 1 } });
    span.update({
      output: {
        get broken(): never {
          throw new Error("no");
        },
      },
    });
    const frozen: Record<string, string> = Object.freeze({ a: "b", opik_trace_id: "x" });
    assert.deepEqual(span.inject(frozen), { a: "b", ...span.headers() });
    span.span(nonsense).end();
    span.end();
    trace.end();
    await t.flushed(4);
    assert.deepEqual((await t.span(span))["output"], { fine: 1, broken: "[unserializable: no]" });
    assert.deepEqual(t.codes(), ["unserializable"]);
  },

  async "misuse is reported once and does no harm"(t) {
    const span = t.opik.span({ name: "once" });
    span.end();
    span.end();
    span.update({ name: "late" });
    span.span({ name: "late child" }).end();
    span[Symbol.dispose]();
    await t.flushed(3);
    assert.equal((await t.span(span))["name"], "once");
    assert.deepEqual(t.codes(), ["already_ended"]);
  },

  async "while the collector is down rows are kept and the failure is reported, without further effect"(t) {
    const opik = t.client({ url: "http://127.0.0.1:9/api" });
    opik.span().end();
    // Shorter than the delay before a second attempt.
    const report = await opik.flush({ timeoutMs: 200 });
    assert.deepInclude(report, { sent: 0, kept: 2, dropped: {}, requests: 2 });
    assert.deepEqual(t.codes(), ["delivery_failed"]);
    assert.lengthOf(report.errors, 1);
  },

  async "beyond the limit the oldest rows are dropped, counted and reported, and the others sent"(t) {
    const opik = t.client({ limits: { fieldBytes: 3 << 20, spanBytes: 3 << 20, traceBytes: 1e9 } });
    const trace = opik.trace({ name: "large" });
    // Up to eight megabytes may wait in the core's memory, and as much again outside.
    for (let i = 0; i < 30; i += 1) trace.span({ input: "x ".repeat(500_000) }).end();
    const { sent, dropped } = await opik.flush();
    assert.deepEqual(dropped, { queue_full: 30 - sent });
    assert.isTrue(sent >= 8 && sent <= 16, `${sent} were sent`);
    assert.deepEqual(t.codes(), []);
    trace.end();
    assert.equal((await opik.flush()).sent, 1);
  },

  async "a value that is too long is cut and marked, and no row is dropped"(t) {
    const trace = t.opik.trace({ name: "large" });
    const text = "long text ".repeat(500_000);
    const one = trace.span({ input: { text, beside: 1 } });
    one.end();
    // Half a megabyte of each input is kept.
    const spans = Array.from({ length: 14 }, () => trace.span({ input: { text: text.slice(0, 1_000_000) } }));
    for (const span of spans) span.end();
    const image = trace.span({ input: { image: `data:image/png;base64,${"QUJD".repeat(100_000)}` } });
    image.end();
    trace.end();
    await t.flushed(17);
    const { input } = (await t.span(one)) as unknown as { input: { text: string; beside: number } };
    assert.equal(input.beside, 1);
    assert.isTrue(input.text.startsWith("long text ") && input.text.endsWith("… [opik_truncated: 5000000 bytes]"));
    const last = (await t.span(spans.at(-1)!))["input"] as { opik_truncated: boolean; original_bytes: number };
    assert.include(last, { opik_truncated: true, original_bytes: 1_000_011 }, "the trace has its six megabytes");
    const { input: elided } = (await t.span(image)) as unknown as { input: { image: string } };
    assert.equal(elided.image, "data:image/png;base64,[opik_truncated: base64, 400022 bytes]");
    assert.deepEqual(t.codes(), ["field_cut"]);
  },

  async "a disabled client records nothing and forwards the caller's ids"(t) {
    const opik = t.client({ disabled: true });
    const span = opik.span({ parent: HEADERS }).span();
    assert.deepEqual(span.headers({ spelling: "underscore" }), HEADERS);
    assert.deepEqual(opik.span().headers(), {});
    const response = await span.fetch(t.env.echo);
    const { headers } = (await response.json()) as { headers: Record<string, string> };
    assert.equal(headers["opik_parent_span_id"], PARENT);
    span.end();
    assert.deepInclude(await opik.flush(), { sent: 0, requests: 0 });
  },

  async "a thousand rows of each kind take one request, and another row a second request"(t) {
    const trace = t.opik.trace({ name: "many" });
    for (let i = 0; i < 1001; i += 1) trace.span({ name: `${i}` }).end();
    trace.end();
    const report = await t.opik.flush();
    assert.deepInclude(report, { sent: 1002, requests: 3 });
    const ids = (await t.spans(trace.id)).map(({ id }) => id);
    assert.lengthOf(new Set(ids), 1001);
  },

  async "an upload names the package, the runtime and the service"(t) {
    const sent: string[] = [];
    const transport = {
      async fetch(_: string, { headers }: { headers: [string, string][] }): Promise<Response> {
        sent.push(new Headers(headers).get("x-opik-edge") ?? "nobody");
        return new Response(null, { status: 204 });
      },
    };
    for (const service of [undefined, "shop", false]) {
      const opik = t.client({ transport, ...(service !== undefined && { service }) });
      opik.trace({ name: "named" }).end();
      await opik.flush();
    }
    const [unnamed, named, none] = sent as [string, string, string];
    assert.match(unnamed, new RegExp(`^\\d+\\.\\d+\\.\\d+; ${t.env.runtime};$`));
    assert.deepEqual([named, none], [`${unnamed} shop`, "nobody"]);
  },

  async "wrong configuration throws and names the field"(t) {
    for (const [config, field] of [
      [{ url: "nonsense" }, "url"],
      [{ url: "ftp://x" }, "url"],
      [{ url: "https://www.comet.com/opik/api", apiKey: "" }, "apiKey"],
      [{ projectName: " " }, "projectName"],
      [{ environment: "x".repeat(151) }, "environment"],
      [{ apiKey: "line\nbreak" }, "apiKey"],
      [{ propagateTo: ["not an origin"] }, "propagateTo"],
      [{ propagation: ["b3"] }, "propagation"],
      [{ workspace: 7 }, "workspace"],
      [{ service: 7 }, "service"],
      [{ service: "a\nb" }, "service"],
    ] as const) {
      try {
        t.client(config);
        assert.fail(`${field} is refused`);
      } catch (error) {
        assert.equal((error as OpikError).code, "invalid_config", String(error));
        assert.isTrue((error as Error).message.startsWith(`${field}:`), String(error));
      }
    }
    // The host name ends in `comet.com` but is not below it, so it is not Opik's cloud.
    assert.instanceOf(t.client({ url: "https://evilcomet.com/api" }), Opik);
  },
};
