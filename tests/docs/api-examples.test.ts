// Runs the `@example` of every exported function and class, as docs/api shows it: in Node, and in workerd for
// `opik-edge/cloudflare`. Each example has one case here, which calls its exports and checks the recorded rows.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { flush, Opik } from "opik-edge";
import { queueTransport } from "opik-edge/cloudflare";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type ApiExample, apiExamples } from "../support/markdown.js";
import { type MiniflareOptions, ROOT, type RunningWorker, startWorker } from "../support/worker.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
  process.env["OPIK_URL_OVERRIDE"] = collector.url;
  process.env["TOKEN_SECRET"] = "0123456789abcdef0123456789abcdef";
});
after(async () => {
  await flush();
  await collector.close();
});

const examples = new Map((await apiExamples()).map((example) => [example.name, example]));

/** Ids of the spans of earlier examples. */
const earlier = new Set<unknown>();
const arrived = (): StoredRow[] => collector.spans().filter(({ id }) => !earlier.has(id));
const named = (name: string): StoredRow[] => arrived().filter((row) => row["name"] === name);

/** The example of this name. Everything else is flushed first, so that its rows come last. */
async function begin(name: string): Promise<ApiExample> {
  await flush();
  for (const { id } of collector.spans()) earlier.add(id);
  const example = examples.get(name);
  assert.ok(example, "it has an example");
  return example;
}

/** The one span of this name, once every client of this process is flushed. */
async function recorded(name: string): Promise<StoredRow> {
  await flush();
  const [span, ...others] = named(name);
  assert.ok(span, `a span ${name}, among ${arrived().map((row) => row["name"])}`);
  assert.deepEqual(others, []);
  return span;
}

/** Writes the example to a module, and gives its path from the root. */
async function written({ name, code }: ApiExample): Promise<string> {
  await mkdir(join(ROOT, "target/api-examples"), { recursive: true });
  const file = `target/api-examples/${name.replaceAll(/\W+/g, "-")}.ts`;
  await writeFile(join(ROOT, file), code);
  return file;
}

// biome-ignore lint/suspicious/noExplicitAny: the exports of an example, which its case knows
type Exports = any;

/** A module's `fetch`, or a middleware's app. */
interface Fetches {
  fetch(request: Request): Promise<Response>;
}

const get = (path: string, headers: Record<string, string> = {}) => new Request(`http://localhost${path}`, { headers });

/** A span of OpenTelemetry that has ended. */
function otelSpan(name: string): object {
  const spanContext = () => ({
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    traceFlags: 1,
  });
  const time = [Math.floor(Date.now() / 1000), 0];
  return { name, spanContext, attributes: {}, events: [], status: { code: 0 }, startTime: time, endTime: time };
}

/** Lets calls to this machine pass, and answers every other call with `body`. */
function answer(t: TestContext, body: unknown): void {
  const { fetch } = globalThis;
  t.mock.method(globalThis, "fetch", (input: string | URL, init?: RequestInit) => {
    if (String(input).startsWith("http://127.0.0.1:")) return fetch(input, init);
    const stream = new Blob([JSON.stringify(body)]).stream();
    return Promise.resolve(new Response(stream, { headers: { "content-type": "application/json" } }));
  });
}

/** Asks a server of Node's `http` for `/items`. */
async function ask(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    return await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/items`)).text();
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const APP = { origin: "https://app.example.com" };

const NODE: Record<string, (example: Exports, t: TestContext) => unknown> = {
  "opik-edge tabThreadId": async ({ ask }, t) => {
    answer(t, { text: "Hi" });
    assert.deepEqual(await (await ask("Hello?")).json(), { text: "Hi" }); // nothing is recorded outside a page
  },
  "opik-edge span": async ({ answer }) => {
    assert.equal(await answer("why?"), "You asked: why?");
    const { input, output } = await recorded("answer");
    assert.deepEqual([input, output], [{ question: "why?" }, { text: "You asked: why?" }]);
  },
  "opik-edge trace": async () => {
    const { trace_id, output } = await recorded("read");
    assert.deepEqual(output, { rows: 12 });
    const trace = collector.traces().find(({ id }) => id === trace_id);
    assert.deepEqual([trace?.["name"], trace?.["tags"]], ["import", ["nightly"]]);
  },
  "opik-edge track": async ({ summarise }) => {
    assert.equal(await summarise("a text that is too long to keep"), "a text that is too l");
    await recorded("summarise");
  },
  "opik-edge score": async ({ rate }) => {
    rate("01a20612-0b81-7cc1-922c-2da813a3fcfc", true);
    assert.equal((await flush()).sent, 1);
  },
  "opik-edge fetch": async ({ price }, t) => {
    answer(t, { cents: 99 });
    assert.deepEqual(await price("pen"), { cents: 99 });
    const call = await recorded("GET prices.example.com/pen");
    assert.equal(call["parent_span_id"], (await recorded("price")).id);
  },
  "opik-edge instrumentFetch": async () => {
    const call = await recorded("GET items.example.com/all");
    assert.equal(call["parent_span_id"], (await recorded("sync")).id);
  },
  "opik-edge flush": ({ report }) => {
    assert.deepEqual([report.sent >= 2, report.kept, report.dropped], [true, 0, {}]);
  },
  "opik-edge getTrackContext": async ({ inside, outside }) => {
    assert.deepEqual([inside, outside], [`${(await recorded("work")).trace_id}: begun`, "no trace: done"]);
  },
  "opik-edge getDistributedTraceHeaders": async ({ job }) => {
    const { id, trace_id } = await recorded("enqueue");
    assert.deepEqual(job, { id: 7, headers: { opik_trace_id: trace_id, opik_parent_span_id: id } });
  },
  "opik-edge Opik": async () => {
    const pay = await recorded("pay");
    assert.equal(pay["parent_span_id"], (await recorded("order")).id);
    assert.equal(pay["project_name"], "shop");
  },
  "opik-edge OpikError": ({ clientFor }) => {
    assert.equal(clientFor("ftp://opik.example.com"), undefined);
    assert.ok(clientFor(collector.url));
  },
  "opik-edge callObserver": async ({ opik }: { opik: Opik }, t) => {
    answer(t, { hits: [] });
    await (await opik.fetch("https://search.example.com/?q=pen")).text();
    await opik.flush();
    const { type, output } = await recorded("search");
    assert.deepEqual([type, output], ["tool", { bytes: 11 }]);
  },
  "opik-edge corsHeaders": ({ api }) => {
    assert.equal(api(get("/", APP)).headers.get("access-control-allow-origin"), APP.origin);
    assert.equal(api(get("/")).headers.get("access-control-allow-origin"), null);
  },
  "opik-edge handlePreflight": async ({ api }) => {
    const headers = { ...APP, "access-control-request-method": "PUT" };
    const preflight = api(new Request("http://localhost/", { method: "OPTIONS", headers }));
    assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-methods")], [204, "PUT"]);
    assert.equal(await api(get("/", APP)).text(), "saved");
  },
  "opik-edge contextMeta": async ({ page }) => {
    const html = page();
    const { id, trace_id } = await recorded("render");
    assert.ok(html.includes(trace_id) && html.includes(id), html);
  },
  "opik-edge contextMetaTags": async ({ head }) => {
    const tags: { props: { content: string } }[] = head();
    const { id, trace_id } = await recorded("render");
    assert.deepEqual(
      tags.map(({ props }) => props.content),
      [trace_id, id],
    );
  },
  "opik-edge contextServerTiming": async ({ page }) => {
    assert.match(page().headers.get("server-timing"), /^opik-trace-id;desc="[\w-]{36}", opik-parent-span-id;desc=/);
  },
  "opik-edge serverContext": ({ hydrate }) => {
    assert.equal(
      hydrate(() => "rendered"),
      "rendered",
    ); // nothing is recorded outside a page
  },
  "opik-edge/ai-sdk opikTelemetry": async ({ telemetry }) => {
    telemetry.onStart({ callId: "1", operationId: "ai.generateText", messages: [{ role: "user", content: "Hi" }] });
    telemetry.onEnd({ callId: "1", finalStep: { content: [{ type: "text", text: "Hello" }] } });
    const { input } = await recorded("generateText");
    assert.deepEqual(input, { messages: [{ role: "user", content: "Hi" }] });
  },
  "opik-edge/ai-sdk opikTracer": async ({ telemetryFor }) => {
    const { tracer, functionId, metadata } = telemetryFor("ask", "chat-7");
    const attributes = { "ai.telemetry.functionId": functionId, "ai.telemetry.metadata.threadId": metadata.threadId };
    tracer.startActiveSpan("ai.generateText", { attributes }, (span: { end(): void }) => span.end());
    const { trace_id } = await recorded("ask");
    assert.equal(collector.traces().find(({ id }) => id === trace_id)?.["thread_id"], "chat-7");
  },
  "opik-edge/llm llm": async ({ ask }, t) => {
    const message = { role: "assistant", content: "A tree of spans." };
    answer(t, { model: "gpt-4.1-mini", choices: [{ index: 0, message }] });
    await ask("What is a trace?");
    await flush();
    const { type, provider } = await recorded("chat gpt-4.1-mini");
    assert.deepEqual([type, provider], ["llm", "openai"]);
  },
  "opik-edge/llm observeAi": async ({ ask }) => {
    const AI = { run: async () => ({ response: "A tree." }) };
    assert.equal(await ask({ AI, OPIK_URL_OVERRIDE: collector.url }, "What is a trace?"), "A tree.");
    const [parent, call] = [await recorded("ask"), arrived().find(({ type }) => type === "llm")];
    assert.deepEqual([call?.["parent_span_id"], call?.["model"]], [parent.id, "@cf/meta/llama-3.2-1b-instruct"]);
  },
  "opik-edge/otel opikSpanProcessor": async ({ processor }) => {
    const span = otelSpan("processed");
    processor.onStart(span);
    processor.onEnd(span);
    await recorded("processed");
  },
  "opik-edge/otel opikSpanExporter": async ({ exporter }) => {
    exporter.export([otelSpan("exported")], ({ code }: { code: number }) => assert.equal(code, 0));
    await exporter.forceFlush();
    await recorded("exported");
  },
  "opik-edge/otel otlp": ({ opik }) => assert.equal(typeof opik.flush, "function"),
  "opik-edge/relay relay": async ({ default: server }: { default: Fetches }) => {
    assert.equal(await (await server.fetch(get("/"))).text(), "the page");
    const refused = await server.fetch(new Request("http://localhost/opik", { method: "POST", body: "{}" }));
    assert.equal(refused.status, 403); // no origin
  },
  "opik-edge/relay signed": async ({ default: server }: { default: Fetches }) => {
    assert.equal(await (await server.fetch(get("/signed"))).text(), "hello");
    await recorded("GET /signed");
  },
  "opik-edge/relay mintToken": ({ token }) => assert.match(token, /^[\w-]+\.[\w.-]+$/),
  "opik-edge/doctor opikDoctor": ({ findings }) => {
    assert.ok(findings.length > 1);
    for (const { check, level } of findings) assert.ok(check && /^(ok|note|problem)$/.test(level));
  },
  "opik-edge/doctor echoHeaders": async ({ default: server }: { default: Fetches }) => {
    const echoed = await server.fetch(get("/opik-check", { opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc" }));
    assert.match(await echoed.text(), /01a20612-0b81-7cc1-922c-2da813a3fcfc/);
  },
  // These examples contain their own assertions.
  "opik-edge/testing useFakeClock": () => {},
  "opik-edge/testing useDeterministicIds": () => {},
  "opik-edge/testing InMemoryExporter": () => {},
  "opik-edge/testing capture": () => {},
  "opik-edge/testing treesOf": () => {},
  "opik-edge/testing assertTrees": () => {},
  "opik-edge/server withOpik": async ({ default: server }: { default: Fetches }) => {
    assert.equal(await (await server.fetch(get("/me"))).text(), "hello /me");
    const greet = await recorded("greet");
    assert.equal(greet["parent_span_id"], (await recorded("GET /me")).id);
  },
  "opik-edge/hono opikMiddleware": async ({ app }: { app: Fetches }) => {
    assert.deepEqual(await (await app.fetch(get("/items"))).json(), ["pen"]);
    await recorded("load");
  },
  "opik-edge/node opikMiddleware": async ({ app }: { app: RequestListener }) => {
    assert.equal(await ask(createServer(app)), `["pen"]`);
    await recorded("load");
  },
  "opik-edge/node withOpik": async ({ server }: { server: Server }) => {
    assert.equal(await ask(server), "pen");
    await recorded("load");
  },
};

interface WorkerCase {
  readonly miniflare?: MiniflareOptions;
  run(worker: RunningWorker): Promise<unknown>;
}

/** Waits for a span of this name, which a Worker sends at any time. */
async function arrives(name: string): Promise<StoredRow> {
  await collector.until(() => named(name).length > 0);
  return named(name)[0]!;
}

const WORKERS: Record<string, WorkerCase> = {
  "opik-edge/cloudflare withOpik": {
    async run({ url }) {
      assert.equal(await (await fetch(`${url}/me`)).text(), "hello /me");
      assert.equal((await arrives("greet"))["parent_span_id"], (await arrives("GET /me")).id);
    },
  },
  "opik-edge/cloudflare tracedRpc": {
    miniflare: { durableObjects: { COUNTER: { className: "Counter", useSQLite: true } } },
    async run({ url }) {
      assert.deepEqual(await (await fetch(url)).json(), { count: 2 });
      // Both sides name it: the caller's span is under the request's, and the object's span is under the caller's.
      await collector.until(() => named("Counter.add").length + named("COUNTER.add").length === 2);
      const calls = [...named("Counter.add"), ...named("COUNTER.add")];
      const ids = new Set(calls.map(({ id }) => id));
      assert.equal(calls.filter(({ parent_span_id }) => ids.has(parent_span_id as string)).length, 1);
    },
  },
  "opik-edge/cloudflare withContext": {
    miniflare: { workflows: { FLOW: { name: "flow", className: "Flow" } } },
    async run({ url }) {
      assert.equal(await (await fetch(url)).text(), "begun");
      assert.equal((await arrives("pay"))["trace_id"], (await arrives("GET /"))["trace_id"]);
    },
  },
  "opik-edge/cloudflare tracedQueue": {
    miniflare: { queueProducers: { JOBS: { queueName: "jobs" } } },
    async run({ url }) {
      assert.equal(await (await fetch(`${url}/cart`)).text(), "queued");
      await arrives("GET /cart");
    },
  },
  "opik-edge/cloudflare traceMessage": {
    async run({ miniflare }) {
      const worker = await miniflare.getWorker();
      const message = { id: "1", timestamp: new Date(), body: { page: "/cart" }, attempts: 1 };
      const { outcome } = await worker.queue("jobs", [message]);
      assert.equal(outcome, "ok");
      assert.deepEqual((await arrives("message"))["output"], { page: "/cart" });
    },
  },
  "opik-edge/cloudflare queueTransport": {
    miniflare: { queueProducers: { OPIK_ROWS: { queueName: "rows" } } },
    async run({ url }) {
      assert.equal(await (await fetch(url)).text(), "hello");
    },
  },
  "opik-edge/cloudflare deliverQueue": {
    async run({ miniflare }) {
      const bodies: unknown[] = [];
      const queue = { send: async (body: unknown) => bodies.push(body) };
      const opik = new Opik({ transport: queueTransport(queue as never), background: false });
      opik.span({ name: "queued" }, () => {});
      await opik.flush();
      const messages = bodies.map((body, index) => ({ id: `${index}`, timestamp: new Date(), body, attempts: 1 }));
      const { explicitAcks } = await (await miniflare.getWorker()).queue("rows", messages);
      assert.deepEqual(
        explicitAcks,
        messages.map(({ id }) => id),
      );
      assert.equal(named("queued").length, 1);
    },
  },
};

for (const [name, check] of Object.entries(NODE)) {
  test(name, async (t) => {
    const example = await begin(name);
    if (name === "opik-edge instrumentFetch") answer(t, []);
    await check(await import(pathToFileURL(join(ROOT, await written(example))).href), t);
  });
}

for (const [name, { miniflare = {}, run }] of Object.entries(WORKERS)) {
  test(name, async () => {
    const example = await begin(name);
    const bindings = { OPIK_URL_OVERRIDE: collector.url };
    const worker = await startWorker(await written(example), { bindings, miniflare });
    try {
      await run(worker);
    } finally {
      await worker.close();
    }
  });
}

test("every exported function and class has an example, and every example a case", async () => {
  const { exports } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const exported: string[] = [];
  for (const [path, { types }] of Object.entries<{ types?: string }>(exports)) {
    if (!types) continue;
    const entry = `opik-edge${path.slice(1)}`;
    const functions = Object.entries(await import(entry)).filter(([, value]) => typeof value === "function");
    exported.push(...functions.map(([name]) => `${entry} ${name}`));
  }
  assert.deepEqual([...examples.keys()].sort(), exported.sort());
  assert.deepEqual([...Object.keys(NODE), ...Object.keys(WORKERS)].sort(), exported);
});
