// Rows whose ids Opik finds too old or too new. The collector checks them as Opik does, and the tests move the clock. A
// span is open, or its row waits, for longer than Opik accepts new rows of that age.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { type FlushReport, Opik, type OpikConfig, type OpikError, type Span } from "opik-edge";
import { deliverQueue, queueTransport, withOpik } from "opik-edge/cloudflare";
import { type FakeClock, InMemoryExporter, useFakeClock } from "opik-edge/testing";
import { type Collector, startCollector } from "../support/collector.js";
import { environment } from "../support/core.js";

const MINUTE = 60 * 1000;
const HOUR = 60 * MINUTE;

let clock: FakeClock;
/** Lead of the clock over the collector's clock, in milliseconds. */
let aheadMs = 0;
let collector: Collector;
before(async () => {
  collector = await startCollector({ now: () => clock.now - aheadMs });
});
after(() => collector.close());

let errors: OpikError[];
let seen = 0;
beforeEach(() => {
  clock = useFakeClock();
  clock.freeze();
  aheadMs = 0;
  errors = [];
  seen = collector.requests.length;
});
afterEach(() => {
  assert.equal(clock.timers, 0, "no timer is left");
  clock.restore();
});

const settings = (config: OpikConfig = {}): OpikConfig => ({
  url: collector.url,
  background: false,
  onError: (error) => errors.push(error),
  ...config,
});
const client = (config?: OpikConfig): Opik => new Opik(settings(config));
const requests = (): string[] =>
  collector.requests.slice(seen).map(({ method, path, status }) => {
    return `${method} ${path.replace(/.*private\//, "").replace(/[0-9a-f-]{36}/, "{id}")} ${status}`;
  });
const stored = (kind: "traces" | "spans", id: string) => collector[kind]().find((row) => row.id === id);
const isUnfinished = (row: object | undefined): boolean =>
  (row as { metadata?: { opik_edge_unfinished?: boolean } })?.metadata?.opik_edge_unfinished === true;

/** Advances the clock for a client that sends automatically, until it has nothing under way. */
async function advance(opik: Opik, ms: number): Promise<FlushReport> {
  await clock.advance(ms);
  return await opik.flush();
}

test("when rows are refused for the time of an id, those outside the window are dropped at once", async () => {
  for (const [ms, reason] of [
    [-25 * HOUR, "too_old"],
    [25 * HOUR, "too_far_future"],
  ] as const) {
    for (const wrong of [1, 40, 200]) {
      const opik = client();
      seen = collector.requests.length;
      const { now } = environment;
      environment.now = () => now() + ms;
      for (let n = 0; n < wrong; n += 1) opik.trace({ name: "of another time" }).end();
      environment.now = now;
      for (let n = wrong; n < 200; n += 1) opik.trace({ name: "of now" }).end();
      const report = await opik.flush();
      assert.deepEqual([report.sent, report.dropped], [200 - wrong, { [reason]: wrong }]);
      assert.equal(report.requests, wrong < 200 ? 2 : 1, requests().join());
      assert.match(errors.map(({ message }) => message).join(), new RegExp(`${wrong} rows? (is|are) lost: ${reason}`));
    }
  }
});

test("a refused row that is inside the window by our clock is searched for by halving the batch", async () => {
  const opik = client();
  for (let n = 0; n < 8; n += 1) opik.trace().end();
  aheadMs = 25 * HOUR;
  const report = await opik.flush();
  assert.deepEqual([report.sent, report.dropped, report.requests], [0, { rejected: 8 }, 15]);
});

test("a window that the refusal names takes precedence over the setting", async () => {
  const exporter = new InMemoryExporter();
  let isRefused = true;
  exporter.answer = () => {
    if (!isRefused) return undefined;
    isRefused = false;
    return Response.json({ code: 400, details: "outside window '12 hours', reason 'too_old'" }, { status: 400 });
  };
  const opik = client({ transport: exporter });
  opik.trace({ name: "old" }).end();
  await clock.advance(13 * HOUR);
  opik.trace({ name: "new" }).end();
  const report = await opik.flush();
  assert.deepEqual([report.sent, report.dropped, report.requests], [1, { too_old: 1 }, 2]);
  assert.deepEqual(
    exporter.traces.map(({ name }) => name),
    ["new"],
  );
});

/** A session of the given length, with children that end early and late. */
async function session(opik: Opik, hours: number) {
  const root = opik.span({ name: "session", input: { from: "a page" }, metadata: { of: "the host" } });
  const child = root.span({ name: "open as long" });
  root.span({ name: "early" }).end();
  const reports = [await advance(opik, Math.min(hours, 12) * HOUR)];
  assert.equal(isUnfinished(stored("spans", root.id)), hours >= 12);
  reports.push(await advance(opik, Math.max(hours - 12, 0) * HOUR));
  root.span({ name: "late" }).end();
  child.update({ output: { said: "so" } });
  child.end();
  root.update({ output: { said: "all" } });
  root.end();
  reports.push(await opik.flush());
  const sent = reports.reduce((rows, report) => rows + report.sent, 0);
  return { root, child, report: { ...(reports.at(-1) as FlushReport), sent } };
}

test("a span that is open for 25 hours is written early, and completed at its end", async () => {
  for (const config of [{}, { background: true }] as OpikConfig[]) {
    const opik = client(config);
    const { root, child, report } = await session(opik, 25);
    assert.deepEqual(
      [report.sent, report.dropped, report.kept],
      [5, {}, 0],
      "early, late, and three that are completed",
    );
    assert.deepEqual(errors, []);
    const patches = requests().filter((line) => line.startsWith("PATCH"));
    assert.deepEqual(patches.sort(), ["PATCH spans/{id} 204", "PATCH spans/{id} 204", "PATCH traces/{id} 204"]);
    const trace = stored("traces", root.traceId)!;
    const rows = [stored("spans", root.id)!, stored("spans", child.id)!, trace];
    for (const row of rows) {
      assert.equal(Date.parse(row["end_time"] as string) - Date.parse(row["start_time"] as string), 25 * HOUR);
      assert.ok(!isUnfinished(row));
    }
    assert.deepEqual(
      [trace["input"], trace["output"], trace["metadata"]],
      [{ from: "a page" }, { said: "all" }, { of: "the host" }],
    );
    assert.deepEqual([rows[1]!["parent_span_id"], rows[1]!["metadata"]], [root.id, {}]);
    assert.equal(collector.spans().filter((row) => row["trace_id"] === root.traceId).length, 4);
    seen = collector.requests.length;
    await clock.advance(10 * MINUTE); // if it sends automatically, its timer fires
  }
});

test("a span that ends before it is too old is written completely, by the ordinary batch", async () => {
  for (const hours of [1, 13, 23.9]) {
    seen = collector.requests.length;
    const opik = client();
    const { root, report } = await session(opik, hours);
    assert.deepEqual([report.sent, report.dropped], [5, {}]);
    assert.ok(!requests().some((line) => line.startsWith("PATCH")), requests().join());
    assert.ok(!isUnfinished(stored("traces", root.traceId)));
    assert.deepEqual((stored("spans", root.id) as { output?: object }).output, { said: "all" });
  }
});

test("the age of a row that is too old can be set", async () => {
  const exporter = new InMemoryExporter();
  const opik = client({ transport: exporter, maxIdAgeMs: 12 * HOUR });
  const span = opik.span({ name: "n" });
  await advance(opik, 6 * HOUR);
  assert.ok(isUnfinished(exporter.spans[0]));
  await advance(opik, 6 * HOUR);
  span.end();
  assert.equal((await opik.flush()).sent, 2);
  assert.deepEqual(
    exporter.requests.map(({ method }) => method),
    ["POST", "POST", "PATCH", "PATCH"],
  );
  assert.deepEqual(exporter.spans[0]!["metadata"], {});
  for (const maxIdAgeMs of [0, -1, 46 * 24 * HOUR, Number.NaN, "24h", null] as number[]) {
    if (maxIdAgeMs === null) client({ maxIdAgeMs });
    else assert.throws(() => client({ maxIdAgeMs }), { code: "invalid_config", message: /^maxIdAgeMs:/ });
  }
});

test("a row that is too old is dropped before it is sent, unless Opik has its early row", async () => {
  const exporter = new InMemoryExporter();
  exporter.answer = () => new Response(null, { status: 503 });
  const opik = client({ transport: exporter });
  const span = opik.span({ name: "n" });
  await clock.advance(12 * HOUR);
  await clock.advance(13 * HOUR);
  exporter.answer = undefined;
  exporter.requests.length = 0;
  span.span({ name: "late" }).end();
  span.end();
  const report = await opik.flush();
  assert.deepEqual([report.sent, report.dropped, exporter.requests.length], [1, { too_old: 2 }, 1]);
});

test("a queue, and every other transport that only carries rows on, completes none", async () => {
  const messages: string[] = [];
  const queue = { send: async (message: string) => void messages.push(message) };
  const opik = client({ transport: queueTransport(queue) });
  const span = opik.span({ name: "n" });
  assert.equal(clock.timers, 0, "it need not be looked at");
  await advance(opik, 25 * HOUR);
  span.end();
  opik.span({ name: "of now" }).end();
  const report = await opik.flush();
  assert.deepEqual([report.sent, report.dropped], [2, { too_old: 2 }]);
  assert.equal(messages.length, 2);
  // A row that waits in the queue for a day is refused, and set aside by its consumer.
  await clock.advance(25 * HOUR);
  let acks = 0;
  const ack = (): void => {
    acks += 1;
  };
  const batch = {
    messages: messages.map((body) => ({ body, ack, retry: () => assert.fail() })),
  };
  const delivered = await deliverQueue(batch, settings());
  assert.deepEqual([delivered.sent, delivered.dropped, acks], [0, { too_old: 2 }, 2]);
});

test("a backend without PATCH still receives everything else", async () => {
  const exporter = new InMemoryExporter();
  exporter.answer = ({ method }) => (method === "PATCH" ? new Response(null, { status: 405 }) : undefined);
  const opik = client({ transport: exporter });
  const span = opik.span({ name: "n" });
  await advance(opik, 25 * HOUR);
  span.end();
  assert.deepEqual((await opik.flush()).dropped, { not_found: 2 });
  opik.trace().end();
  assert.equal((await opik.flush()).sent, 1);
});

test("an invocation that goes on for 25 hours loses nothing either", async () => {
  const exporter = new InMemoryExporter();
  let end = (): void => {};
  let held: Promise<unknown> = Promise.resolve();
  const spans: Span[] = [];
  const handler = withOpik(
    {
      async fetch(_request: Request, _env: object, _ctx: object): Promise<Response> {
        const { getTrackContext } = await import("opik-edge");
        spans.push(getTrackContext()!.span);
        await new Promise<void>((resolve) => {
          end = resolve;
        });
        return new Response();
      },
    },
    () => settings({ transport: exporter }),
  );
  const ctx = { waitUntil: (promise: Promise<unknown>) => (held = promise) };
  const answering = handler.fetch(new Request("http://host.test/"), {}, ctx);
  await clock.advance(HOUR);
  assert.ok(isUnfinished(exporter.spans[0]), "after fifteen seconds");
  spans[0]!.span({ name: "opened later" });
  await clock.advance(12 * HOUR);
  assert.equal(exporter.spans.length, 2);
  await clock.advance(12.5 * HOUR);
  end();
  await answering;
  await clock.advance(30_000);
  await held;
  assert.deepEqual(
    errors.map(({ message }) => message),
    [],
  );
  assert.equal(exporter.requests.filter(({ method }) => method === "PATCH").length, 3);
  assert.ok(isUnfinished(exporter.spans.find(({ name }) => name === "opened later")), "it never ended");
  assert.ok(!isUnfinished(exporter.traces[0]));
});

test("among many open spans the longest are noticed, and spans that the host has dropped are not held", async () => {
  const exporter = new InMemoryExporter();
  const opik = client({ transport: exporter });
  const first = opik.trace({ name: "first" });
  const lost = (n: number): WeakRef<Span> => new WeakRef(first.span({ name: `lost ${n}`, input: "x".repeat(1000) }));
  const refs: WeakRef<Span>[] = [];
  for (let n = 0; n < 3000; n += 1) refs.push(lost(n));
  await new Promise((resolve) => setImmediate(resolve));
  (globalThis as { gc?: () => void }).gc?.();
  const held = refs.filter((ref) => ref.deref() !== undefined).length;
  if ("gc" in globalThis) assert.ok(held <= 1001, `${held} are held`);
  await advance(opik, 25 * HOUR);
  first.end();
  assert.deepEqual((await opik.flush()).dropped, {});
  assert.ok(exporter.requests.some(({ method, url }) => method === "PATCH" && url.endsWith(first.id)));
});
