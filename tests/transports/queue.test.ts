// The queue transport, end to end in Miniflare: rows go through a queue, and wait there while the backend is down.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

let collector: Collector;
let worker: RunningWorker;
let isDown = false;
before(async () => {
  // Longer than any invocation lives, so that the queue has to keep the rows.
  const fault = { status: 503, headers: { "retry-after": "3600" } };
  collector = await startCollector({ fault: () => (isDown ? fault : undefined) });
  worker = await startWorker("tests/transports/queue-worker.ts", {
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    miniflare: {
      queueProducers: { ROWS: { queueName: "rows" } },
      queueConsumers: { rows: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 100 } },
    },
  });
});
after(() => closeAll(worker, collector));

const call = async (path: string): Promise<string> => (await fetch(`${worker.url}${path}`)).text();

test("rows go through the queue, many messages to a request, and the consumer adds the key", async () => {
  const before = collector.requests.length;
  const traces = await Promise.all(Array.from({ length: 10 }, () => call("/?spans=3")));
  await collector.until(() => traces.every((id) => collector.traces().some((trace) => trace.id === id)));
  await collector.until(() => collector.spans().filter(({ trace_id }) => traces.includes(trace_id!)).length === 40);
  const requests = collector.requests.slice(before);
  assert.ok(requests.length < 20, `${requests.length} requests for 20 messages`);
  for (const { headers } of requests) {
    assert.equal(headers.authorization, "the consumer's key");
    assert.match(String(headers["x-opik-edge"]), /^\S+; queue;$/, "the rows are not the consumer's");
  }
});

test("scores go through it too, for traces and for spans", async () => {
  const trace = await call("/?spans=1&score");
  await collector.until(() => collector.scores().length === 2);
  assert.deepEqual(
    collector
      .scores()
      .map(({ entity, name, value }) => [entity, name, value])
      .sort(),
    [
      ["spans", "fast", 0.5],
      ["traces", "helpful", 1],
    ],
  );
  assert.ok(collector.scores().some(({ id }) => id === trace));
});

test("a row that is too large for a message is cut to fit", async () => {
  const trace = await call("/?spans=3&bytes=400000");
  await collector.until(() => collector.spans().filter(({ trace_id }) => trace_id === trace).length === 4);
  const [cut] = collector.spans().filter(({ trace_id, name }) => trace_id === trace && name === "0");
  assert.match(JSON.stringify(cut!["input"]), /opik_truncated: 400000 bytes/);
});

test("foreign messages are left out, and messages after them are delivered", async () => {
  await call("/garbage");
  const trace = await call("/?spans=1");
  await collector.until(() => collector.spans().filter(({ trace_id }) => trace_id === trace).length === 2);
});

test("while the backend is down rows wait, and afterwards no row is missing or doubled", async () => {
  isDown = true;
  const before = collector.requests.length;
  const traces = await Promise.all(Array.from({ length: 20 }, () => call("/?spans=5")));
  await collector.until(() => collector.requests.slice(before).some(({ status }) => status === 503));
  isDown = false;
  const upAgain = collector.requests.length;
  await collector.until(() => traces.every((id) => collector.traces().some((trace) => trace.id === id)));
  const spansOf = (id: string) => collector.spans().filter(({ trace_id }) => trace_id === id);
  await collector.until(() => traces.every((id) => spansOf(id).length === 6));
  assert.ok(collector.requests.length > upAgain, "they came again");
});
