// Runs the main examples of the guides, unchanged. Each server is asked under a caller's span, and its request has to be a
// span there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { flush, type Opik } from "opik-edge";
import { Watchers } from "../../viewer/src/server/watchers.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { NATIVE_TAIL, NativeSpans } from "../support/native-spans.js";
import { pageIds } from "../support/page-ids.js";
import { PYTHON, QUIET } from "../support/python.js";
import { example, project } from "../support/readme.js";
import { recorded, versionOf } from "../support/versions.js";
import { ROOT, startWorker } from "../support/worker.js";

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const CALLER = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };

let collector: Collector;
before(async () => {
  collector = await startCollector();
  process.env["OPIK_URL_OVERRIDE"] = collector.url;
});
after(() => collector.close());

const named = (name: string): StoredRow[] => collector.spans().filter((row) => row["name"] === name);

/** Waits for the one span of this name, which has to be under the caller's. */
async function assertJoined(name: string): Promise<void> {
  await collector.until(() => named(name).length > 0);
  const [span, ...others] = named(name);
  assert.deepEqual([span!.trace_id, span!.parent_span_id, others.length], [TRACE, PARENT, 0]);
}

/** The module that an example is. */
async function load<M>(name: string): Promise<M> {
  return import(pathToFileURL(join(ROOT, await example(name, "ts"))).href);
}

/** The shape of a server for `deno serve`, Bun and Workers. */
interface WebServer {
  fetch(request: Request): Promise<Response>;
}

const asked = (path: string): Request => new Request(`http://localhost${path}`, { headers: CALLER });

/** Asks a server of Node, and returns its answer. */
async function ask(server: Server, path: string): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    return await (await fetch(`http://127.0.0.1:${port}${path}`, { headers: CALLER })).text();
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test("Workers: a request, RPC to an object and a queue's message are one trace", async () => {
  const worker = await startWorker(await example("guide-worker", "ts"), {
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    miniflare: {
      durableObjects: { COUNTER: { className: "Counter", useSQLite: true } },
      queueProducers: { JOBS: { queueName: "jobs" } },
      queueConsumers: { jobs: { maxBatchTimeout: 0.1 } },
    },
  });
  try {
    assert.deepEqual(await (await fetch(`${worker.url}/cart`, { headers: CALLER })).json(), { visits: 1 });
    await assertJoined("GET /cart");
    await collector.until(() => named("message").length === 1 && named("Counter.add").length === 2);
    const [root, message] = [named("GET /cart")[0]!, named("message")[0]!];
    const caller = named("Counter.add").find(({ parent_span_id }) => parent_span_id === root.id)!;
    assert.ok(named("Counter.add").some(({ parent_span_id }) => parent_span_id === caller.id));
    assert.deepEqual([message.parent_span_id, message["output"]], [root.id, { page: "/cart" }]);
  } finally {
    await worker.close();
  }
});

test("Cloudflare's tracing: the platform's span of a call is under ours", async () => {
  const natives = new NativeSpans();
  const watchers = new Watchers();
  const worker = await startWorker(await example("guide-cloudflare-tracing", "ts"), {
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    streamingTail: NATIVE_TAIL,
    miniflare: { kvNamespaces: { PAGES: "pages" } },
    onLog: (line) => natives.read(line) && watchers.notify(),
  });
  try {
    assert.equal((await fetch(`${worker.url}/about`)).status, 200);
    await collector.until(() => named("look up").length === 1);
    const [ours] = named("look up");
    const call = () => natives.all.find(({ name }) => name === "kv_get");
    await watchers.until(
      () => call() !== undefined,
      () => "kv_get",
    );
    assert.equal(call()!.parentId, natives.twinOf(ours!.id)!.id);
  } finally {
    await worker.close();
  }
});

test("Workers: a run of a cron trigger is a trace, and fails like an untraced run", async () => {
  const entry = await example("guide-cron", "ts");
  let answers = 0;
  const site = createServer((_request, response) => {
    answers++;
    response.writeHead(answers === 1 ? 200 : 503).end(JSON.stringify(["/a", "/b"]));
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const FEED_URL = `http://127.0.0.1:${(site.address() as AddressInfo).port}/pages`;
  const worker = await startWorker(entry, { bindings: { OPIK_URL_OVERRIDE: collector.url, FEED_URL } });
  try {
    const handlers = await worker.miniflare.getWorker();
    const run = async (cron: string) => (await handlers.scheduled({ cron })).outcome;
    assert.deepEqual([await run("0 * * * *"), await run("0 3 * * *")], ["ok", "exception"]);
    await collector.until(() => named("scheduled 0 * * * *").length + named("scheduled 0 3 * * *").length === 2);
    const [good, failed] = [named("scheduled 0 * * * *")[0]!, named("scheduled 0 3 * * *")[0]!];
    const under = (root: StoredRow) => collector.spans().filter(({ parent_span_id }) => parent_span_id === root.id);
    const call = new URL(FEED_URL).host;
    assert.deepEqual(
      under(good).map(({ name }) => name),
      [`GET ${call}/pages`, "index", "index"],
    );
    assert.deepEqual(
      under(failed).map((row) => [row["name"], row["output"]]),
      [[`GET ${call}/pages`, { status: 503 }]],
    );
    assert.equal((failed["error_info"] as { message: string }).message, "the feed answered 503");
  } finally {
    await worker.close();
    site.close();
    site.closeAllConnections();
  }
});

test("servers: a handler of Deno.serve and Bun.serve", async (t) => {
  t.mock.method(globalThis, "fetch", async (_input: unknown, init: RequestInit) => new Response(`${init.body}!`));
  const { default: server } = await load<{ default: WebServer }>("guide-server");
  const request = new Request(asked("/summary"), { method: "POST", body: "a text" });
  assert.equal(await (await server.fetch(request)).text(), "a text!");
  t.mock.restoreAll();
  await assertJoined("POST /summary");
  assert.deepEqual(named("summarise")[0]!["output"], { summary: "a text!" });
});

test("servers: Express", async () => {
  const { app } = await load<{ app: RequestListener }>("guide-express");
  assert.deepEqual(JSON.parse(await ask(createServer(app), "/users")), { trace: TRACE });
  await assertJoined("GET /users");
});

test("servers: Node's http", async () => {
  const { server } = await load<{ server: Server }>("guide-http");
  assert.equal(await ask(server, "/http"), "hello from /http");
  await assertJoined("GET /http");
});

test("servers: Fastify", () =>
  recorded("docs", "fastify in Node", versionOf("fastify", "target/node_modules"), async () => {
    const { app } = await load<{ app: { ready(): Promise<unknown>; server: Server } }>("guide-fastify");
    await app.ready();
    assert.deepEqual(JSON.parse(await ask(app.server, "/orders")), { hello: "world" });
    await assertJoined("GET /orders");
  }));

test("servers: Hono", async () => {
  const { app } = await load<{ app: WebServer }>("guide-hono");
  assert.deepEqual(await (await app.fetch(asked("/items"))).json(), { trace: TRACE });
  await assertJoined("GET /items");
});

test("servers: a route of Next", async () => {
  const { GET } = await load<{ GET(request: Request): Promise<Response> }>("guide-next");
  assert.deepEqual(await (await GET(asked("/next"))).json(), { url: "http://localhost/next" });
  await assertJoined("GET /next");
});

test("servers: SvelteKit's handle, and its platform's ctx", async () => {
  type Handle = (input: object) => Promise<Response>;
  const { handle } = await load<{ handle: Handle }>("guide-sveltekit");
  const event = { request: asked("/svelte"), platform: { ctx: { waitUntil() {} } } };
  const resolve = (given: object) => new Response(String(given === event));
  assert.equal(await (await handle({ event, resolve })).text(), "true");
  await assertJoined("GET /svelte");
});

test("servers: React Router's middleware", async () => {
  type Middleware = (given: object, next: () => Promise<Response>) => Promise<Response>;
  const { middleware } = await load<{ middleware: [Middleware] }>("guide-react-router");
  const given = { request: asked("/router"), params: {}, context: {} };
  assert.equal(await (await middleware[0](given, async () => new Response("next"))).text(), "next");
  await assertJoined("GET /router");
});

test("headers: a service that answers with the headers of its request", async () => {
  const { default: server } = await load<{ default: WebServer }>("guide-echo");
  assert.deepEqual(await (await server.fetch(asked("/echo"))).json(), CALLER);
  assert.equal(await (await server.fetch(asked("/other"))).text(), "http://localhost/other");
  await assertJoined("GET /other");
});

test("browser: an API that pages of another origin may call", async () => {
  const { default: api } = await load<{ default: WebServer }>("guide-cors");
  const headers = { origin: "https://app.example.com", "access-control-request-method": "POST" };
  const preflight = await api.fetch(new Request("http://localhost/", { method: "OPTIONS", headers }));
  assert.match(preflight.headers.get("access-control-allow-headers")!, /opik_trace_id/);
  const response = await api.fetch(new Request("http://localhost/", { headers }));
  assert.equal(response.headers.get("access-control-allow-origin"), headers.origin);
  assert.equal(response.headers.get("vary"), "accept-language, origin");
});

test("browser: a page that was rendered in a trace", async () => {
  const { GET } = await load<{ GET(request: Request): Promise<Response> }>("guide-rendered");
  const page = await (await GET(asked("/page"))).text();
  assert.ok(page.includes(`<meta name="opik-trace-id" content="${TRACE}">`), page);
  await assertJoined("GET /page");
});

interface Relay {
  token(session: string): Promise<string>;
  handle(request: Request): Promise<Response>;
}

test("security: a relay that asks for a session's token", async () => {
  process.env["TOKEN_SECRET"] = "0123456789abcdef0123456789abcdef";
  const { token, handle } = await load<Relay>("guide-tokens");
  const page = pageIds();
  const row = { id: page.id(), trace_id: page.id(), name: "from a page", start_time: new Date().toISOString() };
  const post = async (session: string) => {
    const headers = { origin: "https://app.example.com", "content-type": "text/plain", cookie: `sid=${session}` };
    const body = JSON.stringify({ token: await token("s1"), secret: page.secret, spans: [row] });
    return (await handle(new Request("https://app.example.com/opik", { method: "POST", headers, body }))).status;
  };
  assert.deepEqual([await post("s2"), await post("s1")], [401, 200]);
  assert.equal(named("from a page").length, 1);
});

test("browser: a relay beside the routes of Express", async () => {
  const { app } = await load<{ app: RequestListener }>("guide-relay-express");
  const server = createServer(app);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const page = pageIds();
  const row = { id: page.id(), trace_id: page.id(), name: "through Express", start_time: new Date().toISOString() };
  const post = async (origin: string) => {
    const body = JSON.stringify({ secret: page.secret, spans: [row] });
    const headers = { origin, "content-type": "text/plain" };
    return (await fetch(`${url}/opik`, { method: "POST", headers, body })).status;
  };
  try {
    assert.deepEqual([await post("https://evil.example"), await post("https://app.example.com")], [403, 200]);
    assert.equal(named("through Express").length, 1);
    const question = { method: "POST", body: "?", headers: CALLER };
    assert.equal(await (await fetch(`${url}/chat`, question)).text(), "an answer");
    await assertJoined("POST /chat");
    assert.deepEqual(named("POST /opik"), []);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("security: a page continues its server's trace with a token that names it", async () => {
  process.env["TOKEN_SECRET"] = "0123456789abcdef0123456789abcdef";
  const { GET } = await load<{ GET(request: Request): Promise<Response> }>("guide-trace-token");
  const html = await (await GET(asked("/rendered"))).text();
  const [, token] = /<meta name="token" content="([^"]+)">/.exec(html)!;
  const { handle } = await load<Relay>("guide-tokens");
  const page = pageIds();
  const post = async (trace_id: string) => {
    const row = {
      id: page.id(),
      trace_id,
      parent_span_id: PARENT,
      name: "hydrate",
      start_time: new Date().toISOString(),
    };
    const headers = { origin: "https://app.example.com", "content-type": "text/plain" };
    const body = JSON.stringify({ token, secret: page.secret, spans: [row] });
    return (await handle(new Request("https://app.example.com/opik", { method: "POST", headers, body }))).status;
  };
  assert.deepEqual([await post(TRACE), await post(PARENT)], [200, 422]);
  await assertJoined("GET /rendered");
});

test("delivery: a job reports its sent rows", async (t) => {
  const log = t.mock.method(console, "log", () => {});
  await load("guide-delivery");
  assert.deepEqual(log.mock.calls[0]!.arguments, [{ sent: 2, kept: 0, dropped: {} }]);
});

test("observers: a search is recorded as a tool, and any other call is recorded as usual", async () => {
  const { opik } = await load<{ opik: Opik }>("guide-observer");
  const wire: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    wire.push(request.headers["opik-trace-id"] as string | undefined);
    request.resume();
    for (const line of [`{"hit":1}\n`, `{"hit":2}\n`, "[end]\n"]) response.write(line);
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const post = (path: string, body: string) => opik.fetch(url + path, { method: "POST", body });
    const reader = (await post("/v1/search", `{"query":"traces"}`)).body!.getReader();
    const decoder = new TextDecoder();
    for (let text = ""; !text.endsWith("[end]\n"); ) text += decoder.decode((await reader.read()).value);
    await reader.cancel(); // as SDKs do
    await (await post("/search", `{"file":"traces"}`)).text();
    await opik.flush();
    const [search] = named("search");
    assert.deepEqual(
      [search!["type"], search!["input"], (search!["output"] as { hits: number }).hits, search!["metadata"]],
      ["tool", { query: "traces" }, 2, undefined],
    );
    assert.equal(typeof search!["ttft"], "number");
    assert.deepEqual(named(`POST ${new URL(url).host}/search`)[0]!["output"], { status: 200 });
    assert.deepEqual(
      wire.map((id) => id !== undefined),
      [false, true],
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("models: a call is recorded with its model, its messages and its tokens", async (t) => {
  const { fetch } = globalThis;
  t.mock.method(globalThis, "fetch", async (input: string | URL, init: RequestInit) => {
    if (!String(input).startsWith("https://api.openai.com")) return fetch(input, init);
    const message = { role: "assistant", content: "A tree of spans." };
    const usage = { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 };
    return new Response(streamOf({ model: "gpt-4.1-mini-2025-04-14", choices: [{ index: 0, message }], usage }), {
      headers: { "content-type": "application/json" },
    });
  });
  const { ask, flush } = await load<Asking>("guide-models");
  assert.equal(await ask("What is a trace?"), "A tree of spans.");
  await flush();
  const [call] = named("chat gpt-4.1-mini");
  assert.deepEqual(
    [
      call!["type"],
      call!["model"],
      call!["provider"],
      call!["input"],
      (call!["usage"] as { total_tokens: number }).total_tokens,
    ],
    ["llm", "gpt-4.1-mini-2025-04-14", "openai", { messages: [{ role: "user", content: "What is a trace?" }] }, 14],
  );
});

interface Asking {
  ask(question: string): Promise<string>;
  flush(): Promise<unknown>;
}

/** A body like a platform's. The body of a response that is made from a text is not observed. */
function streamOf(value: unknown): ReadableStream<Uint8Array> {
  return new Blob([JSON.stringify(value)]).stream();
}

test("testing: a backend that fails, and a handler", async () => {
  await load("guide-failing");
  await load("guide-handler");
  await load("guide-capture");
  await load("guide-capture-rows");
  await load("guide-capture-handler");
  await load("guide-capture-express");
  await load("guide-flush-handler");
});

/** Defines the handler that the examples for Workers rely on. */
function giveHandler(answer: (request: Request) => Promise<Response>): void {
  Object.assign(globalThis, { handler: { fetch: answer } });
}

interface Worker<Env> {
  fetch(request: Request, env: Env, ctx: { waitUntil(promise: Promise<unknown>): void }): Promise<Response>;
}

/** Asks a Worker that runs here, and waits for the promises that its `ctx` received. */
async function askWorker<Env>(worker: Worker<Env>, request: Request, env: Env): Promise<string> {
  const waited: Promise<unknown>[] = [];
  const response = await worker.fetch(request, env, { waitUntil: (promise) => void waited.push(promise) });
  const text = await response.text();
  await Promise.all(waited);
  return text;
}

test("delivery: a function keeps a health check out of the sample", async () => {
  giveHandler(async (request) => new Response(new URL(request.url).pathname));
  const { default: worker } = await load<{ default: Worker<object> }>("guide-sampling");
  const env = { OPIK_URL_OVERRIDE: collector.url };
  assert.equal(await askWorker(worker, new Request("http://localhost/health"), env), "/health");
  // A caller's trace is always followed.
  assert.equal(await askWorker(worker, asked("/sampled"), env), "/sampled");
  await assertJoined("GET /sampled");
  assert.deepEqual(named("GET /health"), []);
});

test("headers: targets that receive them, and the spelling for old targets", async (t) => {
  const seen = new Map<string, string[]>();
  const { fetch: untraced } = globalThis;
  t.mock.method(globalThis, "fetch", async (input: string | URL, init: RequestInit = {}) => {
    if (String(input).startsWith("http://127.0.0.1")) return untraced(input, init);
    seen.set(String(input), [...new Headers(init.headers).keys()].filter((name) => name.startsWith("opik")).sort());
    return new Response(null);
  });
  const { fetch } = await import("opik-edge");
  const targets = [
    "https://api.example.com/a",
    "https://db.internal.example.com/b",
    "https://example.org/legacy/c",
    "https://example.org/d",
  ];
  giveHandler(async () => {
    for (const target of targets) await fetch(target);
    return new Response("done");
  });
  const { default: worker } = await load<{ default: Worker<object> }>("guide-targets");
  await askWorker(worker, new Request("http://localhost/targets"), { OPIK_URL_OVERRIDE: collector.url });
  const both = ["opik-parent-span-id", "opik-trace-id", "opik_parent_span_id", "opik_trace_id"];
  const expected = [both, both, ["opik_parent_span_id", "opik_trace_id"], []];
  assert.deepEqual(
    targets.map((target) => seen.get(target)),
    expected,
  );
});

test("headers: W3C Trace Context passes through", async (t) => {
  const seen: Headers[] = [];
  const { fetch: untraced } = globalThis;
  t.mock.method(globalThis, "fetch", async (input: string | URL, init: RequestInit = {}) => {
    if (String(input).startsWith("http://127.0.0.1")) return untraced(input, init);
    seen.push(new Headers(init.headers));
    return new Response(null);
  });
  const { fetch } = await import("opik-edge");
  giveHandler(async () => fetch("https://example.org/"));
  const { default: worker } = await load<{ default: Worker<object> }>("guide-w3c");
  const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "congo=1" };
  const env = { OPIK_URL_OVERRIDE: collector.url };
  await askWorker(worker, new Request("http://localhost/w3c", { headers }), env);
  assert.match(
    seen[0]?.get("traceparent") ?? "",
    /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[\da-f]{16}-01$/,
  );
  assert.match(seen[0]?.get("tracestate") ?? "", /^opik=[\da-f]{64},congo=1$/);
  assert.ok(seen[0]?.has("opik_trace_id"));
});

test("headers: a FastAPI service reads the names with hyphens", async () => {
  const code = (await readFile(join(ROOT, await example("guide-hyphens", "py")), "utf8")).replaceAll(/^ {2}/gm, "");
  const surroundings = `
from types import SimpleNamespace
from starlette.datastructures import Headers
query = "?"
def retrieve(query, opik_distributed_trace_headers): print(opik_distributed_trace_headers)
for sent in ({"opik-trace-id": "t", "opik-parent-span-id": "p"}, {"opik-trace-id": "t"}):
    request = SimpleNamespace(headers=Headers(sent))
`;
  const program = surroundings + code.replaceAll(/^/gm, "    ");
  const { stdout } = await promisify(execFile)(PYTHON, ["-c", program]);
  assert.equal(stdout, "{'opik_trace_id': 't', 'opik_parent_span_id': 'p'}\nNone\n");
});

test("security: a Worker that believes tokens, masks secrets and records no outputs", async () => {
  const { span } = await import("opik-edge");
  const { OPIK_TOKEN_HEADER } = await import("opik-edge");
  const { mintToken } = await import("opik-edge/relay");
  giveHandler(async () =>
    span(
      { name: "masked", input: { password: "p", note: "sk-abc by a@b.example", ssn: 1 }, output: "an output" },
      () => new Response("ok"),
    ),
  );
  const { default: worker } = await load<{ default: Worker<object> }>("guide-security");
  const TOKEN_SECRET = "0123456789abcdef0123456789abcdef";
  const env = { OPIK_URL_OVERRIDE: collector.url, TOKEN_SECRET };
  const token = await mintToken({
    secret: { id: "2026-11", secret: TOKEN_SECRET },
    audience: "https://app.example.com",
    projectName: "Default Project",
  });
  const withToken = asked("/believed");
  withToken.headers.set(OPIK_TOKEN_HEADER, token);
  for (const request of [withToken, asked("/stranger")]) assert.equal(await askWorker(worker, request, env), "ok");
  await assertJoined("GET /believed");
  const [masked] = named("masked");
  assert.deepEqual(masked!["input"], { password: "[redacted]", note: "[redacted] by [redacted]" });
  assert.equal(masked!["output"], undefined);
  assert.notEqual(named("GET /stranger")[0]!.trace_id, TRACE);
});

test("models: a call of Workers AI by its binding", async () => {
  const { default: worker } = await load<{ default: Worker<object> }>("guide-workers-ai");
  // Stands for the platform's binding, which needs an account; tests/worker runs a binding in workerd.
  class Ai {
    async run(): Promise<ReadableStream> {
      return new Blob([`data: {"response":"Hello"}\n\ndata: [DONE]\n\n`]).stream();
    }
    gateway(): void {}
  }
  const env = { OPIK_URL_OVERRIDE: collector.url, AI: new Ai() };
  assert.match(await askWorker(worker, asked("/ai"), env), /Hello/);
  await assertJoined("GET /ai");
  const call = collector.spans().find(({ model }) => model === "@cf/meta/llama-4-scout-17b-16e-instruct");
  assert.equal(call!["type"], "llm");
});

test("observers: instrumentFetch traces calls in spans, and stops", async () => {
  const { span } = await import("opik-edge");
  const { stop } = await load<{ stop(): void }>("guide-instrument");
  const server = createServer((_request, response) => response.end("found"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const get = async (path: string) => (await fetch(`http://${host}/${path}`)).text();
    await span({ name: "instrumented" }, () => get("one"));
    stop();
    await span({ name: "no longer" }, () => get("two"));
    await flush();
    await collector.until(() => named("no longer").length === 1 && named("instrumented").length === 1);
    const children = (name: string) =>
      collector.spans().filter(({ parent_span_id }) => parent_span_id === named(name)[0]!.id);
    assert.deepEqual([children("instrumented")[0]!["name"], children("no longer")], [`GET ${host}/one`, []]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("servers: a script flushes before it exits", async () => {
  const file = await example("guide-exit", "ts");
  const jobs = named("job").length;
  const args = ["--import", "tsx", file];
  await promisify(execFile)(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, OPIK_URL_OVERRIDE: collector.url },
  });
  assert.equal(named("job").length, jobs + 1);
});

test("servers: a script that fails sends its spans, and ends with its error", async () => {
  const file = await example("guide-script", "ts");
  const run = (feed: string) =>
    promisify(execFile)(process.execPath, ["--import", "tsx", file], {
      cwd: ROOT,
      env: { ...process.env, OPIK_URL_OVERRIDE: collector.url, FEED: feed },
    });
  assert.equal((await run("a,b")).stdout, "2\n");
  await assert.rejects(run(""), /there is nothing to index/);
  assert.deepEqual(
    named("nightly").map((row) => (row["error_info"] as { message: string } | undefined)?.message),
    [undefined, "there is nothing to index"],
  );
});

test("moving: a script of `opik` and the same script of this package write the same rows", async () => {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers["opik_parent_span_id"] as string | undefined);
    request.resume();
    response.end("A tree of spans.");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const CHAT_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const folder = join(ROOT, "target/readme/moving");
  await project("moving", folder);
  const told: unknown[] = [];
  try {
    for (const file of ["before.ts", "after.ts"]) {
      const own = await startCollector();
      const env = { ...process.env, ...QUIET, OPIK_URL_OVERRIDE: own.url, CHAT_URL };
      const args = ["--import", import.meta.resolve("tsx"), file];
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env });
      const spans = own.spans();
      const calls = spans.filter(({ name }) => String(name).startsWith("POST "));
      const asks = spans.filter(({ name }) => name === "ask");
      told.push({
        answers: stdout.split("\n").filter((line) => line === "A tree of spans.").length,
        traces: own
          .traces()
          .map(({ name, thread_id }) => [name, thread_id])
          .sort(),
        spans: spans
          .map(({ name }) => name)
          .filter((name) => !String(name).startsWith("POST "))
          .sort(),
        scores: own.scores().map(({ name, value }) => [name, value]),
        // The service is called under `ask`, or under the call's own span.
        hangs: seen
          .splice(0)
          .map((id) => asks.some((ask) => ask.id === (calls.find((call) => call.id === id)?.parent_span_id ?? id))),
      });
      await own.close();
    }
  } finally {
    server.close();
    server.closeAllConnections();
  }
  assert.deepEqual(told[0], told[1]);
  assert.deepEqual((told[1] as { spans: unknown }).spans, ["ask", "ask", "delete"]);
});
