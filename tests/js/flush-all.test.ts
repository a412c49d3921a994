// In a process, `flush` without a client sends every client's rows and gives one report, which also counts open spans.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type FlushReport, flush, Opik, span } from "opik-edge";
import { withOpik as withWorker } from "opik-edge/cloudflare";
import { withOpik } from "opik-edge/server";
import { InMemoryExporter } from "opik-edge/testing";
import { client, codes, errors, exporter } from "../support/recording.js";

afterEach(() => flush());

test("every client is flushed, and one report covers all of them", async () => {
  const other = new InMemoryExporter();
  const one = client();
  const two = client({ transport: other });
  one.span({ name: "one" }).end();
  two.trace({ name: "two" }).end();
  two.score({ traceId: "01a20612-0b81-7cc1-922c-2da813a3fcfc", name: "n", value: 1 });
  const { sent, kept, requests, bytes, dropped, open, errors: failed } = await flush();
  assert.deepEqual([sent, kept, requests, dropped, open, failed], [4, 0, 4, {}, 0, []]);
  assert.ok(bytes > 0);
  assert.deepEqual([exporter.spans.length, other.traces.length, other.scores.length], [1, 1, 1]);
  const again = await flush();
  assert.deepEqual([again.sent, again.requests], [0, 0]);
  assert.deepEqual(codes(), []);
});

test("the report covers lost and kept rows of every client", async () => {
  const refusing = new InMemoryExporter();
  refusing.answer = () => new Response("no", { status: 400 });
  const failing = new InMemoryExporter();
  failing.answer = () => new Response("no", { status: 401 });
  const one = client();
  const two = client({ transport: refusing });
  one.span({}).end();
  two.span({}).end();
  const three = client({ transport: failing });
  three.score({ traceId: "01a20612-0b81-7cc1-922c-2da813a3fcfc", name: "n", value: 1 });
  const report = await flush();
  assert.deepEqual([report.sent, report.kept, report.dropped], [2, 1, { rejected: 2 }]);
  assert.equal(report.errors.length, 2);
  assert.deepEqual(codes(), ["delivery_failed", "delivery_failed"]);
  failing.answer = undefined;
  assert.equal((await flush()).sent, 1);
});

test("a server does the same, in a request and outside of it", async () => {
  let inside: FlushReport | undefined;
  const handler = withOpik(
    async (_request: Request) => {
      span({ name: "child" }).end();
      inside = await flush();
      return new Response();
    },
    { transport: exporter, background: false, onError: (error) => errors.push(error) },
  );
  const opik = client();
  opik.span({ name: "a client's" }).end();
  await handler(new Request("http://host.test/"));
  assert.deepEqual([inside?.sent, inside?.open], [3, 1]);
  const after = await flush();
  assert.deepEqual([after.sent, after.open], [2, 0]);
  assert.deepEqual(codes(), []);
});

test("in an invocation that ends, flush covers only that invocation", async () => {
  const opik = client();
  opik.span({ name: "a client's" }).end();
  let inside: FlushReport | undefined;
  const worker = withWorker(
    {
      fetch: async (_request: Request, _env: object, _ctx: object) => {
        span({ name: "child" }).end();
        inside = await flush();
        return new Response();
      },
    },
    { transport: exporter, onError: (error) => errors.push(error) },
  );
  const held: Promise<unknown>[] = [];
  await worker.fetch(
    new Request("http://host.test/"),
    {},
    { waitUntil: (promise: Promise<unknown>) => held.push(promise) },
  );
  assert.deepEqual([inside?.sent, inside?.open], [1, 1]);
  await Promise.all(held);
  assert.equal((await flush()).sent, 2);
});

test("flushing one client leaves the others alone", async () => {
  const one = client();
  const two = client();
  one.span({}).end();
  two.span({}).end();
  assert.equal((await one.flush()).sent, 2);
  assert.equal((await flush()).sent, 2);
});

test("open spans are counted, and are neither sent nor kept nor lost", async () => {
  const opik = client();
  const root = opik.span({ name: "root" });
  const child = root.span({ name: "child" });
  const trace = opik.trace({ name: "trace" });
  const counts = async () => {
    const { sent, kept, dropped, open } = await opik.flush();
    return { sent, kept, dropped, open };
  };
  assert.deepEqual(await counts(), { sent: 0, kept: 0, dropped: {}, open: 3 });
  child.end();
  assert.deepEqual(await counts(), { sent: 1, kept: 0, dropped: {}, open: 2 });
  root.end();
  root.end();
  trace.end();
  trace.end();
  assert.deepEqual(await counts(), { sent: 3, kept: 0, dropped: {}, open: 0 });
  const off = client({ disabled: true });
  off.span({});
  const unsampled = client({ sampleRate: 0 });
  unsampled.span({});
  assert.deepEqual([(await off.flush()).open, (await unsampled.flush()).open], [0, 0]);
});

test("a client without references is garbage-collected", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const opik = new WeakRef(new Opik({ transport: exporter, background: false }));
  await new Promise((resolve) => setTimeout(resolve));
  collect();
  assert.equal(opik.deref(), undefined);
  assert.equal((await flush()).sent, 0);
});
