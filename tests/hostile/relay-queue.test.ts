// A relay with a queue, in workerd: no page's rows keep others' rows from being delivered.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { deliverQueue } from "opik-edge/cloudflare";
import { type FakeClock, useFakeClock } from "opik-edge/testing";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";
import { NOW, post, spanOf, Upstream } from "./relay-support.js";

const POISON = "poison";

describe("in workerd", () => {
  let collector: Collector;
  let worker: RunningWorker;
  beforeEach(async () => {
    collector = await startCollector({
      fault: ({ body }) => (body.includes(POISON) ? { status: 422 } : undefined),
    });
    worker = await startWorker("tests/hostile/relay-queue-worker.ts", {
      bindings: { OPIK_URL_OVERRIDE: collector.url },
      miniflare: {
        queueProducers: { ROWS: { queueName: "rows" } },
        queueConsumers: { rows: { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries: 100 } },
      },
    });
  });
  afterEach(async () => {
    await worker.close();
    await collector.close();
  });

  const send = async (spans: object[]): Promise<void> => {
    const { method, headers } = post("");
    const body = JSON.stringify({ spans });
    assert.equal((await fetch(worker.url, { method, headers: [...headers], body })).status, 200);
  };
  const rows = (count: number, name: string): object[] =>
    Array.from({ length: count }, () => spanOf(Date.now(), { name }));
  const delivered = (name: string): number => collector.spans().filter(({ name: own }) => own === name).length;

  test("refused rows are given up, and the rows after them are delivered", async () => {
    await send(rows(25, POISON));
    for (let n = 0; n < 5; n += 1) await send(rows(3, "good"));
    await collector.until(() => delivered("good") === 15);
    await send(rows(1, "last"));
    await collector.until(() => delivered("last") === 1);
    const refused = collector.requests.filter(({ body }) => body.includes(POISON));
    // One request with the others, one alone, and halves until one of 25 rows is found.
    assert.ok(refused.length <= 4 + 2 * 5, `${refused.length} requests`);
  });
});

describe("a batch of messages", () => {
  let clock: FakeClock;
  beforeEach(() => {
    clock = useFakeClock(NOW);
    clock.freeze();
  });
  afterEach(() => clock.restore());

  const messageOf = (rows: object[], attempts?: number) => {
    const told: (string | number)[] = [];
    const retry = ({ delaySeconds }: { delaySeconds?: number } = {}): void => void told.push(delaySeconds ?? "at once");
    return { body: JSON.stringify({ spans: rows }), attempts, told, ack: () => told.push("ack"), retry };
  };
  const rows = (count: number, name = "good"): object[] => Array.from({ length: count }, () => spanOf(NOW, { name }));
  /** An Opik that answers `status` to each request with a poisoned row. */
  const failing = (status: number) =>
    new (class extends Upstream {
      override async fetch(url: string, request: { readonly body: Uint8Array }): Promise<Response> {
        await super.fetch(url, request);
        const isPoisoned = new TextDecoder().decode(request.body).includes(POISON);
        return new Response(null, { status: isPoisoned ? status : 204, headers: { "retry-after": "3600" } });
      }
      /** The number of rows that it has accepted. */
      get taken(): number {
        const bodies = this.requests.map(({ body }) => body).filter((body) => !body.includes(POISON));
        return bodies.reduce((sum, body) => sum + JSON.parse(body).spans.length, 0);
      }
    })();
  const deliver = (messages: ReturnType<typeof messageOf>[], transport: Upstream) =>
    deliverQueue({ messages }, { url: "http://opik.test/api", transport, onError: () => {} });

  test("is split between messages first, and one refused row is found", async () => {
    const bad = rows(40);
    bad[17] = spanOf(NOW, { name: POISON });
    const messages = [...[7, 13, 30].map((count) => messageOf(rows(count))), messageOf(bad), messageOf(rows(9))];
    const upstream = failing(400);
    const report = await deliver(messages, upstream);
    assert.deepEqual([report.sent, report.dropped, upstream.taken], [98, { rejected: 1 }, 98]);
    assert.deepEqual(new Set(messages.flatMap(({ told }) => told)), new Set(["ack"]));
  });

  test("has a budget for each message, whatever its content", async () => {
    const messages = Array.from({ length: 5 }, () => messageOf(rows(100, POISON)));
    const upstream = failing(422);
    const report = await deliver(messages, upstream);
    assert.deepEqual([report.sent, report.dropped], [0, { rejected: 500 }]);
    assert.ok(upstream.requests.length <= 9 + 5 * 2 * 7, `${upstream.requests.length} requests`);
    assert.deepEqual(new Set(messages.flatMap(({ told }) => told)), new Set(["ack"]));
  });

  test("is sent in smaller groups each time that it comes again, later and later", async () => {
    const seen: { taken: number; delays: unknown[] }[] = [];
    for (const attempts of [1, 2, 3, 4, 9]) {
      const messages = Array.from({ length: 32 }, (_, n) => messageOf(rows(1, n === 5 ? POISON : "good"), attempts));
      const upstream = failing(503);
      await deliver(messages, upstream);
      seen.push({ taken: upstream.taken, delays: messages[5]!.told });
    }
    assert.deepEqual(seen, [
      { taken: 0, delays: [5] },
      { taken: 16, delays: [20] },
      { taken: 28, delays: [80] },
      { taken: 31, delays: [320] },
      { taken: 31, delays: [600] },
    ]);
  });
});
