// `withOpik` in workerd, against a real collector.

import assert from "node:assert/strict";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow, StoredScore } from "../support/collector.js";
import { type Collector, type CollectorOptions, startCollector } from "../support/collector.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { recordSuite, runtimeVersion } from "../support/versions.js";
import { type RunningWorker, startWorker, type WorkerOptions } from "../support/worker.js";

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const CALLER = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };
const SECRET = "do-not-record-me";

/** A Worker, its collector and its upstream, for one describe block. */
interface Setup {
  readonly worker: RunningWorker;
  readonly collector: Collector;
  readonly upstream: TestUpstream;
  /** The Worker's console output so far. */
  readonly log: () => string;
  /** Resolves once the Worker's output matches. */
  logged(what: RegExp): Promise<void>;
  /** Calls the Worker and returns the text of the response. */
  get(path: string, headers?: Record<string, string>): Promise<string>;
  /** Waits for a span with this name. */
  span(name: string, howMany?: number): Promise<StoredRow>;
}

async function setUp(options: WorkerOptions = {}, collectorOptions: CollectorOptions = {}): Promise<Setup> {
  const collector = await startCollector(collectorOptions);
  const upstream = await startTestUpstream();
  let log = "";
  const watchers = new Watchers();
  const starting = startWorker("tests/worker/fixture.ts", {
    ...options,
    bindings: {
      UPSTREAM: upstream.url,
      SECRET,
      OPIK_URL_OVERRIDE: collector.url,
      OPIK_API_KEY: "key-1",
      OPIK_WORKSPACE: "team",
      OPIK_PROJECT_NAME: "edge",
      ...options.bindings,
    },
    onLog: (text) => {
      log += text;
      watchers.notify();
    },
  });
  const worker = await starting.catch(async (error) => {
    await closeAll(upstream, collector);
    throw error;
  });
  const named = (name: string) => collector.spans().filter((span) => span["name"] === name);
  return {
    worker,
    collector,
    upstream,
    log: () => log,
    logged: (what) =>
      watchers.until(
        () => what.test(log),
        () => `${what} in ${log}`,
      ),
    get: async (path, headers = {}) => (await fetch(`${worker.url}${path}`, { headers })).text(),
    span: async (name, howMany = 1) => {
      await collector.until(() => named(name).length >= howMany);
      return named(name).at(-1)!;
    },
  };
}

/** Accepts `undefined`, because the set-up may have failed. */
const tearDown = (t: Setup | undefined): Promise<void> => closeAll(t?.worker, t?.upstream, t?.collector);

/** A request at the level of the wire, without the changes that `fetch` makes to responses. */
function raw(url: string, method = "GET"): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { method, agent: false, headers: { "accept-encoding": "gzip" } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    })
      .on("error", reject)
      .end();
  });
}

/** Reads one chunk of an endless response, disconnects, and waits for the span that this ended. */
async function hangUp(t: Setup, path: string): Promise<void> {
  const before = t.upstream.hungUp();
  const abort = new AbortController();
  const response = await fetch(`${t.worker.url}${path}`, { signal: abort.signal });
  await response.body!.getReader().read();
  abort.abort();
  const root = await t.span(`GET ${path}`);
  assert.deepEqual(root["metadata"], { opik_edge_cancelled: true });
  await t.upstream.untilHungUp(before + 1);
}

recordSuite("worker", "workerd: requests", runtimeVersion("workerd"));

describe("withOpik in workerd", () => {
  let t: Setup;
  before(async () => {
    t = await setUp();
  });
  after(() => tearDown(t));

  test("a call without headers begins a trace, named by method and path", async () => {
    assert.equal(await t.get("/hello?token=secret"), "hello");
    const root = await t.span("GET /hello");
    assert.equal(root.parent_span_id, undefined);
    assert.deepEqual(root["input"], { method: "GET", url: `${t.worker.url}/hello` });
    assert.deepEqual(root["output"], { status: 200 });
    assert.deepEqual([root["project_name"], root["environment"], root["source"]], ["edge", "test", "sdk"]);
    const trace = t.collector.traces().find(({ id }) => id === root.trace_id)!;
    assert.deepEqual([trace["name"], trace["output"]], ["GET /hello", { status: 200 }]);
  });

  test("a call with headers joins the caller's trace and writes no trace row", async () => {
    await t.get("/json", CALLER);
    const root = await t.span("GET /json");
    assert.deepEqual([root.trace_id, root.parent_span_id], [TRACE, PARENT]);
    assert.ok(!t.collector.traces().some(({ id }) => id === TRACE));
  });

  test("an upload carries the raw key and the workspace", async () => {
    await t.get("/status?status=200");
    await t.span("GET /status");
    const { headers } = t.collector.requests.at(-1)!;
    assert.deepEqual([headers.authorization, headers["comet-workspace"]], ["key-1", "team"]);
  });

  test("a score for any trace is sent with the invocation's rows", async () => {
    const body = JSON.stringify({ traceId: TRACE, name: "helpful", value: 1, reason: "it worked" });
    assert.equal(await (await fetch(`${t.worker.url}/feedback`, { method: "POST", body })).text(), "thanks");
    await t.collector.until(() => t.collector.scores().length === 1);
    const [{ entity, id, name, value, reason, project_name }] = t.collector.scores() as [StoredScore];
    assert.deepEqual(
      [entity, id, name, value, reason, project_name],
      ["traces", TRACE, "helpful", 1, "it worked", "edge"],
    );
  });

  test("up to one batch of spans costs two subrequests", async () => {
    await t.get("/many");
    const { trace_id } = await t.span("GET /many");
    // Uploads of an earlier test may arrive in between.
    const own = () => t.collector.requests.filter(({ body }) => body.includes(trace_id!));
    await t.collector.until(() => own().length >= 2);
    assert.deepEqual(
      own()
        .map(({ path, status }) => [path.split("/").at(-2), status])
        .sort(),
      [
        ["spans", 204],
        ["traces", 204],
      ],
    );
    assert.equal(t.collector.spans().filter((span) => span.trace_id === trace_id).length, 501);
  });

  test("an exception is recorded, with its class, and rethrown", async () => {
    const response = await fetch(`${t.worker.url}/throws`);
    await response.text();
    assert.equal(response.status, 500);
    const root = await t.span("GET /throws");
    const error = root["error_info"] as Record<string, string>;
    assert.deepEqual([error["exception_type"], error["message"]], ["TypeError", "from the handler"]);
    assert.match(error["traceback"]!, /from the handler/);
    const trace = t.collector.traces().find(({ id }) => id === root.trace_id)!;
    assert.deepEqual(trace["error_info"], error);
  });

  test("fifty requests in flight never mix", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `request-${i}`);
    const answers = await Promise.all(names.map((name) => t.get(`/nested?name=${name}`)));
    await t.collector.until(() => t.collector.spans().filter((s) => s["name"] === "GET /nested").length >= 50);
    for (const [i, name] of names.entries()) {
      const { root, child, trace } = JSON.parse(answers[i]!);
      const childRow = await t.span(`${name} child`);
      const grandchild = await t.span(`${name} grandchild`);
      assert.deepEqual([childRow.id, childRow.parent_span_id, childRow.trace_id], [child, root, trace]);
      assert.deepEqual([grandchild.parent_span_id, grandchild.trace_id], [child, trace]);
    }
  });

  test("a span kept from a finished request does not affect a later request", async () => {
    await t.get("/keep");
    // The runtime waits for it until it would end the invocation.
    await t.collector.until(() => t.collector.spans().some((row) => row["name"] === "kept" && row["end_time"]));
    const before = structuredClone(await t.span("kept"));
    assert.deepEqual(before["metadata"] as object, { opik_edge_unfinished: true });
    await t.get("/misuse");
    await t.span("GET /misuse");
    assert.deepEqual(await t.span("kept"), before);
    assert.ok(!t.collector.spans().some(({ name }) => name === "touched by another request" || name === "late child"));
    await t.logged(/already_ended|invocation_ended/);
  });

  test("background work is waited for, and a flush inside it does not deadlock", async () => {
    assert.equal(await t.get("/background"), "ok");
    const root = await t.span("GET /background");
    assert.equal((await t.span("in the background")).parent_span_id, root.id);
    assert.equal((await t.span("later still")).parent_span_id, root.id);
  });

  test("spans still open at the end are closed and marked", async () => {
    await t.get("/left-open");
    const open = await t.span("left open");
    assert.deepEqual(open["metadata"], { opik_edge_unfinished: true });
    assert.equal((await t.span("GET /left-open"))["metadata"], undefined);
  });

  test("a response that is never read ends with the invocation", async () => {
    await t.get("/unread");
    await t.span("GET /unread");
    const call = await t.span(`GET ${new URL(t.upstream.url).host}/text`);
    assert.deepEqual(call["metadata"], { opik_edge_unfinished: true });
    assert.deepEqual(call["output"], { status: 200 });
  });

  test("a response that is still being read is waited for", async () => {
    await t.get("/reads-on");
    const call = await t.span(`GET ${new URL(t.upstream.url).host}/broken`);
    assert.ok(call["error_info"], "it failed while it was read");
    assert.equal(call["metadata"], undefined);
  });

  test("no row contains env or ctx, wherever they occur", async () => {
    await t.get("/records-env");
    const tracked = await t.span("tracked");
    const [request, env, ctx, nested] = (tracked["input"] as { arguments: unknown[] }).arguments;
    assert.deepEqual([env, ctx, nested], ["[env]", "[ctx]", { env: "[env]" }]);
    assert.deepEqual(request, { method: "GET", url: `${t.worker.url}/records-env` });
    assert.deepEqual(tracked["output"], { env: "[env]", nested: [{ ctx: "[ctx]" }] });
    assert.ok(!t.collector.requests.some(({ body }) => body.includes(SECRET)));
  });

  test("the handler's values for its root span win over ours", async () => {
    await t.get("/own-output");
    assert.deepEqual((await t.span("renamed"))["output"], { output: "of the handler's own" });
  });

  test("an unreadable output harms neither the response nor the other fields", async () => {
    assert.equal(await t.get("/unreadable-output"), "ok");
    const root = await t.span("unreadable");
    assert.deepEqual(root["output"], { status: 200, broken: "[unserializable: no]" });
    assert.equal(root["error_info"], undefined);
  });

  test("the handler keeps its own `this`", async () => {
    const first = Number(await t.get("/calls"));
    assert.equal(Number(await t.get("/calls")), first + 1);
  });

  test("hostile headers begin a new trace and do no harm", async () => {
    for (const value of [
      "x".repeat(5000),
      "%00",
      "{}",
      `${TRACE},${PARENT}`,
      "\u00e9",
      "ffffffff-ffff-7fff-8fff-ffffffffffff",
    ]) {
      const answer = JSON.parse(await t.get("/context", { opik_trace_id: value, opik_parent_span_id: value }));
      assert.notEqual(answer.headers.opik_trace_id, value);
    }
    await t.logged(/trace_in_the_future/);
    assert.equal(t.log().match(/trace_in_the_future/g)?.length, 1, "one warning for each reason");
  });

  test("ids are unique and sorted while the clock stands still", async () => {
    assert.deepEqual(JSON.parse(await t.get("/frozen")), { unique: 100, sorted: true });
  });

  test("a child is recorded with its parent, whichever client opens it", async () => {
    await t.get("/own-client");
    const child = await t.span("through another client");
    assert.equal(child.parent_span_id, (await t.span("GET /own-client")).id);
  });
});

describe("responses pass through unchanged", () => {
  let t: Setup;
  before(async () => {
    t = await setUp();
  });
  after(() => tearDown(t));

  test("a string keeps its length", async () => {
    const { headers, body } = await raw(`${t.worker.url}/hello`);
    assert.equal(headers["content-length"], "5");
    assert.equal(body.toString(), "hello");
  });

  test("a string returned by a span's callback keeps its length, and the span ends with the callback", async () => {
    const { headers, body } = await raw(`${t.worker.url}/scoped`);
    assert.deepEqual([headers["content-length"], body.toString()], ["7", '{"a":1}']);
    assert.equal((await t.span("scoped"))["metadata"], undefined);
  });

  test("a proxied body keeps its length and its bytes", async () => {
    const { headers, body } = await raw(`${t.worker.url}/proxy?path=/length`);
    assert.deepEqual([headers["content-length"], body.toString()], ["6", "length"]);
    const root = await t.span("GET /proxy");
    assert.deepEqual(root["output"], { status: 200 });
  });

  test("a gzipped upstream stays gzipped", async () => {
    const { headers, body } = await raw(`${t.worker.url}/proxy?path=/gzip`);
    assert.equal(headers["content-encoding"], "gzip");
    assert.equal(gunzipSync(body).toString(), "zipped".repeat(100));
  });

  test("bytes that are already encoded are not encoded again", async () => {
    const { headers, body } = await raw(`${t.worker.url}/encoded`);
    assert.equal(headers["content-encoding"], "gzip");
    assert.equal(gunzipSync(body).toString(), "hello");
  });

  test("a stream arrives chunk by chunk, and the span ends after the last", async () => {
    assert.equal(await t.get("/chunks"), [0, 1, 2, 3, 4].map((n) => `chunk ${n}\n`).join(""));
    const root = await t.span("GET /chunks");
    assert.equal(root["metadata"], undefined);
    assert.equal(root["error_info"], undefined);
  });

  test("a broken stream is recorded, and breaks the client's connection as it would untraced", async () => {
    await assert.rejects(t.get("/breaks"), TypeError);
    const root = await t.span("GET /breaks");
    assert.equal((root["error_info"] as Record<string, string>)["message"], "the stream broke");
  });

  test("a client that hangs up ends the span and cancels the upstream", async () => {
    await hangUp(t, "/endless");
  });

  for (const status of [204, 205, 304]) {
    test(`${status} has no body and keeps its headers`, async () => {
      const answer = await raw(`${t.worker.url}/status?status=${status}`);
      assert.deepEqual([answer.status, answer.headers["x-kept"], answer.body.length], [status, "yes", 0]);
    });
  }

  test("HEAD has a length and no body", async () => {
    const { headers, body } = await raw(`${t.worker.url}/proxy?path=/length`, "HEAD");
    assert.deepEqual([headers["content-length"], body.length], ["6", 0]);
    await t.span("HEAD /proxy");
  });

  test("every cookie arrives", async () => {
    assert.deepEqual((await raw(`${t.worker.url}/cookies`)).headers["set-cookie"], ["a=1", "b=2"]);
  });

  test("a WebSocket upgrade goes through", async () => {
    const { WebSocket } = await import("undici");
    const socket = new WebSocket(`${t.worker.url.replace("http", "ws")}/socket`);
    const answer = await new Promise((resolve, reject) => {
      socket.addEventListener("open", () => socket.send("hi"));
      socket.addEventListener("message", (event) => resolve(event.data));
      socket.addEventListener("error", reject);
    });
    assert.equal(answer, "echo hi");
    assert.deepEqual((await t.span("GET /socket"))["output"], { status: 101 });
  });

  test("span.fetch keeps url, redirected and type, on clones too", async () => {
    const facts = JSON.parse(await t.get("/fetch-facts"));
    const url = `${t.upstream.url}/text`;
    assert.deepEqual(facts, {
      url,
      redirected: true,
      type: facts.type,
      status: 200,
      text: "text",
      copy: [url, "text"],
    });
    assert.ok(["basic", "default"].includes(facts.type));
  });
});

describe("tracing never breaks the host", () => {
  for (const config of ["throws", "invalid"]) {
    test(`a configuration function that ${config}: the handler runs untraced, with one report`, async () => {
      const t = await setUp({ bindings: { CONFIG: config } });
      try {
        assert.equal(await t.get("/hello"), "hello");
        assert.equal(await t.get("/hello"), "hello");
        await t.logged(/invalid_config/);
        assert.equal(t.log().match(/invalid_config/g)?.length, 1);
        assert.equal(t.collector.requests.length, 0);
      } finally {
        await tearDown(t);
      }
    });
  }

  test("a disabled Worker records nothing and forwards the caller's ids", async () => {
    const t = await setUp({ bindings: { OPIK_TRACK_DISABLE: "true" } });
    try {
      assert.deepEqual(JSON.parse(await t.get("/context", CALLER)), { headers: CALLER });
      const proxied = JSON.parse(await t.get("/proxy?path=/anything", CALLER));
      assert.equal(proxied.headers.opik_parent_span_id, PARENT);
      assert.equal(t.collector.requests.length, 0);
    } finally {
      await tearDown(t);
    }
  });

  test("a handler that returns no response fails as it would untraced", async () => {
    const answers = [];
    for (const OPIK_TRACK_DISABLE of ["", "true"]) {
      const t = await setUp({ bindings: { OPIK_TRACK_DISABLE } });
      try {
        const response = await fetch(`${t.worker.url}/no-response`);
        answers.push([response.status, await response.text()]);
        await t.logged(/Incorrect type for Promise/);
      } finally {
        await tearDown(t);
      }
    }
    assert.deepEqual(answers[0], answers[1]);
  });

  test("a missing key for the cloud: the handler runs untraced", async () => {
    const t = await setUp({ bindings: { OPIK_URL_OVERRIDE: "", OPIK_API_KEY: "" } });
    try {
      assert.equal(await t.get("/hello"), "hello");
      await t.logged(/apiKey: expected an API key/);
    } finally {
      await tearDown(t);
    }
  });

  test("a collector that is down, refuses or never answers: the response is unharmed", async () => {
    for (const fault of [{ status: 500 }, { status: 401 }, "hang"] as const) {
      const t = await setUp({}, { fault });
      try {
        assert.equal(await t.get("/hello"), "hello");
        await t.collector.until(() => t.collector.requests.length >= 2);
      } finally {
        await tearDown(t);
      }
    }
    const t = await setUp({ bindings: { OPIK_URL_OVERRIDE: "http://127.0.0.1:9/api" } });
    try {
      assert.equal(await t.get("/hello"), "hello");
    } finally {
      await tearDown(t);
    }
  });

  test("redirects of the collector are not followed, so the key stays", async (context) => {
    const elsewhere = await startCollector();
    context.after(() => elsewhere.close());
    const t = await setUp({ compatibilityDate: "2023-01-01" }, { fault: { redirect: elsewhere.url } });
    try {
      assert.equal(await t.get("/hello"), "hello");
      await t.collector.until(() => t.collector.requests.length >= 2);
      assert.deepEqual(new Set(t.collector.requests.map(({ status }) => status)), new Set([307]));
      assert.equal(elsewhere.requests.length, 0);
    } finally {
      await tearDown(t);
    }
  });
});

/** Both flags are needed to turn Node off on a recent date; with only the first it stays on. */
const OPTED_OUT = ["no_nodejs_compat", "no_nodejs_compat_v2"];

describe("compatibility flags and dates", () => {
  const variants: [string, WorkerOptions, boolean][] = [
    ["nodejs_compat, new date", { compatibilityFlags: ["nodejs_compat"] }, true],
    ["nodejs_compat, old date", { compatibilityFlags: ["nodejs_compat"], compatibilityDate: "2023-06-01" }, true],
    ["nodejs_als, new date", { compatibilityFlags: ["nodejs_als"] }, true],
    ["nodejs_als, old date", { compatibilityFlags: ["nodejs_als"], compatibilityDate: "2023-06-01" }, true],
    ["no flag, new date", { compatibilityFlags: [], compatibilityDate: "2026-08-04" }, true],
    ["no flag, the day before", { compatibilityFlags: [], compatibilityDate: "2026-08-03" }, false],
    ["opted out", { compatibilityFlags: OPTED_OUT, compatibilityDate: "2026-08-04" }, false],
    ["no flag, old date", { compatibilityFlags: [], compatibilityDate: "2023-01-01" }, false],
  ];
  for (const [name, options, ambient] of variants) {
    test(`${name}: spans nest${ambient ? "" : " when passed explicitly, with one warning"}`, async () => {
      const t = await setUp(options);
      try {
        const { root, child } = JSON.parse(await t.get("/nested?name=a"));
        await t.get("/nested?name=b");
        assert.equal((await t.span("a child")).parent_span_id, root);
        assert.equal((await t.span("a grandchild")).parent_span_id, child);
        await t.span("GET /nested", 2);
        if (!ambient) await t.logged(/no_async_context/);
        assert.equal(t.log().match(/no_async_context/g)?.length ?? 0, ambient ? 0 : 1);
      } finally {
        await tearDown(t);
      }
    });
  }
});
