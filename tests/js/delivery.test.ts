// Delivery over time, with a clock that the tests move: when it retries, when it pauses a destination, when it flushes
// automatically and which rows it writes early.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import {
  type FlushReport,
  Opik,
  type OpikConfig,
  type OpikError,
  type Span,
  type Transport,
  type TransportRequest,
} from "opik-edge";
import { deliverQueue, queueTransport, withOpik } from "opik-edge/cloudflare";
import { type FakeClock, InMemoryExporter, useFakeClock } from "opik-edge/testing";

let clock: FakeClock;
let exporter: InMemoryExporter;
let errors: OpikError[];
let drops: { reason: string; rows: number }[];
beforeEach(() => {
  clock = useFakeClock();
  clock.freeze();
  exporter = new InMemoryExporter();
  errors = [];
  drops = [];
});
afterEach(() => {
  assert.equal(clock.timers, 0, "no timer is left");
  clock.restore();
});

const settings = (config: OpikConfig = {}): OpikConfig => ({
  url: "http://opik.test/api",
  transport: exporter,
  background: false,
  onError: (error) => errors.push(error),
  onDrop: (drop) => drops.push(drop),
  ...config,
});
const client = (config?: OpikConfig): Opik => new Opik(settings(config));
const refuse = (status: number, headers = {}): void => {
  exporter.answer = () => new Response(null, { status, headers });
};
const codes = (): string[] => errors.map(({ code }) => code);

/** Runs `handle` as a Worker's handler, until `waitUntil` is settled. */
async function invocation(handle: (span: Span) => unknown, config: OpikConfig = {}): Promise<void> {
  const { getTrackContext } = await import("opik-edge");
  let held: Promise<unknown> = Promise.resolve();
  const ctx = { waitUntil: (promise: Promise<unknown>) => (held = promise) };
  const handler = withOpik(
    {
      async fetch(_request: Request, _env: object, _ctx: object): Promise<Response> {
        await handle(getTrackContext()!.span);
        return new Response();
      },
    },
    () => settings(config),
  );
  await handler.fetch(new Request("http://host.test/path"), {}, ctx);
  await held;
}

test("a failing upload is retried at growing intervals until its deadline", async () => {
  refuse(503);
  const opik = client();
  opik.trace().end();
  const times: number[] = [];
  exporter.answer = () => {
    times.push(clock.now);
    return new Response(null, { status: 503 });
  };
  const flushing = opik.flush({ timeoutMs: 20_000 });
  await clock.advance(60_000);
  const report = await flushing;
  const waits = times.slice(1).map((time, index) => time - times[index]!);
  for (const [index, wait] of waits.entries()) {
    const most = 500 * 2 ** index;
    assert.ok(wait >= most / 2 && wait <= most, `${waits}`);
  }
  assert.ok(times.at(-1)! - times[0]! < 20_000 && waits.length >= 4, `${waits}`);
  assert.deepEqual([report.sent, report.kept, report.dropped], [0, 1, {}]);
  assert.match(report.errors[0]!.message, /^rows are kept for the next flush: server_error/);
  exporter.answer = undefined;
  const next = await opik.flush();
  assert.deepEqual([next.sent, next.retried, drops], [1, 1, []]);
});

test("an attempt lasts while somebody waits, or thirty seconds, even if its transport ignores the signal", async () => {
  let aborted = 0;
  const transport = {
    fetch: (_url: string, { signal }: { signal: AbortSignal }) => {
      signal.addEventListener("abort", () => aborted++);
      return new Promise<Response>(() => {});
    },
  };
  const opik = client({ transport });
  opik.trace().end();
  const [short, long] = [opik.flush({ timeoutMs: 15_000 }), opik.flush({ timeoutMs: 40_000 })];
  await clock.advance(15_000);
  assert.deepEqual([(await short).kept, aborted], [1, 0]);
  await clock.advance(24_000);
  assert.equal(aborted, 0);
  await clock.advance(1000);
  assert.deepEqual([(await long).kept, aborted], [1, 1]);
  opik.trace().end();
  const { kept, requests } = await Promise.race([
    opik.flush({ timeoutMs: 0 }),
    clock.advance(0).then(() => opik.flush({ timeoutMs: 0 })),
  ]);
  assert.deepEqual([kept, requests > 0], [2, true]);
  await clock.advance(30_000);
  assert.equal(aborted, 3);
});

test("a transport that misbehaves does no harm", async () => {
  for (const fetch of [
    () => {
      throw new Error("at once");
    },
    () => Promise.reject(undefined),
    () => undefined,
    () => Promise.resolve("no response"),
  ] as never[]) {
    const opik = client({ transport: { fetch } });
    opik.trace().end();
    const report = await opik.flush({ timeoutMs: 100 });
    assert.deepEqual([report.kept, report.dropped], [1, {}]);
    assert.match(report.errors[0]!.message, /network_error/);
  }
});

test("a destination that fails is paused for a while, then tried again", async () => {
  refuse(429, { "retry-after": "3600" });
  for (let n = 0; n < 2; n += 1) await await invocation(() => {});
  const before = exporter.requests.length;
  await await invocation(() => {});
  assert.equal(exporter.requests.length, before, "nothing is sent");
  assert.deepEqual(drops.at(-1), { reason: "circuit_open", rows: 2 });
  exporter.answer = undefined;
  await clock.advance(600_000);
  await await invocation(() => {});
  assert.equal(exporter.spans.length, 1);
});

test("a flush that the host calls makes one attempt during a pause", async () => {
  refuse(401);
  const opik = client();
  opik.trace().end();
  await opik.flush();
  assert.deepEqual(codes(), ["delivery_failed"]);
  for (let n = 0; n < 5; n += 1) opik.trace().end();
  const report = await opik.flush();
  assert.deepEqual([report.requests, report.kept, report.dropped], [1, 6, {}]);
  assert.deepEqual(codes(), ["delivery_failed"], "a wrong key is reported once");
  exporter.answer = undefined;
  opik.trace().end();
  assert.equal((await opik.flush()).sent, 7);
});

test("in the background rows are sent after two seconds, many traces to a request", async () => {
  const listeners = process.listenerCount("beforeExit");
  const opik = client({ background: true });
  for (let n = 0; n < 50; n += 1) opik.span({}, () => 1);
  await clock.advance(1999);
  assert.equal(exporter.requests.length, 0);
  assert.equal(process.listenerCount("beforeExit"), listeners + 1);
  await clock.advance(1);
  assert.deepEqual([exporter.requests.length, exporter.traces.length, exporter.spans.length], [2, 50, 50]);
  await clock.advance(2000);
  assert.equal(process.listenerCount("beforeExit"), listeners, "with nothing to flush nothing is listened to");
});

test("a host that flushes automatically keeps one timer, and later rows are sent within two seconds", async () => {
  const opik = client({ background: true });
  for (let n = 0; n < 3; n += 1) {
    opik.span({}, () => 1);
    await opik.flush();
    assert.equal(clock.timers, 1);
  }
  await clock.advance(1500);
  opik.span({}, () => 1);
  await clock.advance(500);
  assert.deepEqual([exporter.spans.length, clock.timers], [4, 1]);
  await clock.advance(2000);
});

test("rows that keep arriving do not delay earlier rows", async () => {
  clock.restore();
  clock = useFakeClock(); // this clock advances each time it is read
  const opik = client({ background: true });
  for (let n = 0; n < 6; n += 1) {
    opik.span({}, () => 1);
    await clock.advance(500);
  }
  assert.equal(exporter.spans.length >= 4, true, `${exporter.spans.length}`);
  await clock.advance(4000);
  assert.equal(exporter.spans.length, 6);
});

test("after a pause that another flush has ended, the next row waits no longer than usual", async () => {
  refuse(401);
  const opik = client({ background: true });
  opik.span({}, () => 1);
  await clock.advance(2000);
  const asked = exporter.requests.length;
  opik.span({}, () => 1);
  await clock.advance(2500);
  assert.equal(exporter.requests.length, asked, "the destination is left alone");
  exporter.answer = undefined;
  await opik.flush();
  const sent = exporter.spans.length;
  opik.span({}, () => 1);
  await clock.advance(2000);
  assert.equal(exporter.spans.length, sent + 1);
  await clock.advance(2000);
});

test("in the background a thousand rows are sent at once", async () => {
  const opik = client({ background: true });
  const trace = opik.trace();
  for (let n = 0; n < 1000; n += 1) trace.span().end();
  await clock.advance(0);
  assert.equal(exporter.spans.length, 1000);
  await opik.flush();
  await clock.advance(2000);
});

test("in the background a failing destination is not asked more and more often", async () => {
  const times: number[] = [];
  exporter.answer = () => {
    times.push(clock.now);
    return new Response(null, { status: 503 });
  };
  const opik = client({ background: true });
  for (let second = 0; second < 600; second += 1) {
    opik.trace().end();
    await clock.advance(1000);
  }
  assert.ok(times.length < 40, `${times.length} requests in ten minutes`);
  exporter.answer = undefined;
  await clock.advance(1_200_000);
  assert.deepEqual([exporter.traces.length, drops], [600, []]);
});

test("in the background undeliverable rows are kept, and the oldest are dropped when the buffer is full", async () => {
  refuse(503);
  const opik = client({ background: true, limits: { bufferBytes: 3 << 20, fieldBytes: 1 << 20, traceBytes: 1e9 } });
  const trace = opik.trace();
  let recorded = 0;
  for (let n = 0; n < 20; n += 1) {
    trace.span({ name: `${n}`, input: { text: "x ".repeat(250_000) } }).end();
    recorded += 1;
    await clock.advance(3000);
  }
  assert.deepEqual(
    drops.map(({ reason }) => reason).filter((reason) => reason !== "queue_full"),
    [],
  );
  exporter.answer = undefined;
  await clock.advance(3_600_000);
  const report = await opik.flush();
  const lost = drops.reduce((sum, { rows }) => sum + rows, 0);
  assert.ok(lost > 0);
  assert.deepEqual(
    [report.sent, report.dropped],
    [recorded - lost, { queue_full: lost }],
    "the report also counts rows that nobody waited for",
  );
  assert.equal(exporter.spans.length + lost, recorded);
  const names = exporter.spans.map(({ name }) => Number(name)).sort((one, other) => one - other);
  assert.deepEqual(
    names,
    Array.from(names, (_, index) => lost + index),
    "the newest are kept",
  );
});

test("a span that is open for fifteen seconds is written early, and completely at its end", async () => {
  const held = invocation(async (root) => {
    const child = root.span({ name: "long", input: { a: 1 } });
    root.span({ name: "short" }).end();
    await clock.advance(15_000);
    assert.deepEqual(exporter.spans.map(({ name }) => name).sort(), ["GET /path", "long", "short"]);
    const [early] = exporter.spans.filter(({ name }) => name === "long");
    assert.equal(early!["end_time"], undefined);
    assert.deepEqual(early!["metadata"], { opik_edge_unfinished: true });
    assert.equal(exporter.traces[0]!.name, "GET /path");
    child.update({ output: { b: 2 } });
    child.end(); // in the same millisecond
  });
  await await held;
  const versions = exporter.requests.flatMap(({ body }) => body.spans ?? []).filter(({ name }) => name === "long");
  assert.equal(versions.length, 2);
  const [early, late] = versions as Record<string, string>[];
  for (const field of ["id", "trace_id", "parent_span_id", "start_time", "project_name"]) {
    assert.equal(early![field], late![field], field);
  }
  assert.ok(early!["last_updated_at"]! < late!["last_updated_at"]!);
  assert.deepEqual([late!["input"], late!["output"], late!["metadata"]], [{ a: 1 }, { b: 2 }, undefined]);
});

test("an invocation writes early at most three times, each span once, and counts these rows separately", async () => {
  await await invocation(async (root) => {
    for (let n = 0; n < 6; n += 1) {
      root.span({ name: `${n}` });
      await clock.advance(15_000);
    }
    void clock.advance(60_000);
  });
  const early = exporter.requests.flatMap(({ body }) => body.spans ?? []).filter((row) => !("end_time" in row));
  assert.equal(new Set(early.map(({ id }) => id)).size, early.length);
  assert.deepEqual(
    early.map(({ name }) => name),
    ["GET /path", "0", "1", "2"],
  );
  assert.equal(exporter.spans.length, 7);
  assert.ok(exporter.spans.every((row) => "end_time" in row));
  assert.deepEqual(drops, []);
});

test("a row whose early write fails is not lost", async () => {
  await await invocation(async () => {
    refuse(400);
    await clock.advance(16_000);
    exporter.answer = undefined;
  });
  assert.deepEqual([exporter.traces.length, exporter.spans.length, drops.length], [1, 1, 0]);
});

/** A backend that never answers. */
const hangs = { fetch: () => new Promise<Response>(() => {}) };

test("an attempt that takes too long aborts its signal, however and whenever a transport takes it", async () => {
  const signals: Record<string, AbortSignal> = {};
  let readLater = (): AbortSignal | undefined => undefined;
  const takes: Record<string, (init: TransportRequest) => AbortSignal | undefined> = {
    read: ({ signal }) => signal,
    copied: (init) => ({ ...init }).signal,
    inherited: (init) => (Object.create(init) as TransportRequest).signal,
    "in a request": (init) => new Request("http://a.test/", init).signal,
    later: (init) => {
      readLater = () => init.signal;
      return undefined;
    },
  };
  for (const [name, take] of Object.entries(takes)) {
    const transport: Transport = {
      fetch: (_url, init) => {
        const signal = take(init);
        if (signal) signals[name] = signal;
        return new Promise(() => {});
      },
    };
    const opik = client({ transport });
    opik.trace().end();
    const flushing = opik.flush({ timeoutMs: 1000 });
    await clock.advance(1000);
    assert.equal((await flushing).kept, 1);
    assert.equal(signals[name]?.aborted ?? false, false, name);
    await clock.advance(60_000);
    assert.equal((signals[name] ?? readLater())?.aborted, true, name);
  }
});

test("a flush waits for requests under way, and stops waiting when its time is over", async () => {
  const opik = client({ background: true, transport: hangs });
  opik.trace().end();
  await clock.advance(2500);
  const flushing = opik.flush({ timeoutMs: 1000 });
  await clock.advance(1000);
  assert.deepEqual([(await flushing).kept, drops], [1, []]);
  process.emit("beforeExit", 0);
  await clock.advance(5000);
  assert.deepEqual(drops, [{ reason: "deadline", rows: 1 }], "the end of the process does not");
  await clock.advance(2000);
});

test("flushes in quick succession count every row, whatever the backend does", async () => {
  for (const answer of [undefined, "hangs", "fails"]) {
    drops = [];
    exporter = new InMemoryExporter(); // another destination
    const transport = answer === "hangs" ? { ...hangs } : exporter;
    if (answer === "fails") refuse(503);
    const held = invocation(
      async (root) => {
        for (let n = 0; n < 1000; n += 1) root.span().end(); // a batch: sent at once
        await clock.advance(14_900);
        for (let n = 0; n < 10; n += 1) root.span().end();
        await clock.advance(200); // the checkpoint
        void clock.advance(60_000);
      },
      { transport },
    );
    await held;
    const lost = drops.reduce((sum, { rows }) => sum + rows, 0);
    assert.equal(exporter.spans.length + exporter.traces.length + lost, 1012, `${answer}`);
    assert.equal(lost, answer ? 1012 : 0);
  }
});

test("a short flush leaves the rows of a longer flush to that flush", async () => {
  const answers: (() => void)[] = [];
  const transport = {
    fetch: () => new Promise<Response>((resolve) => answers.push(() => resolve(new Response(null, { status: 204 })))),
  };
  const opik = client({ transport });
  const trace = opik.trace();
  for (let n = 0; n < 4000; n += 1) trace.span().end();
  const long = opik.flush({ timeoutMs: 9000 });
  const short = opik.flush({ timeoutMs: 100 });
  await clock.advance(200);
  assert.deepEqual([(await short).sent, (await short).dropped], [0, {}]);
  for (let n = 0; n < 4; n += 1) {
    answers[n]!();
    await clock.advance(0);
  }
  assert.equal(answers.length, 4, "two connections, one after the other");
  assert.deepEqual([(await long).sent, (await long).dropped], [4000, {}]);
});

/** A backend that answers when `answer` is called, with the requests it has received. */
function patient() {
  const answers: (() => void)[] = [];
  let [underWay, most, requests] = [0, 0, 0];
  return {
    async fetch(...args: Parameters<InMemoryExporter["fetch"]>): Promise<Response> {
      requests += 1;
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise<void>((resolve) => answers.push(resolve));
      underWay -= 1;
      return exporter.fetch(...args);
    },
    /** Answers every request under way, and those that follow from the answers. */
    async answer(): Promise<void> {
      await clock.advance(0);
      for (let next = answers.shift(); next; next = answers.shift()) {
        next();
        await clock.advance(0);
      }
    },
    get asked() {
      return { most, requests };
    },
  };
}

test("a hundred flushes in one invocation make few requests, two at a time, and every row is in one report", async () => {
  const transport = patient();
  const { flush } = await import("opik-edge");
  const reports: Promise<FlushReport>[] = [];
  const held = invocation(
    async (root) => {
      for (let n = 0; n < 100; n += 1) {
        root.span({ name: `${n}` }).end();
        reports.push(flush());
        if (n % 30 === 0) await transport.answer();
      }
    },
    { transport },
  );
  while (exporter.traces.length === 0) await transport.answer();
  await held;
  const sent = (await Promise.all(reports)).reduce((sum, report) => sum + report.sent, 0);
  // Rows that end with the invocation can be sent with the last flush.
  assert.ok(sent >= 100 && sent <= 102, `${sent}`);
  assert.deepEqual([exporter.spans.length, exporter.traces.length, drops], [101, 1, []]);
  assert.ok(transport.asked.requests <= 20 && transport.asked.most <= 2, JSON.stringify(transport.asked));
});

test("flushes that give up waiting begin no request beside the two under way", async () => {
  const transport = patient();
  const opik = client({ background: true, transport });
  const trace = opik.trace();
  for (let n = 0; n < 6; n += 1) {
    for (let row = 0; row < 1000; row += 1) trace.span().end();
    const flushing = opik.flush({ timeoutMs: 10 });
    await clock.advance(10);
    assert.equal((await flushing).kept, 1000 * (n + 1));
  }
  assert.deepEqual(transport.asked, { most: 2, requests: 2 });
  const flushing = opik.flush();
  await transport.answer();
  assert.deepEqual([(await flushing).sent, transport.asked.most], [6000, 2]);
  await clock.advance(2000);
});

test("quick steps of a workflow are sent together, and no row is lost to the bound on an invocation's requests", async () => {
  let held: Promise<unknown> = Promise.resolve();
  const Flow = withOpik(
    class Flow {
      constructor(
        readonly ctx: unknown,
        readonly env: unknown,
      ) {}
      async run(_event: object, step: { do(name: string, run: () => unknown): unknown }) {
        for (let n = 0; n < 300; n += 1) await step.do(`${n}`, () => clock.advance(10));
      }
    },
    () => settings(),
  );
  const ctx = { waitUntil: (promise: Promise<unknown>) => (held = promise) };
  const event = { payload: {}, instanceId: "i1", timestamp: new Date(0) };
  await new Flow(ctx, {}).run(event, { do: (_, run) => run() });
  await held;
  assert.ok(exporter.requests.length < 10, `${exporter.requests.length} requests in 3 s`);
  assert.deepEqual([exporter.spans.length, exporter.traces.length, drops], [301, 1, []]);
});

test("an invocation spends its last requests on its trace and on the rows that ended last", async () => {
  const { flush } = await import("opik-edge");
  Object.assign(exporter, { maxBodyBytes: 40_000 });
  Object.assign(globalThis, { EdgeRuntime: "edge-runtime" }); // where requests are counted
  try {
    await invocation(async (root) => {
      for (let n = 0; n < 50; n += 1) {
        root.span({ name: `early ${n}` }).end();
        await flush();
      }
      for (let n = 0; n < 8; n += 1) root.span({ name: `late ${n}`, input: "x ".repeat(15_000) }).end();
    });
  } finally {
    delete (globalThis as { EdgeRuntime?: string }).EdgeRuntime;
  }
  const names = exporter.spans.map(({ name }) => name);
  const dropped = drops.reduce((sum, { rows }) => sum + rows, 0);
  assert.deepEqual([exporter.requests.length, exporter.traces.length, names.length + dropped], [40, 1, 59]);
  assert.ok(dropped > 0 && names.includes("GET /path") && names.includes("late 7"), `${names}`);
});

test("a row that was written early takes no space from the rows at the end", async () => {
  const text = Array.from({ length: 96 }, () => "x ".repeat(5000));
  await invocation(async (root) => {
    root.update({ input: { text } });
    const children = [1, 2].map(() => root.span({ name: "child", input: { text } }));
    await clock.advance(16_000);
    for (const child of children) child.end();
  });
  assert.deepEqual(
    exporter.spans.map((row) => JSON.stringify(row["input"]).length > 900_000),
    [true, true, true],
  );
});

test("a row that waits for its early write is not written early once it has ended", async () => {
  const transport = patient();
  const held = invocation(
    async (root) => {
      const child = root.span({ name: "child" });
      for (let n = 0; n < 2000; n += 1) root.span().end(); // takes both connections
      await clock.advance(16_000);
      child.end();
    },
    { transport },
  );
  await clock.advance(16_000);
  while (exporter.traces.length === 0) await transport.answer();
  await held;
  const versions = exporter.requests.flatMap(({ body }) => body.spans ?? []).filter(({ name }) => name === "child");
  assert.deepEqual(
    versions.map((row) => "end_time" in row),
    [true],
  );
});

test("a row that keeps failing does not delay the others", async () => {
  exporter.answer = ({ body }) => (body.traces ? new Response(null, { status: 503 }) : undefined);
  const opik = client({ background: true });
  const trace = opik.trace();
  opik.trace().end();
  for (let second = 0; second < 12; second += 1) {
    trace.span().end();
    await clock.advance(1000);
  }
  assert.ok(exporter.spans.length >= 10, `${exporter.spans.length}`);
  exporter.answer = undefined;
  await clock.advance(60_000);
  await opik.flush();
});

test("rows that end after their invocation are reported", async () => {
  await invocation((root) => {
    exporter.answer = () => {
      root.trace.span({ name: "later still" }).end();
      return undefined;
    };
  });
  assert.deepEqual(codes(), ["invocation_ended"]);
});

test("a trace that begins in an invocation without recording is sent too", async () => {
  const { trace } = await import("opik-edge");
  await invocation(() => trace({ name: "job" }).end(), { sampleRate: (name) => (name === "job" ? 1 : 0) });
  assert.deepEqual(
    exporter.traces.map(({ name }) => name),
    ["job"],
  );
});

test("a transport that reads a refusal's body itself does not hide the refusal", async () => {
  const transport = {
    async fetch() {
      const response = new Response("no", { status: 401 });
      await response.text();
      return response;
    },
  };
  const opik = client({ transport });
  opik.trace().end();
  const report = await opik.flush();
  assert.deepEqual([report.requests, report.kept], [1, 1]);
  assert.match(report.errors[0]!.message, /unauthorized/);
});

test("listeners that reject and invalid times do no harm", async () => {
  refuse(401);
  const warn = console.warn;
  const warnings: string[] = [];
  console.warn = (text: string) => warnings.push(text);
  try {
    const opik = client({ onError: (async () => Promise.reject(new Error("no"))) as never });
    let kept = 0;
    for (const options of [null, undefined, {}, { timeoutMs: Number.POSITIVE_INFINITY }, { timeoutMs: -1 }]) {
      opik.trace().end();
      kept += 1;
      assert.equal((await opik.flush(options as never)).kept, kept);
    }
  } finally {
    console.warn = warn;
  }
  assert.equal(warnings.length, 1, "and are reported once");
});

test("a queue's messages are acknowledged when their rows are accepted or refused for good, and otherwise come again", async () => {
  const sent: string[] = [];
  const opik = client({ transport: queueTransport({ send: async (text) => sent.push(text) }) });
  for (let n = 0; n < 3; n += 1) opik.span({ name: `${n}` }, () => 1);
  assert.equal((await opik.flush()).sent, 6);
  assert.ok(sent.every((text) => !text.includes("the key")));
  const batch = () => {
    const told: string[] = [];
    const messages = [...sent, "garbage", ...sent].map((body) => ({
      body,
      ack: () => told.push("ack"),
      retry: ({ delaySeconds = 0 } = {}) => told.push(`retry ${delaySeconds > 0}`),
    }));
    return { messages, told };
  };
  const deliver = async (status?: number) => {
    const { messages, told } = batch();
    exporter.clear();
    if (status) refuse(status, { "retry-after": "3600" });
    else exporter.answer = undefined;
    const report = await deliverQueue({ messages }, settings({ transport: exporter }));
    return { told: [...new Set(told)], report };
  };
  const accepted = await deliver();
  // The rows are there twice. The API refuses a repeated id in one batch, so each kind is sent in two batches.
  assert.deepEqual([accepted.told, accepted.report.sent, accepted.report.requests], [["ack"], 12, 4]);
  const refused = await deliver(400);
  assert.deepEqual([refused.told, refused.report.dropped], [["ack"], { rejected: 12 }]);
  for (const status of [503, 429, 401]) {
    exporter = new InMemoryExporter(); // another destination
    const failed = await deliver(status);
    assert.deepEqual(failed.told, ["retry true", "ack"], "only garbage is not to come again");
    assert.deepEqual(failed.report.dropped, {});
  }
  await assert.rejects(deliverQueue(batch(), { url: "nonsense" }), { code: "invalid_config" });
});

test("two flushes at once leave no timer and no listener behind once nothing is left to do", async () => {
  const listeners = process.listenerCount("beforeExit");
  const opik = client({ background: true });
  opik.trace().end();
  const first = opik.flush();
  opik.trace().end();
  const second = opik.flush();
  assert.equal((await first).sent + (await second).sent, 2);
  await clock.advance(2000);
  assert.deepEqual([clock.timers, process.listenerCount("beforeExit")], [0, listeners]);
});

test("a queue's message is delivered completely, and comes again completely", async () => {
  const message = (from: number) => {
    const id = (n: number) => `019ab5c0-7c00-7a11-8a11-${(from + n).toString(16).padStart(12, "0")}`;
    const told: string[] = [];
    const rows = Array.from({ length: 600 }, (_, n) => ({ id: id(n), start_time: "2025-11-24T16:00:00Z" }));
    const body = JSON.stringify({ traces: rows });
    return { body, told, ack: () => told.push("ack"), retry: () => told.push("retry") };
  };
  const messages = [message(0), message(600)];
  exporter.answer = () => (exporter.requests.length === 2 ? new Response(null, { status: 401 }) : undefined);
  const report = await deliverQueue({ messages }, settings());
  assert.deepEqual(
    messages.map(({ told }) => told),
    [["ack"], ["retry"]],
  );
  assert.deepEqual([report.sent, exporter.traces.length], [600, 600], "nothing of the second was accepted");
});
