// Every way of calling a Worker, in workerd. Each call begins a trace or joins its caller's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "undici";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { recordSuite, runtimeVersion } from "../support/versions.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

recordSuite("worker", "workerd: RPC, objects, queues, workflows", runtimeVersion("workerd"));

let collector: Collector;
let worker: RunningWorker;
let log = "";
before(async () => {
  collector = await startCollector();
  worker = await startWorker("tests/worker/triggers-worker.ts", {
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    onLog: (line) => {
      if (process.env["SHOW"]) console.error(line);
      log += line;
    },
    miniflare: {
      name: "faces",
      unsafeTriggerHandlers: true,
      durableObjects: {
        COUNTER: { className: "Counter", useSQLite: true },
        TALLY: { className: "Tally", useSQLite: true },
      },
      serviceBindings: {
        ENTRY: { name: "faces", entrypoint: "Entry" },
        AGAIN: { name: "faces", entrypoint: "Entry" },
      },
      queueProducers: { JOBS: { queueName: "jobs" } },
      queueConsumers: { jobs: { maxBatchTimeout: 0.1 } },
      workflows: { FLOW: { name: "flow", className: "Flow" } },
    },
  });
});
after(() => closeAll(worker, collector));

async function call(path: string): Promise<{ trace: string; result: Record<string, unknown> }> {
  const response = await fetch(`${worker.url}${path}`);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as { trace: string; result: Record<string, unknown> };
}

const spansOf = (trace: string): StoredRow[] => collector.spans().filter(({ trace_id }) => trace_id === trace);

/** The path of each span of a trace, as names from its root down, sorted. Waits for `howMany` spans. */
async function paths(trace: string, howMany: number): Promise<string[]> {
  await collector.until(() => spansOf(trace).length >= howMany && collector.traces().some(({ id }) => id === trace));
  const spans = spansOf(trace);
  const path = ({ name, parent_span_id }: StoredRow): string => {
    const parent = spans.find(({ id }) => id === parent_span_id);
    return parent ? `${path(parent)} > ${name}` : parent_span_id ? `(lost) > ${name}` : String(name);
  };
  return spans.map(path).sort();
}

/** Waits for the root span with this name. */
async function root(name: string): Promise<StoredRow> {
  const find = () => collector.spans().find((span) => span["name"] === name && span.parent_span_id === undefined);
  await collector.until(() => find() !== undefined);
  return find()!;
}

test("RPC through a traced binding is one trace; a class that calls its own methods opens no span", async () => {
  const { trace, result } = await call("/rpc");
  assert.deepEqual(result, { text: "ANN!", calls: 1, rest: 0, env: true }, "the context is not passed to the method");
  assert.deepEqual(await paths(trace, 4), [
    "GET /rpc",
    "GET /rpc > ENTRY.greet",
    "GET /rpc > ENTRY.greet > Entry.greet",
    "GET /rpc > ENTRY.greet > Entry.greet > in greet",
  ]);
});

test("RPC through an untraced binding is a separate trace, and its arguments arrive unchanged", async () => {
  const { result } = await call("/plain-rpc");
  assert.equal(result["rest"], 1);
  const span = await root("Entry.greet");
  assert.deepEqual(await paths(span.trace_id!, 2), ["Entry.greet", "Entry.greet > in greet"]);
});

test("an error that a method throws is recorded on both sides, and reaches the caller", async () => {
  const response = await fetch(`${worker.url}/rpc-fails`);
  assert.equal(response.status, 500);
  const { trace_id } = await root("GET /rpc-fails");
  await paths(trace_id!, 3);
  for (const span of spansOf(trace_id!)) {
    assert.equal(
      (span["error_info"] as Record<string, string>)["message"],
      "from the entrypoint",
      String(span["name"]),
    );
  }
});

test("calls to a service binding and a Durable Object carry trace headers", async () => {
  const binding = await call("/binding");
  assert.deepEqual(binding.result, { path: "/there", trace: binding.trace });
  assert.deepEqual(await paths(binding.trace, 3), [
    "GET /binding",
    "GET /binding > GET entry.test/there",
    "GET /binding > GET entry.test/there > GET /there",
  ]);
  const object = await call("/object");
  assert.equal(object.result["ready"], "ready");
  assert.deepEqual(await paths(object.trace, 5), [
    "GET /object",
    "GET /object > GET object.test/",
    "GET /object > GET object.test/ > GET /",
    "GET /object > GET object.test/ > GET / > GET never.test/",
    "GET /object > GET object.test/ > GET / > GET never.test/ > GET /",
  ]);
});

test("a Durable Object keeps its state, and its RPC joins the caller's trace", async () => {
  const first = await call("/object-rpc");
  const second = await call("/object-rpc");
  assert.equal(second.result["count"], (first.result["count"] as number) + 10);
  assert.deepEqual(await paths(first.trace, 3), [
    "GET /object-rpc",
    "GET /object-rpc > Counter.add",
    "GET /object-rpc > Counter.add > Counter.add",
  ]);
});

test("a call by RPC is named after the class or the binding, wherever the stub comes from", async () => {
  const { trace, result } = await call("/stubs");
  assert.deepEqual(result as unknown, [0, 0, 0, 1, "ANN!", "BOB!", "CAT!", "a double's"]);
  await paths(trace, 16);
  const spans = spansOf(trace);
  const { id: top } = spans.find(({ name }) => name === "GET /stubs")!;
  const below = (id: string) => spans.filter(({ parent_span_id }) => parent_span_id === id);
  assert.deepEqual(
    below(top).map(({ id, name }) => [name, ...below(id).map((callee) => callee["name"])]),
    [
      ["Counter.add", "Counter.add"], // by name,
      ["Counter.add", "Counter.add"], // by id,
      ["Counter.add", "Counter.add"], // and a new object
      ["Tally.add", "Tally.add"], // of another namespace
      ["ENTRY.greet", "Entry.greet"],
      ["AGAIN.greet", "Entry.greet"], // another binding of the same class
      ["Entry.greet", "Entry.greet"], // from ctx.exports
      ["double"], // from an object without a binding
    ],
  );
});

test("a Durable Object that calls its own method in its constructor opens no span", async () => {
  await call("/object-rpc");
  assert.ok(!collector.spans().some(({ name }) => name === "Counter.describe"));
});

test("a stream returned by RPC is recorded as it is read, on both sides", async () => {
  const { trace, result } = await call("/rpc-stream");
  assert.equal(result as unknown, "one two");
  assert.deepEqual(await paths(trace, 4), [
    "GET /rpc-stream",
    "GET /rpc-stream > ENTRY.tell",
    "GET /rpc-stream > ENTRY.tell > Entry.tell",
    "GET /rpc-stream > ENTRY.tell > Entry.tell > llm",
  ]);
  const llm = spansOf(trace).find(({ name }) => name === "llm")!;
  assert.deepEqual([llm["output"], llm["metadata"]], [{ said: "one two" }, undefined]);
});

test("an alarm is a trace", async () => {
  await call("/alarm");
  const span = await root("alarm");
  assert.deepEqual(span["input"], { isRetry: false, retryCount: 0 });
  assert.deepEqual(await paths(span.trace_id!, 2), ["alarm", "alarm > in alarm"]);
});

test("each message of a hibernating socket is a trace, and so is its end", async () => {
  const socket = new WebSocket(`${worker.url.replace("http", "ws")}/socket`);
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  const echo = new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data)));
  socket.send("hello");
  assert.equal(await echo, "echo hello");
  const span = await root("webSocketMessage");
  assert.deepEqual(span["input"], { characters: 5 });
  assert.deepEqual(await paths(span.trace_id!, 2), ["webSocketMessage", "webSocketMessage > in message"]);
  socket.close(1000, "bye");
  assert.deepEqual((await root("webSocketClose"))["input"], { code: 1000, wasClean: true });
});

test("a cron trigger is a trace that waits for its background work", async () => {
  const handlers = await worker.miniflare.getWorker();
  assert.equal((await handlers.scheduled({ cron: "*/5 * * * *", scheduledTime: new Date(1000) })).outcome, "ok");
  const span = await root("scheduled */5 * * * *");
  assert.deepEqual(span["input"], { cron: "*/5 * * * *", scheduledTime: 1000 });
  assert.deepEqual(await paths(span.trace_id!, 2), ["scheduled */5 * * * *", "scheduled */5 * * * * > in scheduled"]);
});

test("an email is a trace, even when it is rejected", async () => {
  const mail = (to: string) => {
    const text = `From: ann@a.test\r\nTo: ${to}\r\nMessage-ID: <1@a.test>\r\nSubject: hello\r\n\r\nhello`;
    const query = new URLSearchParams({ from: "ann@a.test", to });
    return worker.miniflare.dispatchFetch(`http://localhost/cdn-cgi/local/email?${query}`, {
      method: "POST",
      body: text,
    });
  };
  await (await mail("bob@b.test")).text();
  const span = await root("email");
  assert.ok((span["input"] as Record<string, number>)["rawSize"]! > 50);
  assert.ok(!JSON.stringify(span).includes("@"), "nobody's address");
  await (await mail("nobody@b.test")).text();
  await collector.until(() => collector.spans().some(({ name, error_info }) => name === "email" && error_info));
});

test("the events of a tail are counted", async () => {
  await call("/tail");
  assert.deepEqual((await root("tail"))["input"], { events: 2 });
});

test("a queue's messages are spans under their sender; a batch is a separate trace", async () => {
  const { trace } = await call("/send");
  assert.deepEqual(await paths(trace, 3), ["GET /send", "GET /send > message", "GET /send > message"]);
  const bodies = spansOf(trace).flatMap(({ output }) => (output as { body?: unknown }).body ?? []);
  assert.deepEqual(bodies, [{ job: 1 }, { job: 2 }], "as they were sent");
  const batch = await root("queue jobs");
  assert.equal((batch["input"] as Record<string, unknown>)["queue"], "jobs");
  const text = () => collector.spans().find(({ output }) => (output as { body?: unknown })?.body === "a text");
  await collector.until(() => text() !== undefined);
  const parent = collector.spans().find(({ id }) => id === text()!.parent_span_id)!;
  assert.equal(parent["name"], "queue jobs", "a message that cannot carry headers is under the batch");
});

test("a workflow joins the trace that created it; its steps are spans", async () => {
  const { trace, result } = await call("/flow");
  assert.deepEqual(await paths(trace, 4), [
    "GET /flow",
    "GET /flow > Flow.run",
    "GET /flow > Flow.run > double",
    "GET /flow > Flow.run > report",
  ]);
  let status: Record<string, unknown> = {};
  while (status["status"] !== "complete") status = (await call(`/flow-status?id=${result["id"]}`)).result;
  assert.deepEqual(status["output"], { doubled: 42, members: ["n"] });
});

test("the log reports no misuse, and every row is in one project", () => {
  assert.doesNotMatch(log, /opik-edge/);
  assert.ok([...collector.spans(), ...collector.traces()].every((row) => row["project_name"] === "faces"));
});
