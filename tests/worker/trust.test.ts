// Callers that a Worker trusts, and its answers to pages of other origins.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mintToken } from "opik-edge/relay";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

const SECRET = "0123456789abcdef0123456789abcdef";
const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const HEADERS = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };

let collector: Collector;
const workers = new Map<string, RunningWorker>();
before(async () => {
  collector = await startCollector();
});
after(() => closeAll(...workers.values(), collector));

async function workerThatTrusts(trust: string): Promise<RunningWorker> {
  let worker = workers.get(trust);
  if (!worker) {
    const bindings = { OPIK_URL_OVERRIDE: collector.url, SECRET, ...(trust && { TRUST: trust }) };
    worker = await startWorker("tests/worker/trust-worker.ts", { bindings });
    workers.set(trust, worker);
  }
  return worker;
}

/** `true` if a call with a caller's ids joins the caller's trace. */
async function joins(trust: string, headers: Record<string, string> = {}): Promise<boolean> {
  const { url } = await workerThatTrusts(trust);
  const { trace, span } = await (await fetch(url, { headers: { ...HEADERS, ...headers } })).json();
  await collector.until(() => collector.spans().some(({ id }) => id === span));
  const row = collector.spans().find(({ id }) => id === span)!;
  if (trace === TRACE) {
    assert.equal(row.parent_span_id, PARENT);
    return true;
  }
  await collector.until(() => collector.traces().some(({ id }) => id === trace));
  const kept = { opik_edge_untrusted: { traceId: TRACE, spanId: PARENT } };
  assert.deepEqual(row["metadata"], kept);
  assert.deepEqual(collector.traces().find(({ id }) => id === trace)!["metadata"], kept);
  return false;
}

test("a browser's preflight is answered without a trace", async () => {
  const { url } = await workerThatTrusts("");
  const headers = { origin: "https://app.test", "access-control-request-method": "POST" };
  assert.equal((await fetch(`${url}/preflight`, { method: "OPTIONS", headers })).status, 204);
  // Any other OPTIONS request is traced.
  const { trace } = await (await fetch(`${url}/options`, { method: "OPTIONS" })).json();
  await collector.until(() => collector.traces().some(({ id }) => id === trace));
  assert.ok(!collector.traces().some(({ name }) => name === "OPTIONS /preflight"));
});

describe("a caller's trace", () => {
  test("is joined by default, and not with `never`", async () => {
    assert.equal(await joins(""), true);
    assert.equal(await joins("always"), true);
    assert.equal(await joins("never"), false);
  });

  test("is joined if a function returns true, and not if it throws", async () => {
    assert.equal(await joins("by address", { "x-from": "inside" }), true);
    assert.equal(await joins("by address"), false);
    assert.equal(await joins("throws"), false);
  });

  test("is joined with a valid signed token", async () => {
    const { url } = await workerThatTrusts("signed");
    const options = { secret: { id: "a", secret: SECRET }, audience: url, projectName: "pages" };
    const with_ = async (more: object) => joins("signed", { "opik-token": await mintToken({ ...options, ...more }) });
    assert.equal(await with_({}), true);
    assert.equal(await joins("signed"), false);
    assert.equal(await joins("signed", { "opik-token": "v1.forged.token" }), false);
    assert.equal(await with_({ nowMs: Date.now() - 60 * 60 * 1000 }), false);
    assert.equal(await with_({ audience: "https://another.test" }), false);
    assert.equal(await with_({ projectName: "another" }), false);
    assert.equal(await with_({ threadId: "t" }), false);
    assert.equal(await with_({ traceId: TRACE }), true);
    assert.equal(await with_({ traceId: PARENT }), false);
    assert.equal(await with_({ secret: { id: "a", secret: "another secret of thirty-two characters" } }), false);
  });

  test("a Worker with an invalid `trust` runs untraced", async () => {
    for (const trust of ["sometimes", "signed by none"]) {
      const { url } = await workerThatTrusts(trust);
      assert.equal((await fetch(url, { headers: HEADERS })).status, 500, "this handler needs its span");
    }
  });
});

describe("pages of other origins", () => {
  const ask = async (method: string, headers: Record<string, string>) => {
    const { url } = await workerThatTrusts("always");
    return fetch(url, { method, headers });
  };
  const preflight = { "access-control-request-method": "POST" };

  test("get CORS headers for exactly the methods and headers that they may send", async () => {
    for (const origin of ["https://app.test", "https://pr-7.preview.test"]) {
      const { status, headers } = await ask("OPTIONS", { origin, ...preflight });
      assert.equal(status, 204);
      assert.equal(headers.get("access-control-allow-origin"), origin);
      assert.equal(headers.get("access-control-allow-methods"), "POST");
      assert.equal(
        headers.get("access-control-allow-headers"),
        "content-type, x-mine, opik_trace_id, opik_parent_span_id, opik-trace-id, opik-parent-span-id, x-opik-trace-id, x-opik-parent-span-id, traceparent, tracestate, baggage, opik-token",
      );
      assert.equal(headers.get("access-control-allow-credentials"), null);
    }
    const { headers } = await ask("POST", { origin: "https://app.test" });
    assert.deepEqual([headers.get("access-control-allow-origin"), headers.get("vary")], ["https://app.test", "origin"]);
  });

  test("that are unknown get no CORS headers", async () => {
    for (const origin of ["https://evil.test", "https://evilapp.test", "null", "nonsense"]) {
      const { status, headers } = await ask("OPTIONS", { origin, ...preflight });
      assert.deepEqual([status, headers.get("access-control-allow-origin")], [403, null]);
      assert.equal((await ask("POST", { origin })).headers.get("access-control-allow-origin"), null);
    }
  });

  test("an OPTIONS without a preflight's headers goes to the handler", async () => {
    assert.equal((await ask("OPTIONS", { origin: "https://app.test" })).status, 200);
  });
});
