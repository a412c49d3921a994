// What a page's client sends to its relay, and how its calls are traced: with a `fetch` that says what it was asked.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Opik, type OpikConfig } from "opik-edge";
import { type FakeClock, useFakeClock } from "opik-edge/testing";

interface Asked {
  readonly url: string;
  readonly init: RequestInit & { readonly body: Uint8Array; readonly headers: Record<string, string> };
}

const native = globalThis.fetch;
let clock: FakeClock;
let asked: Asked[];
let answer: () => Response;
beforeEach(() => {
  clock = useFakeClock();
  clock.freeze();
  asked = [];
  answer = () => Response.json({ now: clock.now });
  globalThis.fetch = (async (url: unknown, init: Asked["init"]) => {
    asked.push({ url: String(url), init });
    return answer();
  }) as typeof fetch;
});
afterEach(() => {
  globalThis.fetch = native;
  clock.restore();
});

const client = (config: OpikConfig = {}): Opik =>
  new Opik({ relayUrl: "http://site.test/opik", background: false, onError: () => {}, ...config });
const bodies = () => asked.map(({ init }) => JSON.parse(new TextDecoder().decode(init.body)));

test("an upload is a simple request to one URL, without key, project or compression", async () => {
  const opik = client();
  for (let n = 0; n < 100; n += 1) opik.trace({ name: "n", input: { text: "x ".repeat(1000) } }).end();
  assert.equal((await opik.flush()).sent, 100);
  assert.ok(asked.length > 3, "bodies that may outlive the page");
  for (const { url, init } of asked) {
    assert.equal(url, "http://site.test/opik");
    assert.deepEqual(init.headers, { "content-type": "text/plain;charset=UTF-8" });
    assert.ok(init.body.byteLength <= 60_000);
  }
  assert.ok(asked.some(({ init }) => init.keepalive === true));
  assert.ok(bodies().every(({ traces }) => traces.every((row: object) => !("project_name" in row))));
});

test("a token travels in the envelope", async () => {
  for (const token of ["v1.a.b", () => "v1.a.b", async () => "v1.a.b"]) {
    asked = [];
    const opik = client({ token });
    opik.trace().end();
    await opik.flush();
    assert.equal(bodies()[0].token, "v1.a.b");
    assert.equal(bodies()[0].traces.length, 1);
  }
});

test("a clock that is wrong is learnt from the relay's answer, and later traces begin at the relay's time", async () => {
  const opik = client();
  const offsets = [];
  for (const aheadMs of [0, 90_000, -90_000, 500]) {
    answer = () => Response.json({ now: clock.now + aheadMs });
    opik.trace().end();
    await opik.flush();
    asked = [];
    opik.span({ name: "later" }, () => 1);
    await opik.flush();
    const [[trace], [span]] = [bodies()[0].traces, bodies()[1].spans];
    const idTime = Number.parseInt(trace.id.slice(0, 8) + trace.id.slice(9, 13), 16);
    offsets.push(Date.parse(trace.start_time) - clock.now);
    assert.equal(span.start_time, trace.start_time);
    if (aheadMs >= 0) assert.equal(idTime, Date.parse(trace.start_time), "ids never go back");
    await clock.advance(200_000);
  }
  assert.deepEqual(offsets, [0, 90_000, -90_000, 0], "half a second is no difference");
});

test("rows that the relay takes for another day's are counted as such", async () => {
  answer = () => Response.json({ code: "clock_skew", now: clock.now }, { status: 425 });
  const opik = client();
  opik.trace().end();
  assert.deepEqual((await opik.flush()).dropped, { clock_skew: 1 });
});

test("a key has no place in a page's settings", () => {
  assert.throws(() => client({ apiKey: "key" }), { code: "invalid_config", message: /^apiKey:/ });
  assert.throws(() => client({ relayUrl: "nonsense" }), { code: "invalid_config" });
});

test("a call says for itself what it is called, under what, and with what headers", async () => {
  answer = () => new Response();
  const opik = client();
  const parent = opik.span({ name: "parent" });
  const headersOf = async (opikOptions?: object) => {
    asked = [];
    await opik.fetch("http://api.test/x", { headers: { own: "1" }, opik: { parent, ...opikOptions } });
    const [{ init }] = asked as [Asked];
    assert.ok(!("opik" in init), "which the platform's fetch is not told");
    return [...new Headers(init.headers).keys()].filter((name) => name !== "own");
  };
  assert.equal((await headersOf()).length, 4);
  assert.deepEqual(await headersOf({ propagate: false }), []);
  assert.deepEqual(await headersOf({ propagate: "hyphen" }), ["opik-parent-span-id", "opik-trace-id"]);
  await headersOf({ name: "by name" });
  parent.end();
  asked = [];
  answer = () => Response.json({});
  await opik.flush();
  const spans = bodies().flatMap(({ spans = [] }) => spans) as Record<string, string>[];
  assert.deepEqual(spans.map(({ name }) => name).sort(), [
    "GET api.test/x",
    "GET api.test/x",
    "GET api.test/x",
    "by name",
    "parent",
  ]);
  assert.equal(spans.filter((span) => span["parent_span_id"] === parent.id).length, 4);
});

test("the global fetch is traced until it is given back, and the client's own uploads are not", async () => {
  const original = globalThis.fetch;
  const opik = client();
  const restore = opik.instrumentFetch({ ignore: ["http://ignored.test"] });
  assert.notEqual(globalThis.fetch, original);
  await (await fetch("http://api.test/traced")).text();
  await fetch("http://ignored.test/");
  asked = [];
  assert.equal((await opik.flush()).sent, 2, "a span and its trace");
  assert.equal((await opik.flush()).sent, 0);
  restore();
  assert.equal(globalThis.fetch, original);
});
