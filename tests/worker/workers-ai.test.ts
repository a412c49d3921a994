// The example with Workers AI: workerd's module for the binding, with our service in place of Cloudflare's.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { modelFixtures } from "../support/model-fixtures.js";
import { type RunningWorker, startWorker, wranglerOptions } from "../support/worker.js";

const MODEL = "@cf/meta/llama-4-scout-17b-16e-instruct";
const { answer, expected } = modelFixtures("workers_ai").find(({ name }) =>
  name.endsWith("the binding's stream of its own shape"),
)!;
const events = answer.toString().split(/(?<=\n\n)/);

let collector: Collector;
let models: Server;
let worker: RunningWorker;
let hungUp = 0;
const watchers = new Watchers();
before(async () => {
  collector = await startCollector();
  // The question decides: "fail" gets an error, "forever" an endless answer.
  models = createServer(async (request, response) => {
    const { inputs } = (await json(request)) as { inputs: { messages: { content: string }[] } };
    const question = inputs.messages.at(-1)!.content;
    const headers = { "cf-ai-req-id": "request", "MF-Forwarded-Response": "true" };
    if (question.includes("fail")) {
      response.writeHead(429, { ...headers, "content-type": "application/json" });
      return response.end(JSON.stringify({ errors: [{ code: 3040, message: "Capacity temporarily exceeded" }] }));
    }
    response.writeHead(200, { ...headers, "content-type": "text/event-stream" });
    response.write(events[0]);
    if (!question.includes("forever")) return response.end(events.slice(1).join(""));
    const timer = setInterval(() => response.write(events[1]), 10);
    return response.on("close", () => {
      clearInterval(timer);
      hungUp += 1;
      watchers.notify();
    });
  }).listen(0, "127.0.0.1");
  await once(models, "listening");
  const service = new URL(`http://127.0.0.1:${(models.address() as AddressInfo).port}`);
  worker = await startWorker("examples/workers-ai/src/index.ts", {
    ...(await wranglerOptions("examples/workers-ai")),
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    miniflare: { ai: { binding: "AI", remoteProxyConnectionString: service as never } },
  });
});
after(() => {
  models.closeAllConnections();
  return closeAll(worker, collector, { close: () => void models.close() });
});

/** Asks a question, and returns the answer and the two spans of its trace. */
async function ask(message: string, read = (response: Response) => response.text()) {
  const before = collector.traces().length;
  const abort = new AbortController();
  const body = JSON.stringify({ message, thread: "t-1" });
  const response = await fetch(worker.url, { method: "POST", body, signal: abort.signal });
  const text = await read(response);
  abort.abort();
  await collector.until(() => collector.traces().length > before);
  const trace = collector.traces().at(-1)!;
  const own = () => collector.spans().filter(({ trace_id }) => trace_id === trace.id);
  await collector.until(() => own().length === 2);
  const root = own().find(({ parent_span_id }) => parent_span_id === undefined)!;
  const llm = own().find(({ parent_span_id }) => parent_span_id === root.id)!;
  return { status: response.status, text, trace, root, llm };
}

const errorOf = (row: StoredRow) => (row["error_info"] as { message: string } | undefined)?.message;
const marksOf = (row: StoredRow) => JSON.stringify(row).match(/opik_edge_\w+/g) ?? [];

test("the model's stream is the answer, and its call is a span", async () => {
  const { text, trace, root, llm } = await ask("What is a trace?");
  assert.equal(text, answer.toString());
  assert.equal(trace["thread_id"], "t-1");
  const { type, name, model, provider, input, output, usage, ttft } = llm;
  assert.deepEqual(
    { type, name, model, provider },
    { type: "llm", name: `chat ${MODEL}`, model: MODEL, provider: "cloudflare" },
  );
  const { messages } = input as { messages: object[] };
  assert.deepEqual(messages.at(-1), { role: "user", content: "What is a trace?" });
  assert.deepEqual([output, usage], [expected["output"], expected["usage"]]);
  assert.equal(typeof ttft, "number");
  assert.deepEqual([...marksOf(root), ...marksOf(llm)], []);
});

test("a model that fails: the error is on every span it passed, and on the trace", async () => {
  const { status, trace, root, llm } = await ask("Please fail.");
  assert.equal(status, 500);
  for (const row of [trace, root]) assert.match(errorOf(row)!, /3040: Capacity temporarily exceeded/);
  const { exception_type, message } = llm["error_info"] as Record<string, string>;
  assert.deepEqual([exception_type, message], ["3040", "Capacity temporarily exceeded"]);
});

test("a client that hangs up: the partial answer is recorded and marked, and the model stops", async () => {
  const { root, llm } = await ask("Talk forever.", async (response) => {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    return (await reader.read()).value!;
  });
  const { choices } = llm["output"] as { choices: { message: { content: string } }[] };
  assert.match(choices[0]!.message.content, /^He/);
  assert.deepEqual([...new Set([...marksOf(root), ...marksOf(llm)])], ["opik_edge_cancelled"]);
  await watchers.until(
    () => hungUp === 1,
    () => `${hungUp} hung up`,
  );
});
