// The relay under attack, in workerd. It refuses invalid requests with a clear reason, forwards no part of them to Opik,
// and its answers reveal nothing secret.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mintToken, relay } from "opik-edge/relay";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { pageIds } from "../support/page-ids.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

const KEY = "the-key-that-stays-here";
const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const ORIGIN = "https://app.test";

let collector: Collector;
let open: RunningWorker;
let guarded: RunningWorker;
let log = "";
before(async () => {
  collector = await startCollector();
  const bindings = { OPIK_URL_OVERRIDE: collector.url, OPIK_API_KEY: KEY, OPIK_SERVICE: "shop" };
  const onLog = (line: string): void => {
    log += line;
  };
  open = await startWorker("tests/relay/worker.ts", { bindings, onLog });
  guarded = await startWorker("tests/relay/worker.ts", { bindings: { ...bindings, SECRET: SECRET.secret }, onLog });
});
after(() => closeAll(open, guarded, collector));

let counter = 0;
/** A UUIDv7 of the given time. */
function id(ms = Date.now()): string {
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${(++counter).toString(16).padStart(12, "0")}`;
}

const span = (more: object = {}): object => {
  const { start_time = new Date().toISOString() } = more as { start_time?: string };
  return { id: id(), trace_id: id(), name: "click", type: "general", start_time, ...more };
};
const trace = (more: object = {}): object => ({
  id: id(),
  name: "page",
  start_time: new Date().toISOString(),
  ...more,
});

interface Sent {
  readonly worker?: RunningWorker;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: BodyInit | null;
}

/** Sends a valid request of a page, with changes; returns the parts of the answer that a page can see. */
async function send({ worker = open, method = "POST", headers = {}, body = null }: Sent) {
  const sent = { origin: ORIGIN, "content-type": "text/plain", ...headers };
  const given = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== ""));
  const response = await fetch(`${worker.url}/opik`, { method, headers: given, body, duplex: "half" } as RequestInit);
  const text = await response.text();
  assert.doesNotMatch(text + JSON.stringify([...response.headers]), new RegExp(`${KEY}|${collector.url}`));
  const { code, message, now } = text ? JSON.parse(text) : ({} as Record<string, never>);
  return { status: response.status, code, message, now, headers: response.headers };
}

const score = (more: object = {}): object => ({ id: id(), name: "helpful", value: 1, ...more });
const scores = (...rows: object[]): string => JSON.stringify({ trace_scores: rows });
const spans = (...rows: object[]): string => JSON.stringify({ spans: rows });

describe("a page may send", () => {
  test("is stamped and forwarded with the key", async () => {
    const row = span({ environment: "mine", source: "experiment", last_updated_at: "2199-01-01T00:00:00Z" }) as {
      id: string;
    };
    const { status, now, headers } = await send({ body: spans(row) });
    assert.equal(status, 200);
    assert.ok(Math.abs(now - Date.now()) < 60_000, "a page learns the time from it");
    assert.equal(headers.get("access-control-allow-origin"), ORIGIN);
    const stored = collector.spans().find(({ id }) => id === row.id)!;
    const { project_name, environment, source, last_updated_at } = stored;
    assert.deepEqual([project_name, environment, source], ["pages", "test", "sdk"]);
    assert.ok(Date.parse(last_updated_at) <= Date.now(), "no row wins for good");
    const upload = collector.requests.at(-1)!.headers;
    assert.equal(upload.authorization, KEY);
    assert.match(String(upload["x-opik-edge"]), /^\S+; browser; shop$/, "the rows are a page's, and not the Worker's");
    assert.equal((await send({ body: JSON.stringify({ traces: [trace({ thread_id: "t" })] }) })).status, 200);
    assert.equal((await send({ body: spans(span()), headers: { origin: "https://pr-7.preview.test" } })).status, 200);
    assert.equal((await send({ body: spans(span()), headers: { "content-type": "application/json" } })).status, 200);
    assert.equal(
      (await send({ body: spans(span({ project_name: "Pages" })) })).status,
      200,
      "projects match in any case",
    );
  });

  test("scores of anything that already exists", async () => {
    const old = id(Date.now() - 400 * 24 * 60 * 60 * 1000);
    assert.equal((await send({ body: scores(score({ id: old, reason: "it helped" }), score()) })).status, 200);
    assert.equal(
      (await send({ body: JSON.stringify({ span_scores: [score({ category_name: "good" })] }) })).status,
      200,
    );
    const [first, , third] = collector.scores();
    assert.deepEqual(
      [first!.entity, first!.id, first!["reason"], first!["source"], first!["project_name"]],
      ["traces", old, "it helped", "sdk", "pages"],
    );
    assert.deepEqual([third!.entity, third!["category_name"]], ["spans", "good"]);
    assert.equal(collector.requests.at(-1)!.method, "PUT");
  });

  test("rows that begin within 24 h of the present, and references to rows of any age", async () => {
    const day = 24 * 60 * 60 * 1000;
    const near = day - 60_000;
    const far = day + 60_000;
    // A row that is referred to may be of any age.
    for (const [ms, mayCreate, mayRefer] of [
      [-400 * day, false, true],
      [-far, false, true],
      [-near, true, true],
      [0, true, true],
      [120_000, true, true],
      [near, true, true],
      [far, false, false],
    ] as const) {
      const at = id(Date.now() + ms);
      for (const [name, body, isTaken] of [
        ["id", spans(span({ id: at })), mayCreate],
        ["id", JSON.stringify({ traces: [trace({ id: at })] }), mayCreate],
        ["trace_id", spans(span({ trace_id: at })), mayRefer],
        ["parent_span_id", spans(span({ parent_span_id: at })), mayRefer],
        ["id", scores(score({ id: at })), mayRefer],
      ] as const) {
        const { status, code } = await send({ body });
        assert.deepEqual([status, code], isTaken ? [200, undefined] : [425, "clock_skew"], `${name} ${ms}: ${body}`);
      }
    }
  });

  test("several scores with one name, of which the last counts", async () => {
    const first = score() as { id: string };
    assert.equal((await send({ body: scores(first, { ...first, value: 0 }) })).status, 200);
    assert.equal(collector.scores().find(({ id }) => id === first.id)!.value, 0);
  });

  test("a preflight, whose answer contains exactly the necessary headers", async () => {
    const { status, headers } = await send({ method: "OPTIONS" });
    assert.equal(status, 204);
    assert.equal(headers.get("access-control-allow-methods"), "POST");
    assert.equal(headers.get("access-control-allow-headers"), "content-type");
    assert.equal(headers.get("access-control-allow-credentials"), null);
  });
});

describe("a page must not send", () => {
  const day = 24 * 60 * 60 * 1000;
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
  const attacks: Record<string, [status: number, code: string, sent: () => Sent]> = {
    "another site": [
      403,
      "origin_forbidden",
      () => ({ headers: { origin: "https://evil.test" }, body: spans(span()) }),
    ],
    "a site with a similar name": [
      403,
      "origin_forbidden",
      () => ({ headers: { origin: "https://evilpreview.test" }, body: spans(span()) }),
    ],
    "the same host by another scheme": [
      403,
      "origin_forbidden",
      () => ({ headers: { origin: "http://app.test" }, body: spans(span()) }),
    ],
    "no origin": [403, "origin_missing", () => ({ headers: { origin: "" }, body: spans(span()) })],
    "a sandboxed page": [403, "origin_missing", () => ({ headers: { origin: "null" }, body: spans(span()) })],
    "a preflight of another site": [
      403,
      "origin_forbidden",
      () => ({ method: "OPTIONS", headers: { origin: "https://evil.test" } }),
    ],
    GET: [405, "method_not_allowed", () => ({ method: "GET" })],
    PUT: [405, "method_not_allowed", () => ({ method: "PUT", body: spans(span()) })],
    "a form": [
      415,
      "content_type",
      () => ({ headers: { "content-type": "multipart/form-data; boundary=x" }, body: "x" }),
    ],
    "a compressed body": [415, "content_encoding", () => ({ headers: { "content-encoding": "gzip" }, body: "x" })],
    "no body": [400, "malformed", () => ({})],
    "no JSON": [400, "malformed", () => ({ body: '{"spans":[' })],
    "a deep body": [400, "malformed", () => ({ body: deep.slice(0, 90_000) })],
    "a deep value": [
      400,
      "malformed",
      () => ({ body: `{"spans":[{"input":${deep.slice(0, 400)}${deep.slice(-400)}}]}` }),
    ],
    "a large body": [413, "too_large", () => ({ body: spans(span({ input: "x".repeat(100_000) })) })],
    "ten thousand rows": [413, "too_large", () => ({ body: `{"spans":[${"{},".repeat(9999)}{}]}` })],
    "no rows": [422, "invalid", () => ({ body: spans() })],
    "another route": [422, "invalid", () => ({ body: '{"projects":[{}]}' })],
    "two kinds of rows": [422, "invalid", () => ({ body: JSON.stringify({ spans: [span()], traces: [trace()] }) })],
    "an array": [422, "invalid", () => ({ body: "[]" })],
    "a row that is not an object": [422, "invalid", () => ({ body: '{"spans":[7]}' })],
    "a field that is the relay's": [422, "invalid", () => ({ body: spans(span({ workspace_name: "theirs" })) })],
    "a field of the prototype": [
      422,
      "invalid",
      () => ({ body: `{"spans":[${JSON.stringify(span()).replace("{", '{"__proto__":{"a":1},')}]}` }),
    ],
    "a field of a wrong type": [422, "invalid", () => ({ body: spans(span({ name: { a: 1 } })) })],
    "another project": [403, "foreign_project", () => ({ body: spans(span(), span({ project_name: "theirs" })) })],
    "an id twice": [
      422,
      "invalid",
      () => {
        const row = span();
        return { body: spans(row, row) };
      },
    ],
    "an id of another version": [
      422,
      "invalid_id",
      () => ({ body: spans(span({ id: "9b2d0f2e-3a38-4a37-9b5a-6a1a1c1f0f0f" })) }),
    ],
    "a score without a name": [422, "invalid", () => ({ body: scores(score(), score({ name: " " })) })],
    "a score that is not a number": [422, "invalid", () => ({ body: scores(score({ value: "9" })) })],
    "a score out of range": [422, "invalid", () => ({ body: scores(score({ value: -1e10 })) })],
    "a score with an author": [422, "invalid", () => ({ body: scores(score({ author: "somebody else" })) })],
    "a score of nothing": [422, "invalid_id", () => ({ body: scores(score({ id: undefined })) })],
    "a score of the future": [
      425,
      "clock_skew",
      () => ({ body: scores(score({ id: id(Date.now() + day + 60_000) })) }),
    ],
    "a score in another project": [403, "foreign_project", () => ({ body: scores(score({ project_name: "theirs" })) })],
    "scores without their kind": [422, "invalid", () => ({ body: JSON.stringify({ scores: [score()] }) })],
    "no id": [422, "invalid_id", () => ({ body: spans(span({ id: undefined })) })],
    "an id of yesterday": [425, "clock_skew", () => ({ body: spans(span({ id: id(Date.now() - day - 60_000) })) })],
    "an id of tomorrow": [425, "clock_skew", () => ({ body: spans(span({ id: id(Date.now() + day + 60_000) })) })],
    "a trace of the future": [
      425,
      "clock_skew",
      () => ({ body: spans(span({ trace_id: id(Date.now() + day + 60_000) })) }),
    ],
    "a parent of the future": [
      425,
      "clock_skew",
      () => ({ body: spans(span({ parent_span_id: id(Date.now() + day + 60_000) })) }),
    ],
  };
  for (const [name, [status, code, sent]] of Object.entries(attacks)) {
    test(name, async () => {
      const before = collector.requests.length;
      const answer = await send(sent());
      assert.deepEqual([answer.status, answer.code], [status, code], answer.message);
      assert.ok(answer.message.length > 10);
      assert.equal(collector.requests.length, before, "nothing is forwarded");
      const isForeign = code.startsWith("origin");
      assert.equal(
        answer.headers.get("access-control-allow-origin"),
        isForeign ? null : (sent().headers?.["origin"] ?? ORIGIN),
      );
    });
  }

  test("a large body without its length", async () => {
    const handler = relay({ url: collector.url, origins: [ORIGIN], maxBytes: 1000 });
    let pulled = 0;
    const body = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(400));
      },
    });
    const headers = { origin: ORIGIN, "content-type": "text/plain" };
    const init = { method: "POST", headers, body, duplex: "half" } as RequestInit;
    const answer = await handler(new Request("http://relay.test/", init));
    assert.deepEqual([answer.status, (await answer.json()).code], [413, "too_large"]);
    assert.ok(pulled < 10, "it is not read to its end");
  });

  test("a slow body", async () => {
    const { useFakeClock } = await import("opik-edge/testing");
    const clock = useFakeClock(Date.now());
    try {
      const handler = relay({ url: collector.url, origins: [ORIGIN] });
      const body = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("{")) });
      const headers = { origin: ORIGIN, "content-type": "text/plain" };
      const init = { method: "POST", headers, body, duplex: "half" } as RequestInit;
      const answering = handler(new Request("http://relay.test/", init));
      await clock.advance(10_000);
      const answer = await answering;
      assert.deepEqual([answer.status, (await answer.json()).code], [408, "too_slow"]);
      assert.equal(clock.timers, 0);
    } finally {
      clock.restore();
    }
  });
});

describe("tokens", () => {
  const mint = (more: object = {}) =>
    mintToken({ secret: SECRET, audience: guarded.url, projectName: "pages", ...more });
  const page = pageIds();
  const { secret } = page;
  const ownSpan = (ms = Date.now()) => span({ id: page.id(ms), trace_id: page.id(ms) });
  const write = async (token: unknown, row: object = ownSpan(), headers = {}) => {
    const before = collector.requests.length;
    const answer = await send({ worker: guarded, headers, body: JSON.stringify({ token, secret, spans: [row] }) });
    assert.equal(collector.requests.length - before, answer.status === 200 ? 1 : 0);
    return answer.code ?? answer.status;
  };
  const hour = 60 * 60 * 1000;
  /** A page's request to a relay that is called as a function. */
  const posted = (token: string): Request => {
    const headers = { origin: ORIGIN, "content-type": "text/plain" };
    return new Request("http://relay.test/x", {
      method: "POST",
      headers,
      body: JSON.stringify({ token, secret, spans: [ownSpan()] }),
    });
  };

  test("let a page write while they are valid", async () => {
    assert.equal(await write(await mint()), 200);
    assert.equal(await write(undefined), "token_missing");
    const minted = { nowMs: Date.now() - 2 * hour };
    assert.equal(await write(await mint(minted)), "outside_token", "the present is not in its life");
    const kept = ownSpan(Date.now() - 2 * hour + 1000);
    assert.equal(await write(await mint(minted), kept), 200, "a row that was kept offline is in its life");
    const old = { nowMs: Date.now() - 25 * hour, lifetimeMs: 1000 };
    assert.equal(await write(await mint(old), ownSpan(Date.now() - 23 * hour)), "token_expired");
    assert.equal(await write(await mint({ nowMs: Date.now() + hour })), "outside_token", "its time has not come");
    const began = ownSpan(Date.now() - 10 * 60_000);
    assert.equal(await write(await mint(), began), 200, "a row that began before the page renewed its token");
  });

  test("that are forged or meant for others are refused", async () => {
    const good = await mint();
    const [version, payload, mac] = good.split(".") as [string, string, string];
    const other = Buffer.from(Buffer.from(payload, "base64url").toString().replace("pages", "other")).toString(
      "base64url",
    );
    for (const token of [
      ...[7, {}, "", "v1", "v1..", `v2.${payload}.${mac}`, `${good}.x`, `${version}.${other}.${mac}`, `x${good}`],
      `${version}.${payload}.${mac.startsWith("A") ? "B" : "A"}${mac.slice(1)}`,
      `${version}.${payload}.`,
      `${version}.${Buffer.from("null").toString("base64url")}.${mac}`,
      `v1.${"x".repeat(5000)}.${mac}`,
      await mint({ secret: { id: "a", secret: "another secret of some thirty-two characters" } }),
      await mint({ secret: { id: "b", secret: SECRET.secret } }),
      await mint({ audience: "https://another-relay.test" }),
      await mint({ projectName: "another project" }),
      await mint({ session: "another session" }),
    ]) {
      assert.equal(await write(token), "token_invalid", JSON.stringify(token));
    }
    const own = await mint({ session: "s1" });
    assert.equal(await write(own, ownSpan(), { "x-session": "s1" }), 200);
    assert.equal(await write(own, ownSpan(), { "x-session": "s2" }), "token_invalid");
  });

  test("for a conversation write into no other", async () => {
    const token = await mint({ threadId: "t1" });
    const write = (row: object) => send({ worker: guarded, body: JSON.stringify({ token, secret, traces: [row] }) });
    const row = trace({ id: page.id() }) as { id: string };
    assert.equal((await write(row)).status, 200);
    assert.equal(collector.traces().find(({ id }) => id === row.id)!["thread_id"], "t1");
    assert.equal((await write(trace({ id: page.id(), thread_id: "t1" }))).status, 200);
    assert.equal((await write(trace({ id: page.id(), thread_id: "t2" }))).code, "outside_token");
  });

  test("are signed with a secret that is long enough, and two secrets may be active", async () => {
    await assert.rejects(mint({ secret: { id: "a", secret: "short" } }), { code: "invalid_config" });
    const secrets = [SECRET, { id: "b", secret: "another secret of some thirty-two characters" }];
    const handler = relay({
      url: collector.url,
      projectName: "pages",
      origins: [ORIGIN],
      tokens: { secrets, audience: "http://relay.test" },
    });
    for (const secret of secrets) {
      const token = await mintToken({ secret, audience: "http://relay.test", projectName: "pages" });
      assert.equal((await handler(posted(token))).status, 200);
    }
  });

  test("name a relay behind another host by its origin, in any spelling", async () => {
    const config = { url: collector.url, projectName: "pages", origins: [ORIGIN] };
    const token = await mintToken({ secret: SECRET, audience: "https://Public.test/opik", projectName: "pages" });
    for (const audience of ["https://public.test", "https://public.test/", "HTTPS://PUBLIC.test:443/x"]) {
      const handler = relay({ ...config, tokens: { secrets: [SECRET], audience } });
      assert.equal((await handler(posted(token))).status, 200, audience);
    }
    const elsewhere = relay({ ...config, tokens: { secrets: [SECRET], audience: "https://other.test" } });
    assert.equal((await (await elsewhere(posted(token))).json()).code, "token_invalid");
    assert.throws(() => relay({ ...config, tokens: { secrets: [SECRET], audience: "public.test" } }), {
      code: "invalid_config",
    });
  });
});

describe("when Opik refuses", () => {
  for (const [upstream, status, code] of [
    [400, 422, "rejected"],
    [401, 502, "unavailable"],
    [413, 413, "too_large"],
    [429, 429, "rate_limited"],
    [500, 502, "unavailable"],
  ] as const) {
    test(`HTTP ${upstream}`, async () => {
      // Each has its own destination, because after a refused key the relay pauses Opik for a while.
      const failing = await startCollector({ fault: { status: upstream, headers: { "retry-after": "3600" } } });
      try {
        const handler = relay({ url: failing.url, apiKey: KEY, origins: [ORIGIN], onError: () => {} });
        const headers = { origin: ORIGIN, "content-type": "text/plain" };
        const init = { method: "POST", headers, body: spans(span()) };
        const answer = await handler(new Request("http://relay.test/", init));
        const text = await answer.text();
        assert.deepEqual([answer.status, JSON.parse(text).code], [status, code]);
        assert.equal(answer.headers.get("retry-after"), status === 429 || status === 502 ? "30" : null);
        assert.doesNotMatch(text, new RegExp(KEY));
      } finally {
        await failing.close();
      }
    });
  }
});

test("the key of a rate limit is the caller's address, or the result of a function", async () => {
  const keys: string[] = [];
  const request = () =>
    new Request("http://relay.test/", {
      method: "POST",
      headers: { origin: ORIGIN, "content-type": "text/plain", "cf-connecting-ip": "192.0.2.7" },
      body: spans(span()),
    });
  const limiter = { limit: async ({ key }: { key: string }) => ({ success: keys.push(key) < 2 }) };
  const base = { url: collector.url, origins: [ORIGIN], onError: () => {} };
  const limited = relay({ ...base, rateLimit: limiter });
  assert.deepEqual([(await limited(request())).status, (await limited(request())).status], [200, 429]);
  assert.deepEqual(keys, ["192.0.2.7", "192.0.2.7"]);
  assert.equal((await relay({ ...base, rateLimit: () => false })(request())).status, 429);
  const broken = relay({
    ...base,
    rateLimit: () => {
      throw new Error("no");
    },
  });
  assert.equal((await broken(request())).status, 502, "a failing limit lets nobody pass");
});

test("a wrong configuration of a relay throws at once", () => {
  for (const config of [
    { origins: [] },
    { origins: [ORIGIN], tokens: { secrets: [] } },
    { origins: [ORIGIN], tokens: { secrets: [{ id: "a", secret: "short" }] } },
    { origins: [ORIGIN], projectName: " " },
    { origins: [ORIGIN], url: "https://www.comet.com/opik/api" },
  ]) {
    assert.throws(() => relay({ url: collector.url, ...config }), { code: "invalid_config" });
  }
});

test("no log contains the key", () => assert.doesNotMatch(log, new RegExp(KEY)));
