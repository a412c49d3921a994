// The example Worker, in the four ways that scripts/demo shows.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Collector, startCollector } from "../../collector/server.js";
import type { StoredRow } from "../../collector/store.js";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { closeAll } from "../support/closing.js";
import { startExample } from "../support/example.js";
import type { RunningWorker } from "../support/worker.js";

let collector: Collector;
let upstream: Upstream;
let worker: RunningWorker;
before(async () => {
  collector = await startCollector();
  upstream = await startUpstream();
  worker = await startExample(collector.url, upstream);
});
after(() => closeAll(worker, upstream, collector));

/** What a question was answered with, and the spans of its trace by their names. */
async function ask(
  question: object,
  read = (response: Response) => response.text(),
): Promise<{ answer: string; trace: StoredRow; spans: Map<string, StoredRow> }> {
  const before = collector.traces().length;
  const abort = new AbortController();
  const body = JSON.stringify(question);
  const response = await fetch(`${worker.url}/chat`, { method: "POST", body, signal: abort.signal });
  const answer = await read(response);
  abort.abort();
  await collector.until(() => collector.traces().length > before);
  const trace = collector.traces().at(-1)!;
  const own = () => collector.spans().filter(({ trace_id }) => trace_id === trace.id);
  await collector.until(() => own().length === 6);
  return { answer, trace, spans: new Map(own().map((span) => [String(span["name"]), span])) };
}

const marks = (spans: Map<string, StoredRow>) => JSON.stringify([...spans.values()]).match(/opik_edge_\w+/g) ?? [];

for (const stream of [false, true]) {
  test(`a ${stream ? "streamed" : "plain"} answer: complete spans, usage, thread`, async () => {
    const { answer, trace, spans } = await ask({ message: "What is a trace?", thread: "t-1", stream });
    assert.match(answer, stream ? /data: \[DONE\]/ : /A trace is a tree of spans\./);
    assert.equal(trace["thread_id"], "t-1");
    const llm = spans.get("llm")!;
    assert.equal((llm["output"] as Record<string, string>)["content"], "A trace is a tree of spans.");
    assert.deepEqual(llm["usage"], {
      prompt_tokens: 42,
      completion_tokens: 9,
      total_tokens: 51,
      "prompt_tokens_details.cached_tokens": 0,
    });
    assert.equal(typeof llm["ttft"], stream ? "number" : "undefined");
    assert.equal(llm.parent_span_id, spans.get("POST /chat")!.id);
    assert.deepEqual(marks(spans), []);
  });
}

test("a model that fails: the error on every span it passed, and on the trace", async () => {
  const { trace, spans } = await ask({ message: "Please fail." });
  for (const row of [trace, spans.get("POST /chat")!, spans.get("llm")!]) {
    assert.match((row["error_info"] as Record<string, string>)["message"]!, /^500 from the model/);
  }
  assert.equal(spans.get("retrieve")!["error_info"], undefined);
  assert.deepEqual(marks(spans), []);
});

test("a client that hangs up: what was said so far, marked, and the model stops", async () => {
  const { spans } = await ask({ message: "Talk forever.", stream: true }, async (response) => {
    await response.body!.getReader().read();
    return "";
  });
  assert.deepEqual([...new Set(marks(spans))], ["opik_edge_cancelled"]);
  const llm = spans.get("llm")!;
  assert.deepEqual(llm["metadata"], { opik_edge_cancelled: true });
  assert.match((llm["output"] as Record<string, string>)["content"]!, /^and on /);
});

test("the model's key is in no row", () => {
  assert.ok(collector.requests.length > 0);
  assert.ok(!collector.requests.some(({ body }) => body.includes("do-not-record-me")));
});
