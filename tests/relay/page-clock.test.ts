// A page with a wrong clock and a relay in workerd with a right clock. The page loses accuracy, and no row.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { type FlushReport, Opik, type OpikConfig, type Span } from "opik-edge";
import { mintToken } from "opik-edge/relay";
import { type FakeClock, useFakeClock } from "opik-edge/testing";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let collector: Collector;
let open: RunningWorker;
let guarded: RunningWorker;
before(async () => {
  collector = await startCollector();
  const bindings = { OPIK_URL_OVERRIDE: collector.url, OPIK_API_KEY: "key" };
  open = await startWorker("tests/relay/worker.ts", { bindings });
  guarded = await startWorker("tests/relay/worker.ts", { bindings: { ...bindings, SECRET: SECRET.secret } });
});
after(() => closeAll(open, guarded, collector));

const native = globalThis.fetch;
let requests = 0;
beforeEach(() => {
  const set = (target: object, name: string, value: unknown) =>
    Object.defineProperty(target, name, { value, configurable: true });
  set(globalThis, "navigator", { userAgent: "Mozilla/5.0" });
  set(process, "type", "renderer");
  set(globalThis, "location", new URL("https://app.test/"));
  requests = 0;
  // A browser sends the page's origin.
  globalThis.fetch = (url, init) => {
    requests += 1;
    const headers = { ...(init?.headers as Record<string, string>), origin: "https://app.test" };
    return native(url, { ...init, headers, keepalive: false });
  };
});
let clock: FakeClock | undefined;
afterEach(() => {
  globalThis.fetch = native;
  Reflect.deleteProperty(globalThis, "location");
  clock?.restore();
});

/** A page whose clock is ahead by `aheadMs`, and its client. */
function page(aheadMs: number, worker: RunningWorker): Opik {
  clock = useFakeClock(Date.now() + aheadMs);
  clock.freeze();
  const token = () => mintToken({ secret: SECRET, audience: guarded.url, projectName: "pages", nowMs: Date.now() });
  const config: OpikConfig = { relayUrl: `${worker.url}/opik?${aheadMs}`, background: false, onError: () => {} };
  return new Opik(worker === guarded ? { ...config, token } : config);
}

const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
const isNow = (ms: number): boolean => Math.abs(ms - Date.now()) < MINUTE;

/** A chain of three ended spans, and an ended span under `still`, which stays open. */
function record(opik: Opik): Span {
  opik.span({ name: "root" }, (root) =>
    root.span({ name: "child" }, (child) => child.span({ name: "leaf" }, () => {})),
  );
  const still = opik.span({ name: "still" });
  still.span({ name: "ended" }).end();
  return still;
}

for (const [name, aheadMs, isGuarded, shifts] of [
  ["right", 0, true, false],
  ["ahead by 90 s", 90_000, true, false],
  ["ahead by 20 minutes", 20 * MINUTE, true, true],
  ["behind by 20 minutes", -20 * MINUTE, true, true],
  ["ahead by 30 days", 30 * 24 * HOUR, true, true],
  ["behind by 30 days", -30 * 24 * HOUR, true, true],
  ["ahead by 23 hours", 23 * HOUR, false, false],
  ["ahead by 25 hours", 25 * HOUR, false, true],
  ["behind by 25 hours", -25 * HOUR, false, true],
] as const) {
  test(`a page's clock that is ${name}, ${isGuarded ? "with" : "without"} tokens, costs no row`, async () => {
    const opik = page(aheadMs, isGuarded ? guarded : open);
    const still = record(opik);
    const score = { name: "helpful", value: 1 };
    const rows = collector.spans().length;
    const first = await opik.flush();
    assert.deepEqual([first.sent, first.dropped, first.kept], [5, {}, 0], "a trace and four spans");
    assert.ok(requests <= 4, `${requests} requests: the ones that were refused, and as many again`);
    // Spans that were open then, their later children and their scores move too.
    await clock!.advance(1000);
    still.span({ name: "late" }).end();
    still.end();
    still.trace.score(score);
    const second = await opik.flush();
    assert.deepEqual([second.sent, second.dropped], [4, {}]);
    opik.span({ name: "after" }, () => {});
    assert.deepEqual((await opik.flush()).sent, 2);
    const spans = collector.spans().slice(rows);
    const find = (name: string) => spans.find((row) => row["name"] === name)!;
    const parentOf = (name: string) => spans.find(({ id }) => id === find(name)["parent_span_id"])?.["name"];
    assert.deepEqual(["root", "child", "leaf", "ended", "late"].map(parentOf), [
      undefined,
      "root",
      "child",
      "still",
      "still",
    ]);
    const traces = collector.traces();
    for (const row of spans) {
      const trace = traces.find(({ id }) => id === row["trace_id"])!;
      assert.ok(trace, `${row["name"]} is in its trace`);
      const hasMoved = shifts && row["name"] !== "after";
      const isRight = shifts || row["name"] === "after";
      if (isRight)
        for (const id of [row["id"], trace["id"]] as string[]) assert.ok(isNow(timeOf(id)), `${row["name"]}`);
      for (const name of isRight ? ["start_time", "end_time"] : []) assert.ok(isNow(Date.parse(row[name] as string)));
      const former = (trace["metadata"] as Record<string, string> | undefined)?.["opik_edge_former_id"];
      assert.equal(former !== undefined, hasMoved);
    }
    const scored = collector.scores().at(-1)!;
    assert.equal(scored.id, find("still")["trace_id"]);
    if (shifts) {
      const trace = traces.find(({ id }) => id === find("still")["trace_id"])!;
      assert.deepEqual(trace["metadata"] as object, { opik_edge_former_id: still.traceId });
    }
  });
}

test("a skew that the offset does not explain is refused for good, once its rows have moved", async () => {
  const opik = page(20 * MINUTE, guarded);
  const reports: FlushReport[] = [];
  const wrong = opik.trace({ name: "of another conversation" });
  wrong.end();
  reports.push(await opik.flush());
  assert.deepEqual([reports[0]!.sent, reports[0]!.dropped], [1, {}]);
  // The relay refuses again although the clocks agree by now: nothing moves twice.
  globalThis.fetch = async () => Response.json({ code: "clock_skew", now: Date.now() + 40 * MINUTE }, { status: 425 });
  opik.trace({ name: "later" }).end();
  assert.deepEqual((await opik.flush()).dropped, { clock_skew: 1 });
});

test("rows of an earlier visit do not move", async () => {
  const opik = page(20 * MINUTE, guarded);
  const span = opik.span({ name: "before" });
  await opik.discard();
  span.end();
  opik.span({ name: "since" }, () => {});
  const report = await opik.flush();
  assert.deepEqual([report.sent, report.dropped], [2, { discarded: 2 }]);
});
