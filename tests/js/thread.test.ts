// The conversation of a trace, set by the span that begins it, or by its client.

import assert from "node:assert/strict";
import { test } from "node:test";
import { getTrackContext } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { client, codes, errors, exporter } from "../support/recording.js";

const HEADERS = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

/** The threads of the traces, by name. */
function threads(): Record<string, unknown> {
  return Object.fromEntries(exporter.traces.map(({ name, thread_id }) => [name, thread_id]));
}

test("a span names the thread of its trace", async () => {
  const opik = client();
  opik.span({ name: "root", threadId: "a" }).end();
  opik.span({ name: "outer" }, (outer) => outer.span({ name: "inner", threadId: "b" }).end());
  const trace = opik.trace({ name: "trace", threadId: "before" });
  trace.span({ name: "span", threadId: "c" }).end();
  trace.end();
  opik.span({ name: "none" }).end();
  await opik.flush();
  assert.deepEqual(threads(), { root: "a", outer: "b", trace: "c", none: undefined });
  assert.ok(exporter.spans.every((span) => !("thread_id" in span)));
  assert.deepEqual(codes(), []);
});

test("a caller's trace keeps the caller's thread", async () => {
  const opik = client({ threadId: "of the client" });
  opik.span({ name: "joined", parent: HEADERS }).end();
  assert.deepEqual(codes(), []);
  opik.span({ name: "joined", parent: HEADERS, threadId: "mine" }).end();
  await opik.flush();
  assert.deepEqual([codes(), exporter.traces], [["joined_trace"], []]);
});

test("a client has a thread for the traces that begin in it", async () => {
  let turn = 0;
  for (const [threadId, expected] of [
    ["always", ["always", "always"]],
    [() => `turn ${++turn}`, ["turn 1", "turn 2"]],
    [() => undefined, [undefined, undefined]],
  ] as const) {
    const opik = client({ threadId });
    opik.span({ name: "span" }).end();
    opik.trace({ name: "trace" }).end();
    opik.span({ name: "its own", threadId: "own" }).end();
    opik.trace({ name: "its own too", threadId: "own" }).end();
    opik.span({ name: "set later" }, () => getTrackContext()?.trace.update({ threadId: "later" }));
    await opik.flush();
    const [span, trace] = expected;
    const { span: first, trace: second, ...rest } = threads();
    assert.deepEqual([first, second], [span, trace]);
    assert.deepEqual(rest, { "its own": "own", "its own too": "own", "set later": "later" });
    exporter.clear();
    turn = 0;
  }
  assert.deepEqual(codes(), []);
});

test("a Worker's settings set it for each request", async () => {
  const handler = withOpik(
    { fetch: async (_request: Request, _env: object, _ctx: object) => new Response() },
    (_env, trigger) => ({
      transport: exporter,
      threadId: trigger.type === "fetch" ? (trigger.request.headers.get("x-session") ?? undefined) : undefined,
      onError: (error) => errors.push(error),
    }),
  );
  const env = {};
  for (const session of ["a", "b"]) {
    const held: Promise<unknown>[] = [];
    const request = new Request(`http://host.test/${session}`, { headers: { "x-session": session } });
    await handler.fetch(request, env, { waitUntil: (promise: Promise<unknown>) => held.push(promise) });
    await Promise.all(held);
  }
  assert.deepEqual([threads(), codes()], [{ "GET /a": "a", "GET /b": "b" }, []]);
});

test("a thread that cannot be read is reported, and an invalid thread is refused", async () => {
  const opik = client({
    threadId: () => {
      throw new Error("no");
    },
  });
  opik.span({ name: "recorded all the same" }).end();
  await opik.flush();
  assert.deepEqual([threads(), codes()], [{ "recorded all the same": undefined }, ["unserializable"]]);
  for (const threadId of [1, {}, true] as never[]) {
    assert.throws(() => client({ threadId }), /threadId: expected a string or a function, got /);
  }
});
