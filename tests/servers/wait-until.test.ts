// Rows are sent even where the host passes no `ctx`: the platform is asked to wait for them.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Opik } from "opik-edge";
import { opikDoctor } from "opik-edge/doctor";
import { withOpik } from "opik-edge/server";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

const CALLER = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

let collector: Collector;
before(async () => {
  collector = await startCollector();
});
after(() => collector.close());

const named = (name: string) => collector.spans().filter((row) => row["name"] === name);

describe("in a Worker without withOpik", () => {
  let worker: RunningWorker;
  before(async () => {
    const bindings = { OPIK_URL_OVERRIDE: collector.url };
    worker = await startWorker("tests/servers/no-ctx-worker.ts", { bindings, compatibilityFlags: [] });
  });
  after(() => worker.close());
  const get = async (path: string, headers = {}) => (await fetch(`${worker.url}${path}`, { headers })).text();

  test("a client's traces leave after the response", async () => {
    await get("/begun");
    // The rows come in two uploads, in either order.
    await collector.until(
      () => named("begun").length === 1 && collector.traces().filter(({ name }) => name === "begun").length === 1,
    );
  });

  test("spans under a caller's span leave after the response too", async () => {
    await get("/joined", CALLER);
    await collector.until(() => named("below").length === 1 && named("joined").length === 1);
    assert.equal(named("joined")[0]!["parent_span_id"], CALLER.opik_parent_span_id);
  });

  test("the host's own flush comes first and reports its rows", async () => {
    assert.equal(await get("/flushed"), "2");
  });

  test("many traces leave together", async () => {
    const before = collector.requests.length;
    await get("/many");
    await collector.until(() => named("one of many").length === 50);
    assert.ok(collector.requests.length - before <= 4);
  });
});

describe("on a platform with a request context", () => {
  for (const name of ["@vercel/request-context", "@next/request-context"]) {
    test(`${name}: it waits until everything is sent`, async (t) => {
      const waited: Promise<unknown>[] = [];
      const key = Symbol.for(name);
      const holder = globalThis as Record<symbol, unknown>;
      holder[key] = { get: () => ({ waitUntil: (promise: Promise<unknown>) => waited.push(promise) }) };
      t.after(() => delete holder[key]);

      const opik = new Opik({ url: collector.url, background: false });
      opik.span({ name: `${name} client` }, () => {});
      assert.equal(waited.length, 1);
      await Promise.all(waited.splice(0));
      assert.equal(named(`${name} client`).length, 1);

      const handler = withOpik(async (_: Request) => Response.json({ a: 1 }), {
        url: collector.url,
        background: false,
      });
      const response = await handler(new Request("http://localhost/handled", { headers: { "x-of": name } }));
      assert.deepEqual(await response.json(), { a: 1 });
      assert.equal(waited.length, 1);
      await Promise.all(waited);
      assert.ok(named("GET /handled").length > 0);
    });
  }

  const broken = (): never => {
    throw new Error("of the platform");
  };
  const BROKEN: [name: string, holder: PropertyDescriptor][] = [
    ["is not to be read", { get: broken }],
    ["is null", { value: null }],
    [
      "has a getter that throws",
      {
        value: {
          get get() {
            return broken();
          },
        },
      },
    ],
    ["throws", { value: { get: broken } }],
    ["gives a context that is not to be read", { value: { get: () => new Proxy({}, { get: broken }) } }],
    ["gives a waitUntil that throws", { value: { get: () => ({ waitUntil: broken }) } }],
    ["gives no function", { value: { get: () => ({ waitUntil: true }) } }],
  ];
  for (const [name, holder] of BROKEN) {
    test(`a holder that ${name} has no visible effect`, async (t) => {
      const waited: Promise<unknown>[] = [];
      const [first, second] = ["@vercel/request-context", "@next/request-context"].map((key) => Symbol.for(key));
      Object.defineProperty(globalThis, first!, { configurable: true, ...holder });
      Object.assign(globalThis, {
        [second!]: { get: () => ({ waitUntil: (work: Promise<unknown>) => waited.push(work) }) },
      });
      t.after(() => {
        for (const key of [first!, second!]) delete (globalThis as Record<symbol, unknown>)[key];
      });
      const opik = new Opik({ url: collector.url, background: false });
      opik.span({ name: `beside one that ${name}` }, () => {});
      assert.ok((await opikDoctor({ config: { url: collector.url } })).length > 0);
      const handler = withOpik((_: Request) => new Response("ok"), { url: collector.url, background: false });
      assert.equal(await (await handler(new Request("http://localhost/beside"))).text(), "ok");
      // The next platform is asked, unless this platform has agreed to wait.
      if (!name.includes("waitUntil that throws")) {
        await Promise.all(waited);
        assert.equal(named(`beside one that ${name}`).length, 1);
      }
    });
  }
});
