// Opik's refusals of one page's rows stop no other page, and none of the server's own rows.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Opik } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { type RelayConfig, relay } from "opik-edge/relay";
import { type FakeClock, InMemoryExporter, useFakeClock } from "opik-edge/testing";
import { type Collector, startCollector } from "../support/collector.js";
import type { FaultyRequest } from "../support/faults.js";
import { NOW, ORIGIN, post, relayTo, spanOf, Upstream } from "./relay-support.js";

const POISON = "poison";

describe("with one Opik, key and workspace", () => {
  let collector: Collector;
  let answer: { status: number; headers: Record<string, string> };
  beforeEach(async () => {
    answer = { status: 500, headers: { "retry-after": "3600" } };
    collector = await startCollector({
      fault: ({ body }: FaultyRequest) => (body.includes(POISON) ? answer : undefined),
    });
  });
  afterEach(() => collector.close());

  const poison = (): Request => post(JSON.stringify({ spans: [spanOf(Date.now(), { name: POISON })] }));
  const good = (): Request => post(JSON.stringify({ spans: [spanOf(Date.now())] }));
  const pages = (more: Partial<RelayConfig> = {}) =>
    relay({ url: collector.url, apiKey: "k", origins: [ORIGIN], onError: () => {}, ...more });
  /** The number of rows that an invocation of the server itself has delivered. */
  const invoke = async (): Promise<number> => {
    let held: Promise<unknown> = Promise.resolve();
    const handler = withOpik(
      { fetch: async (_request: Request, _env: object, _ctx: object) => new Response() },
      () => ({ url: collector.url, apiKey: "k", onError: () => {} }),
    );
    const ctx = { waitUntil: (promise: Promise<unknown>) => (held = promise) };
    await handler.fetch(new Request("http://host.test/"), {}, ctx);
    await held;
    return collector.traces().length;
  };

  for (const status of [429, 500, 503, 401, 404]) {
    test(`HTTP ${status} to pages does not stop the server`, async () => {
      answer.status = status;
      const handle = pages();
      for (let n = 0; n < 5; n += 1) assert.ok((await handle(poison())).status >= 400);
      assert.equal(await invoke(), 1);
    });
  }

  for (const status of [500, 502, 503, 504]) {
    test(`HTTP ${status} on one page's rows stops no other page`, async () => {
      answer.status = status;
      const handle = pages();
      for (let n = 0; n < 10; n += 1) {
        assert.equal((await (await handle(poison())).json()).code, "unavailable");
        if (n >= 3) assert.equal((await handle(good())).status, 200);
      }
      assert.equal(collector.spans().length, 7);
    });
  }

  test("a failing row costs two requests, whatever the answers", async () => {
    answer = { status: 500, headers: { "retry-after": "0" } };
    await pages()(poison());
    assert.equal(collector.requests.length, 2);
  });

  test("a refused key is not retried, for any page", async () => {
    answer = { status: 401, headers: {} };
    const handle = pages();
    for (let n = 0; n < 5; n += 1) assert.equal((await handle(poison())).status, 502);
    assert.equal(collector.requests.length, 1);
    assert.equal((await handle(good())).status, 502);
  });
});

test("rows that a transport cannot carry are refused, and not tried", async () => {
  const upstream = Object.assign(new Upstream(), { maxBodyBytes: 40_000 });
  const handle = relayTo(upstream);
  const large = post(JSON.stringify({ spans: [spanOf(Date.now(), { input: "x".repeat(40_000) })] }));
  assert.equal((await (await handle(large)).json()).code, "too_large");
  assert.equal(upstream.requests.length, 0);
});

test("a row that the backend always fails on delays no other row", async () => {
  const clock: FakeClock = useFakeClock(NOW);
  try {
    clock.freeze();
    const exporter = new InMemoryExporter();
    exporter.answer = ({ body }) =>
      JSON.stringify(body).includes(POISON)
        ? new Response(null, { status: 500, headers: { "retry-after": "3600" } })
        : undefined;
    const opik = new Opik({ url: "http://opik.test/api", transport: exporter, background: true, onError: () => {} });
    opik.trace({ name: POISON }).end();
    await clock.advance(10 * 60_000);
    opik.trace({ name: "good" }).end();
    await clock.advance(10 * 60_000);
    assert.deepEqual(
      exporter.traces.map(({ name }) => name),
      ["good"],
    );
    exporter.answer = undefined;
    await opik.flush();
    assert.equal(exporter.traces.length, 2, "and it is not lost");
    await clock.advance(10 * 60_000);
  } finally {
    clock.restore();
  }
});
