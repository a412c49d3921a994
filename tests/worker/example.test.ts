// The example Worker, run in the four ways that scripts/demo shows.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Opik } from "opik-edge";
import { llm } from "opik-edge/llm";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { startExample } from "../support/example.js";
import type { RunningWorker } from "../support/worker.js";

const LLM = "chat demo-model";
const ANSWER = {
  index: 0,
  message: { role: "assistant", content: "A trace is a tree of spans." },
  finish_reason: "stop",
};

let collector: Collector;
let upstream: Upstream;
let worker: RunningWorker;
before(async () => {
  collector = await startCollector();
  upstream = await startUpstream();
  worker = await startExample(collector.url, upstream);
});
after(() => closeAll(worker, upstream, collector));

/** The answer to a question, and the spans of its trace in the order in which they began. */
async function ask(
  question: object,
  spans: number,
  read = (response: Response) => response.text(),
): Promise<{ answer: string; trace: StoredRow; spans: StoredRow[] }> {
  const before = collector.traces().length;
  const abort = new AbortController();
  const body = JSON.stringify(question);
  const response = await fetch(`${worker.url}/chat`, { method: "POST", body, signal: abort.signal });
  const answer = await read(response);
  abort.abort();
  await collector.until(() => collector.traces().length > before);
  const trace = collector.traces().at(-1)!;
  const own = () => collector.spans().filter(({ trace_id }) => trace_id === trace.id);
  await collector.until(() => own().length === spans);
  return { answer, trace, spans: own().sort((a, b) => (a.id < b.id ? -1 : 1)) };
}

const named = (spans: StoredRow[], wanted: string) => spans.filter(({ name }) => name === wanted);
const choices = (row: StoredRow) => (row["output"] as { choices: { message: { content: string } }[] }).choices;
const marks = (spans: StoredRow[]) => JSON.stringify(spans).match(/opik_edge_\w+/g) ?? [];

for (const stream of [false, true]) {
  const message = "What is a trace?";
  const query = JSON.stringify({ query: message });
  const call = { id: "call_1", type: "function", function: { name: "retrieve", arguments: query } };

  test(`a ${stream ? "streamed" : "plain"} answer: the model asks for documents, then answers`, async () => {
    const { answer, trace, spans } = await ask({ message, thread: "t-1", stream }, 6);
    assert.match(answer, stream ? /data: \[DONE\]/ : /A trace is a tree of spans\./);
    assert.equal(trace["thread_id"], "t-1");
    assert.deepEqual(
      spans.map(({ name }) => name),
      ["POST /chat", LLM, "retrieve", `POST ${new URL(upstream.url).host}/retrieve`, "rank", LLM],
    );
    const [asking, answering] = named(spans, LLM) as [StoredRow, StoredRow];
    for (const row of [asking, answering]) {
      assert.equal(row.parent_span_id, named(spans, "POST /chat")[0]!.id);
      assert.deepEqual([row["type"], row["model"], row["provider"]], ["llm", "demo-model", "127.0.0.1"]);
      assert.equal((row["usage"] as Record<string, number>)["total_tokens"], 51);
    }
    const asked = { role: "assistant", content: null, tool_calls: [call] };
    assert.deepEqual(choices(asking), [{ index: 0, message: asked, finish_reason: "tool_calls" }]);
    const { type, input, output } = named(spans, "retrieve")[0]!;
    assert.deepEqual([type, input], ["tool", { query: message }]);
    assert.equal((output as { documents: string[] }).documents.length, 3);
    const { messages } = answering["input"] as { messages: { role: string; tool_call_id?: string }[] };
    assert.deepEqual(
      messages.map(({ role }) => role),
      ["system", "user", "assistant", "tool"],
    );
    assert.equal(messages.at(-1)!.tool_call_id, "call_1");
    assert.deepEqual(choices(answering), [ANSWER]);
    assert.equal(typeof answering["ttft"], stream ? "number" : "undefined");
    assert.deepEqual(marks(spans), []);
  });
}

test("a model that fails: the error is on every span it passed, and on the trace", async () => {
  const { trace, spans } = await ask({ message: "Please fail." }, 2);
  for (const row of [trace, named(spans, "POST /chat")[0]!]) {
    assert.match((row["error_info"] as Record<string, string>)["message"]!, /^500 from the model/);
  }
  const { exception_type, message } = named(spans, LLM)[0]!["error_info"] as Record<string, string>;
  assert.deepEqual([exception_type, message], ["server_error", "the model is overloaded"]);
  assert.deepEqual(marks(spans), []);
});

test("a client that hangs up: the partial answer is recorded and marked, and the model stops", async () => {
  const { spans } = await ask({ message: "Talk forever.", stream: true }, 6, async (response) => {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    while (!(await reader.read()).value?.includes("and on"));
    return "";
  });
  assert.deepEqual(marks([named(spans, LLM)[0]!, named(spans, "retrieve")[0]!]), []);
  const answering = named(spans, LLM)[1]!;
  assert.deepEqual(marks([answering]), ["opik_edge_cancelled"]);
  assert.match(choices(answering)[0]!.message.content, /^and on /);
});

test("the model streams its tool calls too, as OpenAI's does", async () => {
  const opik = new Opik({ url: collector.url, observe: [llm()] });
  const tools = [{ type: "function", function: { name: "retrieve" } }];
  const messages = [{ role: "user", content: "What is streamed?" }];
  const body = JSON.stringify({ model: "m", messages, tools, stream: true, stream_options: { include_usage: true } });
  await opik.span({ name: "streamed" }, async (span) =>
    (await span.fetch(`${upstream.url}/v1/chat/completions`, { method: "POST", body })).text(),
  );
  await opik.flush();
  const [row] = named(collector.spans(), "chat m");
  const asked = { name: "retrieve", arguments: '{"query":"What is streamed?"}' };
  const message = {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "call_1", type: "function", function: asked }],
  };
  assert.deepEqual(choices(row!), [{ index: 0, message, finish_reason: "tool_calls" }]);
  assert.equal((row!["usage"] as Record<string, number>)["total_tokens"], 51);
  assert.equal(typeof row!["ttft"], "number");
});

test("no row contains the model's key", () => {
  assert.ok(collector.requests.length > 0);
  assert.ok(!collector.requests.some(({ body }) => body.includes("do-not-record-me")));
});
