// A page's client: its requests to the relay, its traced calls, and its knowledge of its server and tab. A `fetch` of the
// test records the requests.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import {
  type ContextMetaTag,
  contextMeta,
  contextMetaTags,
  contextServerTiming,
  OPIK_TOKEN_HEADER,
  Opik,
  type OpikConfig,
  type OpikError,
  serverContext,
  tabThreadId,
  fetch as tracedFetch,
} from "opik-edge";
import { mintToken } from "opik-edge/relay";
import { type FakeClock, useFakeClock } from "opik-edge/testing";

interface Asked {
  readonly url: string;
  readonly init: RequestInit & { readonly body: Uint8Array; readonly headers: Record<string, string> };
}

const native = globalThis.fetch;
/** Gives the process a page's globals: its user agent and its location. */
function pretendToBePage(userAgent = "Mozilla/5.0"): void {
  Object.defineProperty(globalThis, "navigator", { value: { userAgent }, configurable: true });
  Object.defineProperty(process, "type", { value: "renderer", configurable: true }); // as in Electron's renderer; other DOMs in Node are not pages
  const location = new URL("http://site.test/");
  Object.defineProperty(globalThis, "location", { value: location, configurable: true });
}
let clock: FakeClock;
let asked: Asked[];
let answer: () => Response;
beforeEach(() => {
  pretendToBePage();
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

test("a page that sends to Opik itself does not name itself: CORS would refuse the header", async () => {
  const opik = client({ relayUrl: undefined, url: "http://opik.test/api", service: "shop" });
  opik.trace().end();
  assert.equal((await opik.flush()).sent, 1);
  assert.deepEqual(Object.keys(Object.fromEntries(asked[0]!.init.headers as never)), [
    "content-type",
    "comet-workspace",
  ]);
});

test("a wrong clock is corrected from the relay's answer, and later traces begin at the relay's time", async () => {
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
    assert.equal(idTime, Date.parse(trace.start_time), "ids go back with a clock that is put right");
    await clock.advance(200_000);
  }
  assert.deepEqual(offsets, [0, 90_000, -90_000, 0], "half a second does not count");
});

test("only a relay's own answer, with a plausible time, sets the clock", async () => {
  const year = 365 * 24 * 60 * 60 * 1000;
  const offsetAfter = async (body: (now: number) => object | string, status: number): Promise<number> => {
    const opik = client();
    answer = () => {
      const given = body(clock.now);
      return new Response(typeof given === "string" ? given : JSON.stringify(given), { status });
    };
    opik.trace().end();
    const flushing = opik.flush({ timeoutMs: 10 });
    await clock.advance(10);
    await flushing;
    answer = () => new Response("no JSON");
    asked = [];
    opik.trace().end();
    await opik.flush();
    const { traces } = bodies().at(-1) as { traces: { start_time: string }[] };
    const offsetMs = Date.parse(traces.at(-1)!.start_time) - clock.now;
    await clock.advance(10 * 60_000);
    return offsetMs;
  };
  for (const [status, body] of [
    [200, (now: number) => ({ now: now + 90_000 })],
    [425, (now: number) => ({ code: "clock_skew", message: "", now: now + 90_000 })],
    [422, (now: number) => ({ code: "outside_token", message: "", now: now + 90_000 })],
    [200, (now: number) => ({ now: now + 20 * year })],
    [200, (now: number) => ({ now: now - 5 * year })],
  ] as const) {
    const expected = body(clock.now).now - clock.now;
    assert.equal(await offsetAfter(body, status), expected, `${status} ${expected}`);
  }
  for (const [status, body] of [
    [503, (now: number) => ({ now: now + 90_000 })],
    [503, (now: number) => ({ code: "unavailable", now: now + 90_000 })],
    [201, (now: number) => ({ now: now + 90_000 })],
    [400, (now: number) => ({ now: now + 90_000 })],
    [422, (now: number) => ({ code: "clock_skew", now: now + 90_000 })],
    [425, (now: number) => ({ code: "constructor", now: now + 90_000 })],
    [200, (now: number) => ({ code: "clock_skew", now: now + 90_000 })],
    [200, (now: number) => ({ now: Math.round(now / 1000) })],
    [200, (now: number) => ({ now: now * 1000 })],
    [200, (now: number) => ({ now: `${now + 90_000}` })],
    [200, () => '{"now":1e300}'],
    [200, () => '{"now":1e999}'],
    [200, () => '{"now":-1e999}'],
    [200, () => '{"now":null}'],
    [200, () => '{"now":1577836799999}'],
    [200, () => '{"now":4102444800000}'],
    [200, () => "null"],
    [200, () => "[]"],
    [200, () => ""],
  ] as const) {
    assert.equal(await offsetAfter(body, status), 0, `${status} ${JSON.stringify(body(1.8e12))}`);
  }
});

test("a page's own token goes where the page sends it", async () => {
  const opik = client();
  const parent = opik.span({ name: "parent" });
  await parent.fetch("http://site.test/chat", { headers: { [OPIK_TOKEN_HEADER]: "v1.a.b" } });
  assert.equal(new Headers(asked[0]!.init.headers).get(OPIK_TOKEN_HEADER), "v1.a.b");
});

/** The values of `opik-token` that a call has sent, joined as a server sees them. */
async function tokenOf(call: () => Promise<unknown>): Promise<string | null> {
  answer = () => new Response();
  asked = [];
  await call();
  const [{ init } = { init: {} as RequestInit }] = asked;
  return new Headers(init?.headers).get(OPIK_TOKEN_HEADER);
}
const TOKEN = "v1.a.b";
const HERE = "http://site.test/chat";

test("a traced call to the page's own origin carries its token", async () => {
  const opik = client({ token: TOKEN });
  for (const [name, call] of Object.entries<() => Promise<unknown>>({
    "a path": () => opik.fetch("/chat"),
    "a URL": () => opik.fetch(new URL(HERE)),
    "a request": () => opik.fetch(new Request(HERE, { headers: { a: "b" } })),
    "of a span": () => opik.span({ name: "n" }, (span) => span.fetch(HERE)),
    "of the current span": () => opik.span({ name: "n" }, () => tracedFetch(HERE)),
    "with one spelling": () => opik.fetch(HERE, { opik: { propagate: "hyphen" } }),
    "a record": () => opik.fetch(HERE, { headers: { a: "b" } }),
    Headers: () => opik.fetch(HERE, { headers: new Headers({ a: "b" }) }),
    pairs: () => opik.fetch(HERE, { headers: [["a", "b"]] }),
    "nothing given": () => opik.fetch(HERE, { headers: undefined } as never),
  })) {
    assert.equal(await tokenOf(call), TOKEN, name);
  }
  const stop = opik.instrumentFetch();
  assert.equal(await tokenOf(() => fetch(HERE)), TOKEN, "the page's own fetch");
  stop();
  assert.equal(await tokenOf(() => fetch(HERE)), null);
});

test("a fetched token is carried from its answer on, while it is valid", async () => {
  let answerWith = (_: string): void => {};
  const given = new Promise<string>((resolve) => {
    answerWith = resolve;
  });
  const opik = client({ token: () => given });
  const tokens = [await tokenOf(() => opik.fetch(HERE))];
  const token = await mintToken({
    secret: { id: "a", secret: "0123456789abcdef0123456789abcdef" },
    audience: "http://site.test",
    projectName: "pages",
    lifetimeMs: 60_000,
    nowMs: clock.now,
  });
  answerWith(token);
  await given;
  await clock.advance(60_000);
  tokens.push(await tokenOf(() => opik.fetch(HERE)));
  await clock.advance(1);
  tokens.push(await tokenOf(() => opik.fetch(HERE)));
  assert.deepEqual(tokens, [null, token, null]);
});

test("no other origin receives the page's token", async () => {
  const everybody = { token: TOKEN, propagateTo: [() => true] };
  const opik = client(everybody);
  for (const url of [
    ...[
      "https://site.test/chat",
      "http://site.test:8080/chat",
      "http://api.site.test/chat",
      "http://site.test.evil.test/",
    ],
    ...["http://site.test@evil.test/", "//evil.test/chat", "data:text/plain,x", "blob:http://evil.test/1"],
  ]) {
    for (const propagate of [undefined, true, "both", "hyphen"] as const) {
      assert.equal(await tokenOf(() => opik.fetch(url, { opik: { propagate } })), null, url);
    }
    assert.ok(asked.length === 1);
  }
  for (const [name, config, init] of [
    ["a call without headers", everybody, { opik: { propagate: false } }],
    ["the relay", { ...everybody, relayUrl: HERE }, {}],
    ["a trace that is not sampled", { ...everybody, sampleRate: 0 }, {}],
    ["a disabled client", { ...everybody, disabled: true }, {}],
    ["a client without a token", { propagateTo: [() => true] }, {}],
    ["an empty token", { token: "" }, {}],
    ["a token that is not valid in a header", { token: "v1.a\n.b" }, {}],
    ["a token that is not a text", { token: () => 7 as never }, {}],
  ] as const) {
    assert.equal(await tokenOf(() => client(config as OpikConfig).fetch(HERE, init)), null, name);
    assert.equal(asked.length, 1, name);
  }
  Object.defineProperty(globalThis, "location", {
    value: { origin: "null", href: "about:srcdoc" },
    configurable: true,
  });
  assert.equal(await tokenOf(() => opik.fetch("data:text/plain,x", { opik: { propagate: true } })), null);
});

test("a caller's own token stays unchanged", async () => {
  const opik = client({ token: TOKEN });
  const own = "v1.own.one";
  const pairs = function* () {
    yield ["OPIK-token", own];
  };
  for (const name of [OPIK_TOKEN_HEADER, "Opik-Token"]) {
    for (const headers of [
      { [name]: own },
      new Headers({ [name]: own }),
      [[name, own]],
      new Map([[name, own]]),
      pairs(),
    ]) {
      assert.equal(await tokenOf(() => opik.fetch(HERE, { headers } as RequestInit)), own, name);
    }
    const request = new Request(HERE, { headers: { [name]: own } });
    assert.equal(await tokenOf(() => opik.fetch(request)), own, "of a request");
    assert.equal(request.headers.get(name), own);
  }
});

test("elements that shadow the page's functions do no harm", async () => {
  const element = { name: "an element" };
  const given = { document: Object.getOwnPropertyDescriptor(globalThis, "document") };
  const names = ["querySelector", "addEventListener", "visibilityState", "baseURI"];
  const set = (name: string, value: unknown) => Object.defineProperty(globalThis, name, { value, configurable: true });
  try {
    set("document", Object.fromEntries(names.map((name) => [name, element])));
    for (const name of ["Deno", "Bun", "EdgeRuntime", "AsyncLocalStorage"]) set(name, { unrefTimer: element });
    assert.equal(serverContext(), undefined);
    const opik = client({ relayUrl: "/opik", background: true });
    const span = opik.span({ name: "n" });
    await (await span.fetch("/here")).text();
    span.end();
    assert.equal((await opik.flush()).sent, 3);
    await opik.discard();
  } finally {
    for (const name of ["Deno", "Bun", "EdgeRuntime", "AsyncLocalStorage"]) Reflect.deleteProperty(globalThis, name);
    if (given.document) Object.defineProperty(globalThis, "document", given.document);
    else Reflect.deleteProperty(globalThis, "document");
  }
});

test("rows that the relay takes for another day's are counted as such", async () => {
  answer = () => Response.json({ code: "clock_skew", now: clock.now }, { status: 425 });
  const opik = client();
  opik.trace().end();
  assert.deepEqual((await opik.flush()).dropped, { clock_skew: 1 });
});

test("a key is not allowed in a page's settings", () => {
  assert.throws(() => client({ apiKey: "key" }), { code: "invalid_config", message: /^apiKey:/ });
  assert.throws(() => client({ relayUrl: "http://" }), { code: "invalid_config" });
});

test("a call can set its own name, parent and headers", async () => {
  answer = () => new Response();
  const opik = client({ propagateTo: ["http://api.test"] });
  const parent = opik.span({ name: "parent" });
  const headersOf = async (opikOptions?: object) => {
    asked = [];
    await opik.fetch("http://api.test/x", { headers: { own: "1" }, opik: { parent, ...opikOptions } });
    const [{ init }] = asked as [Asked];
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

test("the global fetch is traced until it is restored, and the client's own uploads are not", async () => {
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

test("W3C Trace Context alone goes to the page's own origin and to named origins", async () => {
  const opik = client({ propagation: ["w3c"], propagateTo: ["http://*.friend.test"] });
  answer = () => new Response();
  const restore = opik.instrumentFetch();
  for (const url of ["/here", "http://api.friend.test/", "http://stranger.test/"]) {
    asked = [];
    await fetch(url);
    const headers = new Headers(asked[0]!.init?.headers);
    const [, trace, half] = /^00-([\da-f]{32})-([\da-f]{16})-01$/.exec(headers.get("traceparent") ?? "") ?? [];
    const [, ids = ""] = /^opik=([\da-f]{64})$/.exec(headers.get("tracestate") ?? "") ?? [];
    assert.deepEqual(
      [trace, half],
      url.includes("stranger") ? [undefined, undefined] : [ids.slice(0, 32), ids.slice(48)],
    );
    assert.equal(headers.has("opik-trace-id"), false);
  }
  restore();
});

test("headers go to the page's own origin and to named origins, also from a worker of the page", async () => {
  const opik = client({ propagateTo: ["http://*.friend.test"] });
  answer = () => new Response();
  const isGiven = async (url: string) => {
    asked = [];
    await opik.fetch(url);
    return new Headers(asked[0]!.init?.headers).has("opik_trace_id");
  };
  assert.deepEqual(
    [await isGiven("/here"), await isGiven("http://api.friend.test/"), await isGiven("http://stranger.test/")],
    [true, true, false],
  );
});

test("outside a page, a client with a relay does nothing, and does no harm", async () => {
  for (const userAgent of ["Node.js/22", "Cloudflare-Workers"]) {
    pretendToBePage(userAgent);
    const errors: OpikError[] = [];
    const opik = client({ relayUrl: "/opik", onError: (error) => errors.push(error) });
    const before = globalThis.fetch;
    opik.instrumentFetch()();
    assert.equal(globalThis.fetch, before);
    const text = opik.span({ name: "render" }, (span) => `${span.id}${tabThreadId()}${serverContext()}`);
    assert.equal(text, "undefinedundefined");
    assert.deepEqual([(await opik.flush()).requests, asked, errors], [0, [], []]);
  }
});

test("a tab has one conversation until it idles, or begins another", async () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  };
  Object.defineProperty(globalThis, "sessionStorage", { get: () => storage, configurable: true });
  const first = tabThreadId();
  assert.match(first!, /^[0-9a-f]{32}$/);
  await clock.advance(29 * 60_000);
  assert.equal(tabThreadId(), first);
  await clock.advance(29 * 60_000);
  assert.equal(tabThreadId(), first, "it was asked for meanwhile");
  assert.ok([...kept.values()].join().includes(first!), "a reload finds it");
  const renewed = tabThreadId({ renew: true });
  assert.notEqual(renewed, first);
  await clock.advance(1001);
  assert.equal(tabThreadId(), renewed);
  await clock.advance(1001);
  assert.notEqual(tabThreadId({ idleMs: 1000 }), renewed);
  const wrong = ["1000", Number.NaN, -1, null, {}] as never[];
  for (const idleMs of wrong) {
    const kept = tabThreadId();
    await clock.advance(29 * 60_000);
    assert.equal(tabThreadId({ idleMs }), kept, "an invalid time means the default");
    await clock.advance(31 * 60_000);
    assert.notEqual(tabThreadId({ idleMs }), kept);
  }
  Object.defineProperty(globalThis, "sessionStorage", {
    get() {
      throw new DOMException("forbidden", "SecurityError");
    },
    configurable: true,
  });
  assert.equal(tabThreadId(), tabThreadId(), "in memory, where nothing is stored");
});

test("a server hands its context to the page it renders", async () => {
  const server = new Opik({ url: "http://opik.test", background: false });
  const [tags, meta, timing, ids] = server.span({ name: "GET /" }, (span) => [
    contextMetaTags(span),
    contextMeta(span),
    contextServerTiming(span),
    span.headers({ spelling: "hyphen" }), // every header that is handed on to any other service
  ]);
  const pretend = (found: Record<string, string>, serverTiming: object[]) => {
    const querySelector = (selector: string) => {
      const content = found[/^meta\[name="(.*)"\]$/.exec(selector)![1]!];
      return content === undefined ? null : { getAttribute: () => content };
    };
    Object.defineProperty(globalThis, "document", { value: { querySelector }, configurable: true });
    Object.defineProperty(globalThis, "performance", {
      value: { getEntriesByType: () => [{ serverTiming }] },
      configurable: true,
      writable: true,
    });
  };
  const native = globalThis.performance;
  try {
    pretend({}, []);
    assert.equal(serverContext(), undefined);
    const ofTags = (tags as ContextMetaTag[]).map(({ name, content, ...more }) => {
      assert.deepEqual(more, {});
      return [name, content];
    });
    assert.deepEqual(Object.fromEntries(ofTags), ids);
    const elements = [...meta!.toString().matchAll(/<meta name="([^"]*)" content="([^"]*)">/g)];
    pretend(Object.fromEntries(elements.map(([, name, content]) => [name, content])), []);
    assert.deepEqual(serverContext(), ids);
    const metrics = [...timing!.toString().matchAll(/([\w-]+);desc="([^"]*)"/g)];
    pretend(
      {},
      metrics.map(([, name, description]) => ({ name, description })),
    );
    assert.deepEqual(serverContext(), ids);
    const joined = client().span({ name: "hydrate", parent: serverContext() });
    assert.deepEqual(
      [joined.traceId, joined.parentSpanId, joined.trace.joined],
      [(ids as Record<string, string>)["opik-trace-id"], (ids as Record<string, string>)["opik-parent-span-id"], true],
    );
  } finally {
    Object.defineProperty(globalThis, "performance", { value: native, configurable: true, writable: true });
    Reflect.deleteProperty(globalThis, "document");
  }
  const off = new Opik({ disabled: true }).span();
  assert.deepEqual([contextMeta(off), contextServerTiming(off), contextMeta(undefined)], ["", "", ""]);
  assert.deepEqual([contextMetaTags(off), contextMetaTags(undefined)], [[], []]);
});

test("during development, a call that fails because a header is missing names the header", async () => {
  const told = async (origin: string, allows: (names: string[]) => boolean): Promise<string[]> => {
    const errors: OpikError[] = [];
    const opik = client({ propagateTo: [origin], onError: (error) => errors.push(error) });
    globalThis.fetch = (async (_url: unknown, init: RequestInit) => {
      const names = [...new Headers(init.headers).keys()];
      assert.ok(init.method === "HEAD" || init.method === "POST");
      if (!allows(names)) throw new TypeError("Failed to fetch");
      return new Response();
    }) as typeof fetch;
    await assert.rejects(opik.fetch(`${origin}/x`, { method: "POST" }), /Failed to fetch/);
    await new Promise((resolve) => setImmediate(resolve));
    return errors.map(({ code, message }) => `${code}: ${message}`);
  };
  const onlyUnderscores = (names: string[]) => !names.some((name) => name.startsWith("opik-"));
  Object.defineProperty(globalThis, "location", { value: new URL("https://site.example/"), configurable: true });
  assert.deepEqual(await told("http://a.test", onlyUnderscores), [], "this page is in production");
  Object.defineProperty(globalThis, "location", { value: new URL("http://localhost:3000/"), configurable: true });
  assert.deepEqual(await told("http://b.test", onlyUnderscores), [
    "cors_header: http://b.test does not allow the request headers opik-trace-id, opik-parent-span-id, so the traced call " +
      "failed: see handlePreflight and corsHeaders",
  ]);
  assert.deepEqual(await told("http://b.test", onlyUnderscores), [], "once for each origin");
  const [down] = await told("http://c.test", () => false);
  assert.match(
    down!,
    /c\.test is down, or allows no calls from http:\/\/localhost:3000; traced ones need opik_trace_id, opik_par/,
  );
  assert.deepEqual(await told("http://localhost:3000", () => false), [], "no matter of CORS");
  let calls = 0;
  assert.deepEqual(await told("http://d.test", () => calls++ > 0), [], "it failed for another reason");
  assert.equal(calls, 2);
});

test("rows are sent with the token of their time, and of several scores for one subject only the last", async () => {
  const secret = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
  let lastToken: Promise<string>;
  const mint = () => {
    lastToken = mintToken({
      secret,
      audience: "http://site.test",
      projectName: "p",
      lifetimeMs: 60_000,
      nowMs: clock.now,
    });
    return lastToken;
  };
  let isDown = true;
  answer = () => (isDown ? new Response(null, { status: 503 }) : Response.json({ now: clock.now }));
  const opik = client({ background: false, token: mint });
  const settle = async () => {
    await lastToken;
    await new Promise((resolve) => setImmediate(resolve));
  };
  const early = opik.trace({ name: "early" });
  early.end();
  await settle();
  const first = await mint();
  await clock.advance(120_000);
  opik.trace({ name: "late" }).end();
  for (const value of [1, 0]) opik.score({ traceId: early.id, name: "helpful", value });
  await settle();
  isDown = false;
  assert.equal((await opik.flush()).sent, 3);
  const sent = bodies().map(({ token, ...kinds }) => [token === first || token, kinds]);
  const find = (name: string) => sent.find(([, kinds]) => JSON.stringify(kinds).includes(`"name":"${name}"`))!;
  assert.equal(find("early")[0], first.length > 0);
  assert.notEqual(find("late")[0], true);
  const scores = sent.flatMap(([, kinds]) => (kinds as { trace_scores?: { value: number }[] }).trace_scores ?? []);
  assert.deepEqual(
    scores.map(({ value }) => value),
    [0],
  );
});

test("a call that fails in a runtime with only a browser's name fails as before", async () => {
  Reflect.deleteProperty(globalThis, "location");
  globalThis.fetch = (async () => {
    throw new TypeError("no network");
  }) as typeof fetch;
  await assert.rejects(client({ relayUrl: "http://site.test/opik" }).fetch("http://api.test/"), /no network/);
});

test("unsent rows are sent as soon as the network is back, and without waiting rows there is no listener", async (t) => {
  const listeners = new Map<string, Set<unknown>>();
  const window = new EventTarget();
  t.mock.method(window, "addEventListener", function (this: EventTarget, type: string, listener: () => void) {
    listeners.set(type, (listeners.get(type) ?? new Set()).add(listener));
    EventTarget.prototype.addEventListener.call(this, type, listener);
  });
  t.mock.method(window, "removeEventListener", function (this: EventTarget, type: string, listener: () => void) {
    listeners.get(type)?.delete(listener);
    EventTarget.prototype.removeEventListener.call(this, type, listener);
  });
  const listened = () => [...listeners].filter(([, { size }]) => size > 0).map(([type]) => type);
  Object.defineProperty(globalThis, "window", { value: window, configurable: true });
  try {
    const opik = client({ background: true });
    opik.trace({ name: "waits" }).end();
    answer = () => {
      throw new TypeError("Failed to fetch");
    };
    const flushing = opik.flush({ timeoutMs: 10 });
    await clock.advance(10);
    assert.equal((await flushing).kept, 1);
    assert.ok(listened().includes("online"), String(listened()));
    asked = [];
    answer = () => Response.json({ now: clock.now });
    window.dispatchEvent(new Event("online"));
    await clock.advance(0);
    assert.deepEqual(
      bodies().map(({ traces }) => traces[0].name),
      ["waits"],
    );
    assert.deepEqual(listened(), []);
  } finally {
    Reflect.deleteProperty(globalThis, "window");
  }
});
