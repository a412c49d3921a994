// A traced queue accepts every message that the queue itself accepts. A message that is too long for its context goes
// without the context.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type RunningWorker, startWorker } from "../support/worker.js";
import type { Received, Sent } from "./traced-queue-worker.js";

let worker: RunningWorker;
before(async () => {
  worker = await startWorker("tests/transports/traced-queue-worker.ts", {
    miniflare: {
      queueProducers: { JOBS: { queueName: "jobs" } },
      queueConsumers: { jobs: { maxBatchSize: 100, maxBatchTimeout: 0 } },
    },
  });
});
after(() => worker.close());

/** Sends messages; returns the error and the received messages. */
async function send(what: Sent): Promise<{ readonly error: unknown; readonly received: Received[] }> {
  const error = await (await fetch(worker.url, { method: "POST", body: JSON.stringify(what) })).json();
  const received: Received[] = [];
  while (error === null && received.length < what.lengths.length) {
    received.push(...((await (await fetch(worker.url)).json()) as Received[]));
  }
  return { error, received };
}

/** `{"text":"…"}` in JSON is 11 bytes longer than its text; the platform's own format adds about as much. */
const AROUND = 11;
/** Limits in bytes, for a message (Queues: 128 KB of 1000 bytes) and for a batch in Miniflare. */
const MESSAGE = 128_000;
const BATCH = 288_000;

/** Lengths of the messages in bytes, and `true` if there is room for their contexts. */
const CASES: readonly (readonly [lengths: readonly number[], hasRoom: boolean])[] = [
  [[10], true],
  [[MESSAGE - AROUND - 200], true],
  [[MESSAGE - AROUND - 100], false],
  [[MESSAGE - AROUND], false],
  [[10, MESSAGE - AROUND, 20], false],
  [[100_000, 100_000, BATCH - 200_000 - 5 * AROUND], false],
  [Array.from({ length: 100 }, () => 2800), false],
  [Array.from({ length: 100 }, () => 100), true],
];

for (const contentType of ["json", "v8", "text", "bytes"] as const) {
  for (const of of ["x", "é", "語"]) {
    test(`messages of ${of} as ${contentType} are sent as without tracing, with a context where there is room`, async () => {
      // Bytes of a character: v8 stores strings with one byte a character or with two.
      const width = contentType === "v8" ? (of === "語" ? 2 : 1) : new TextEncoder().encode(of).length;
      for (const [bytes, hasRoom] of CASES) {
        const lengths = bytes.map((length) => Math.floor((length - (contentType === "v8" ? 10 : 0)) / width));
        const carries = hasRoom && (contentType === "json" || contentType === "v8");
        for (const isBatch of lengths.length > 1 ? [true] : [false, true]) {
          const what = { lengths, of, contentType, isBatch };
          const name = `${lengths.length} of ${lengths[0]}${isBatch ? " in a batch" : ""}`;
          const untraced = await send({ ...what, isTraced: false });
          const traced = await send({ ...what, isTraced: true });
          assert.equal(untraced.error, null, name);
          assert.equal(traced.error, null, name);
          const sorted = (all: Received[]): number[] => all.map(({ length }) => length).sort((a, b) => a - b);
          assert.deepEqual(sorted(traced.received), sorted(untraced.received), name);
          assert.ok(
            traced.received.every(({ hasContext }) => hasContext === carries),
            name,
          );
        }
      }
    });
  }
}

test("a message that is too long in any case is refused with the same error", async () => {
  for (const contentType of ["json", "v8", "text", "bytes"] as const) {
    for (const isBatch of [false, true]) {
      const what = { lengths: [MESSAGE + 1], of: "x", contentType, isBatch };
      const { error } = await send({ ...what, isTraced: false });
      assert.ok(error, contentType);
      assert.equal((await send({ ...what, isTraced: true })).error, error, contentType);
    }
  }
  const what = { lengths: Array.from({ length: 101 }, () => 1), of: "x", contentType: "json", isBatch: true } as const;
  const { error } = await send({ ...what, isTraced: false });
  assert.equal((await send({ ...what, isTraced: true })).error, error);
});
