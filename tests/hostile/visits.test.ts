// One device with several users: a page's client and the relay that it writes through. A user's rows go out with a token of
// that user, or not at all. tests/browsers/ covers rows at rest and in other tabs.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { Opik, type OpikConfig, type OpikError } from "opik-edge";
import { mintToken, relay } from "opik-edge/relay";
import { useFakeClock } from "opik-edge/testing";
import { type Collector, startCollector } from "../support/collector.js";
import { tail } from "../support/page-ids.js";

const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const SITE = "http://site.test";
const native = globalThis.fetch;

let collector: Collector;
before(async () => {
  collector = await startCollector();
  Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Mozilla/5.0" }, configurable: true });
  Object.defineProperty(process, "type", { value: "renderer", configurable: true });
  Object.defineProperty(globalThis, "location", { value: new URL(`${SITE}/`), configurable: true });
});
after(() => collector.close());

/** The received bodies, and `true` while the relay answers. */
let posted: { token?: string; secret?: string; [kind: string]: unknown }[];
let isDown: boolean;
let errors: OpikError[];
let handle: (request: Request) => Promise<Response>;
beforeEach(() => {
  posted = [];
  errors = [];
  isDown = false;
  handle = relay({
    url: collector.url,
    projectName: "pages",
    origins: [SITE],
    tokens: { secrets: [SECRET], audience: SITE },
    onError: () => {},
  });
  globalThis.fetch = (async (url: string, init: RequestInit & { body: Uint8Array<ArrayBuffer> }) => {
    if (!String(url).startsWith(SITE)) return native(url, init);
    posted.push(JSON.parse(new TextDecoder().decode(init.body)));
    if (isDown) return new Response("down", { status: 503 });
    const headers = { ...(init.headers as Record<string, string>), origin: SITE };
    return handle(new Request(url, { method: "POST", headers, body: init.body }));
  }) as typeof fetch;
});
afterEach(() => {
  globalThis.fetch = native;
});

let relays = 0;
const client = (config: OpikConfig): Opik =>
  new Opik({
    relayUrl: `${SITE}/opik${++relays}`,
    background: false,
    onError: (error) => errors.push(error),
    ...config,
  });
let lastToken: Promise<string>;
const mint = (threadId: string, more: object = {}): Promise<string> => {
  lastToken = mintToken({ secret: SECRET, audience: SITE, projectName: "pages", threadId, ...more });
  return lastToken;
};
/** The conversation of a delivered trace; `undefined` if it was not delivered. */
const threadOf = (id: string): unknown => collector.traces().find((row) => row.id === id)?.["thread_id"];
const record = (opik: Opik): string => {
  const trace = opik.trace({ name: "of a user" });
  trace.span({ name: "within" }).end();
  trace.end();
  return trace.id;
};
/** Waits until the client has the token that it asked for last. Signing runs in its own thread. */
const settle = async (): Promise<void> => {
  await lastToken;
  await new Promise((resolve) => setImmediate(resolve));
};

test("ids end in the hash of the page's secret and their counter, ascend, and are all different", async () => {
  const opik = client({ token: () => mint("t") });
  const ids: string[] = [];
  for (let n = 0; n < 10_000; n += 1) ids.push(opik.span({ name: "n" }).id);
  const trace = opik.trace();
  trace.end();
  await opik.flush();
  const secret = Buffer.from(posted[0]!.secret!, "base64url");
  assert.equal(secret.length, 32);
  for (const id of [...ids, trace.id]) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(id.slice(19), tail(secret, Number.parseInt(id.slice(15, 18), 16)));
  }
  assert.deepEqual(ids.toSorted(), ids);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(threadOf(trace.id), "t");
});

test("the secret is in the envelope, and in no header, row, error or printed text", async () => {
  const { inspect } = await import("node:util");
  const opik = client({ token: () => mint("t") });
  const span = opik.span({ name: "n", input: { opik, fetch: opik.fetch } });
  const headers = JSON.stringify(span.headers());
  span.end();
  const report = await opik.flush();
  const [{ secret, token, ...rows } = {} as never] = posted;
  const shown = [headers, JSON.stringify(rows), inspect([opik, span, report, errors], { depth: 20, showHidden: true })];
  for (const text of shown) assert.ok(!text.includes(secret!) && !text.includes(token!));
});

test("rows recorded without a token wait for the first token, and never go with another visit's token", async () => {
  let user: string | undefined;
  const opik = client({ token: async () => (user === undefined ? undefined : mint(user)) });
  const first = record(opik);
  assert.deepEqual([(await opik.flush()).sent, posted.length], [0, 0], "nothing is sent without a token");
  user = "a";
  assert.equal((await opik.flush()).sent, 2);
  assert.equal(threadOf(first), "a");
  user = undefined;
  await opik.discard();
  const ofNobody = record(opik);
  await opik.flush();
  assert.deepEqual((await opik.discard()).dropped, { discarded: 2 });
  user = "b";
  const second = record(opik);
  assert.equal((await opik.flush()).sent, 2);
  assert.deepEqual([threadOf(ofNobody), threadOf(second)], [undefined, "b"]);
});

test("after a logout no row of the visit goes out: no waiting, retried or open row", async () => {
  let user = "a";
  const drops: Record<string, number> = {};
  const onDrop = ({ reason, rows }: { reason: string; rows: number }): void => {
    drops[reason] = (drops[reason] ?? 0) + rows;
  };
  const opik = client({ token: () => mint(user), onDrop });
  isDown = true;
  const tried = record(opik);
  assert.equal((await opik.flush({ timeoutMs: 100 })).sent, 0);
  const waiting = record(opik);
  const open = opik.span({ name: "open" });
  const report = await opik.discard();
  assert.deepEqual([report.dropped, drops], [{ discarded: 4 }, { discarded: 4 }]);
  isDown = false;
  user = "b";
  posted = [];
  open.span({ name: "child of the open span" }).end();
  open.end();
  const own = record(opik);
  const after = await opik.flush();
  assert.equal(after.sent, 2);
  for (const id of [tried, waiting, open.traceId]) assert.equal(threadOf(id), undefined);
  assert.equal(threadOf(own), "b");
  assert.equal(after.dropped["discarded"], 2, "the span that was open, and its trace");
  assert.ok(!collector.spans().some(({ trace_id }) => trace_id === open.traceId), "the relay refuses its child");
});

test("a logout does not wait for a relay that does not answer", async () => {
  const clock = useFakeClock(Date.now() - 60 * 60_000);
  try {
    clock.freeze();
    const opik = client({ token: () => mint("a", { nowMs: clock.now }) });
    record(opik);
    await settle();
    const { fetch } = globalThis;
    globalThis.fetch = (() => new Promise(() => {})) as typeof fetch;
    const flushing = opik.flush();
    await settle();
    const discarding = opik.discard();
    await clock.advance(1000);
    const reports = await Promise.all([flushing, discarding]);
    const told = reports.map(({ sent, kept, dropped }) => ({ sent, kept, dropped }));
    const nothing = { sent: 0, kept: 0, dropped: {} };
    assert.deepEqual(told, [{ ...nothing, dropped: { discarded: 2 } }, nothing], "in the report of who waited first");
  } finally {
    clock.restore();
  }
});

test("a token that was requested before a logout is not used for later rows", async () => {
  let answer = (_token: string): void => {};
  let user = "a";
  const opik = client({
    token: () => (user === "a" ? new Promise<string>((resolve) => (answer = resolve)) : mint(user)),
  });
  record(opik);
  await settle();
  await opik.discard();
  user = "b";
  const own = record(opik);
  answer(await mint("a"));
  assert.equal((await opik.flush()).sent, 2);
  assert.equal(threadOf(own), "b");
});

test("a second client of the page has the same visit", async () => {
  const relayUrl = `${SITE}/shared`;
  const [one, other] = [client({ relayUrl, token: () => mint("a") }), client({ relayUrl, token: () => mint("a") })];
  const id = record(one);
  await one.flush();
  other.score({ traceId: id, name: "helpful", value: 1 });
  assert.equal((await other.flush()).sent, 1, "its ids are the page's");
  record(other);
  await one.discard();
  assert.deepEqual((await other.flush()).dropped, { discarded: 2 });
});

test("a span that lasts longer than a token keeps the token of its beginning", async () => {
  const clock = useFakeClock(Date.now() - 60 * 60_000);
  try {
    clock.freeze();
    const opik = client({ token: () => mint("t", { lifetimeMs: 60_000, nowMs: clock.now }) });
    const long = opik.span({ name: "long" });
    await settle();
    await clock.advance(10 * 60_000);
    const late = record(opik);
    long.end();
    const report = await opik.flush();
    assert.deepEqual([report.sent, report.dropped], [4, {}]);
    assert.deepEqual([threadOf(long.traceId), threadOf(late)], ["t", "t"]);
    assert.equal(new Set(posted.map(({ token }) => token)).size, 2);
  } finally {
    clock.restore();
  }
});

test("a score goes with a token that is alive", async () => {
  const clock = useFakeClock(Date.now() - 60 * 60_000);
  try {
    clock.freeze();
    const opik = client({ token: () => mint("t", { lifetimeMs: 60_000, nowMs: clock.now }) });
    const id = record(opik);
    await opik.flush();
    isDown = true;
    opik.score({ traceId: id, name: "helpful", value: 1 });
    await opik.flush({ timeoutMs: 0 });
    await clock.advance(10 * 60_000);
    const later = record(opik);
    opik.score({ traceId: later, name: "helpful", value: 1 });
    isDown = false;
    posted = [];
    await opik.flush();
    const scores = posted.filter((body) => body["trace_scores"]).map(({ token }) => token);
    const [latest] = posted.filter((body) => body["traces"]).map(({ token }) => token);
    assert.equal(scores.at(-1), latest);
  } finally {
    clock.restore();
  }
});

test("a token that the relay refuses is replaced by another token, with a single request for it", async () => {
  let token = await mint("a", { projectName: "another" });
  const opik = client({ token: () => token });
  const id = record(opik);
  assert.equal((await opik.flush()).sent, 0);
  assert.equal(posted.length, 2, "the traces and the spans");
  assert.equal(threadOf(id), undefined);
  token = await mint("a");
  record(opik);
  const reports = [await opik.flush(), await opik.flush()];
  assert.equal(
    reports.reduce((sum, { sent }) => sum + sent, 0),
    4,
  );
  assert.ok(posted.length <= 8, `${posted.length}`);
  assert.equal(threadOf(id), "a");
});

test("a user who logs in later and only scores is asked for a token then", async () => {
  let user: string | undefined = "a";
  const opik = client({ token: async () => (user === undefined ? undefined : mint(user)), background: true });
  const id = record(opik);
  await opik.flush();
  await opik.discard();
  user = undefined;
  const own = record(opik);
  await settle();
  assert.equal(posted.length, 2);
  user = "b";
  opik.score({ traceId: own, name: "helpful", value: 1 });
  await collector.until(() => collector.scores().some((score) => score.id === own));
  assert.deepEqual([threadOf(id), threadOf(own)], ["a", "b"]);
});

test("one burst asks for one token", async () => {
  let asked = 0;
  const opik = client({
    token: async () => {
      asked += 1;
      return undefined;
    },
  });
  for (let n = 0; n < 1000; n += 1) record(opik);
  await settle();
  assert.ok(asked > 0 && asked < 4, `${asked}`);
});

test("rows that wait for a token are bounded, and the excess is counted", async () => {
  const opik = client({ token: () => undefined });
  for (let n = 0; n < 200; n += 1) opik.trace({ name: "n", input: { text: "x".repeat(40_000) } }).end();
  const { dropped } = await opik.flush();
  assert.ok(dropped["queue_full"]! > 60 && dropped["queue_full"]! < 80, JSON.stringify(dropped));
  assert.equal((await opik.discard()).dropped["discarded"], 200 - dropped["queue_full"]!);
});

test("outside a page, and without a relay, there is nothing to discard", async () => {
  const opik = new Opik({ url: collector.url, background: false });
  record(opik);
  assert.equal((await opik.discard()).requests, 0);
  assert.equal((await opik.flush()).sent, 2);
});

test("a source of tokens that throws, rejects, or gives no text does no harm", async () => {
  for (const token of [
    () => {
      throw new Error("no");
    },
    () => Promise.reject(new Error("no")),
    () => 7 as never,
    () => "",
    () => null as never,
  ]) {
    const opik = client({ token });
    record(opik);
    assert.deepEqual([(await opik.flush()).dropped, posted.length], [{}, 0]);
  }
});
