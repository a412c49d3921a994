// Feedback scores: which are kept, and how they are sent.

import assert from "node:assert/strict";
import { test } from "node:test";
import { score, span } from "opik-edge";
import { deliverQueue, withOpik } from "opik-edge/cloudflare";
import { useFakeClock } from "opik-edge/testing";
import { client, errors, exporter } from "../support/recording.js";

const ID = "01a20612-0b81-7cc1-922c-2da813a3fcfc";

test("traces, spans, and anything else with an id are scored, each kind in one request", async () => {
  const opik = client({ projectName: "feedback" });
  const [trace, span] = opik.span({ name: "chat" }, (chat) => {
    chat.score({ name: "fast", value: 0.5, categoryName: "middling" });
    return [chat.trace, chat] as const;
  });
  trace.score({ name: "helpful", value: 1, reason: "said so" });
  opik.score({ traceId: ID, name: "helpful", value: -1 });
  opik.score({ spanId: ID, name: "helpful", value: 0 });
  const { sent, requests } = await opik.flush();
  assert.deepEqual([sent, requests], [6, 4], "a trace, a span, two scores of traces, two of spans");
  const common = { source: "sdk", project_name: "feedback" };
  assert.deepEqual(exporter.scores, [
    { entity: "trace", id: trace.id, name: "helpful", value: 1, reason: "said so", ...common },
    { entity: "trace", id: ID, name: "helpful", value: -1, ...common },
    { entity: "span", id: span.id, name: "fast", value: 0.5, category_name: "middling", ...common },
    { entity: "span", id: ID, name: "helpful", value: 0, ...common },
  ]);
  const toScores = exporter.requests.filter(({ body }) => body.scores);
  assert.deepEqual(
    toScores.map(({ url }) => url.replace(/.*private/, "")),
    ["/traces/feedback-scores", "/spans/feedback-scores"],
  );
});

test("a thread is scored under the name that its traces have, also where that is masked", async () => {
  const opik = client({ projectName: "feedback", redact: { patterns: [/\d{4}/] } });
  opik.span({ name: "chat", threadId: "user 1234" }, () => {});
  opik.score({ threadId: "user 1234", name: "resolved", value: 1 });
  opik.score({ threadId: "user 1234", name: "resolved", value: 0, reason: "asked again" });
  opik.score({ threadId: "other", name: "resolved", value: 1 });
  await opik.flush();
  const common = { entity: "thread", name: "resolved", source: "sdk", project_name: "feedback" };
  assert.deepEqual(exporter.scores, [
    { thread_id: "user [redacted]", value: 0, reason: "asked again", ...common },
    { thread_id: "other", value: 1, ...common },
  ]);
  assert.equal(exporter.traces[0]?.["thread_id"], "user [redacted]");
  const { method, url } = exporter.requests.at(-1)!;
  assert.deepEqual([method, url.replace(/.*private/, "")], ["PUT", "/traces/threads/feedback-scores"]);
});

test("of several ids a score is the span's, else the trace's, else the thread's", async () => {
  const opik = client();
  const score = { name: "helpful", value: 1, threadId: "t" };
  opik.score({ ...score, spanId: ID, traceId: ID });
  opik.score({ ...score, spanId: undefined, traceId: ID });
  opik.score({ ...score, spanId: null, traceId: null } as never);
  await opik.flush();
  assert.deepEqual(exporter.scores.map(({ entity }) => entity).sort(), ["span", "thread", "trace"]);
});

test("of waiting scores with one name only the last is sent", async () => {
  const opik = client();
  for (const value of [1, 0, 0.5]) opik.score({ traceId: ID, name: "helpful", value });
  opik.score({ traceId: ID, name: "fast", value: 1 });
  assert.equal((await opik.flush()).sent, 2);
  assert.deepEqual(
    exporter.scores.map(({ name, value }) => [name, value]),
    [
      ["helpful", 0.5],
      ["fast", 1],
    ],
  );
});

test("a score that the API would refuse is refused here, with a reason", async () => {
  const score = { traceId: ID, name: "n", value: 1 };
  const wrong: [unknown, RegExp][] = [
    [{ ...score, name: " " }, /name: expected/],
    [{ ...score, value: "1" }, /value: expected/],
    [{ ...score, value: Number.NaN }, /value: expected/],
    [{ ...score, value: 1e9 + 1 }, /value: expected/],
    [{ ...score, reason: 7 }, /reason: expected/],
    [{ ...score, traceId: "trace" }, /id: expected a UUIDv7/],
    [{ ...score, traceId: undefined }, /id: expected a UUIDv7/],
    [{ ...score, traceId: [ID] }, /id: expected a UUIDv7/],
    [{ ...score, traceId: Symbol("id") }, /id: expected a UUIDv7/],
    ...["", " ", 7, {}].map((threadId): [unknown, RegExp] => [
      { name: "n", value: 1, threadId },
      /threadId: expected a string that is not blank/,
    ]),
    [null, /it cannot be read/],
    [
      {
        ...score,
        get name() {
          throw new Error("no name");
        },
      },
      /it cannot be read: Error: no name/,
    ],
  ];
  for (const [given, message] of wrong) {
    errors.length = 0;
    const opik = client();
    opik.score(given as never);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ["invalid_score"],
    );
    assert.match(errors[0]!.message, message);
    assert.equal((await opik.flush()).requests, 0);
  }
  const opik = client();
  for (const value of [-1e9, 1e9, 0]) opik.score({ ...score, value, name: `${value}` });
  assert.equal((await opik.flush()).sent, 3);
});

test("scores of rows that are not recorded are dropped silently", async () => {
  for (const config of [{ disabled: true }, { sampleRate: 0 }]) {
    const opik = client(config);
    const trace = opik.trace();
    trace.score({ name: "n", value: 1 });
    trace.span().score({ name: "n", value: 1 });
    opik.score({ traceId: trace.id, name: "n", value: 1 });
    assert.equal((await opik.flush()).requests, 0);
  }
  assert.deepEqual(errors, []);
});

test("a reason is redacted, then cut between characters", async () => {
  const opik = client({ redact: { patterns: [/secret/], keys: ["categoryName"] } });
  const long = "\u{1f600}".repeat(6000);
  opik.score({ traceId: ID, name: "a", value: 1, reason: "the secret", categoryName: "hidden" });
  opik.score({ traceId: ID, name: "b", value: 1, reason: long });
  await opik.flush();
  const [a, b] = exporter.scores as unknown as [Record<string, string>, Record<string, string>];
  assert.deepEqual([a["reason"], a["category_name"]], ["the [redacted]", "[redacted]"]);
  assert.ok(b["reason"]!.length <= 10_000);
  assert.match(b["reason"]!, /^(\u{1f600})+… \[opik_truncated: 24000 bytes\]$/u);
  const failing = client({
    redact: {
      replace() {
        throw new Error("no");
      },
    },
  });
  failing.score({ traceId: ID, name: "c", value: 1, reason: "the secret" });
  await failing.flush();
  assert.equal(exporter.scores.at(-1)!["reason"], "[redacted]");
});

test("more scores than a request takes are counted and not kept", async () => {
  const opik = client();
  for (let n = 0; n < 1010; n += 1) opik.score({ traceId: ID, name: `${n}`, value: n });
  const { sent, dropped } = await opik.flush();
  assert.deepEqual([sent, dropped], [1000, { buffer_full: 10 }]);
  assert.equal(exporter.scores[0]!.value, 10, "the oldest went");
});

test("a score that a backend refuses goes alone", async () => {
  const opik = client();
  exporter.answer = ({ body }) =>
    body.scores?.some(({ name }) => name === "bad") ? new Response(null, { status: 422 }) : undefined;
  for (const name of ["a", "bad", "b", "c"]) opik.score({ traceId: ID, name, value: 1 });
  const { sent, dropped } = await opik.flush();
  assert.deepEqual([sent, dropped], [3, { rejected: 1 }]);
});

test("a span's id of null, as in JSON, counts as missing", async () => {
  const opik = client();
  opik.score({ ...JSON.parse(`{"traceId":"${ID}","spanId":null}`), name: "n", value: 1 });
  await opik.flush();
  assert.equal(exporter.scores[0]!.entity, "trace");
});

test("requests with scores respect the size limit of a transport", async () => {
  const sizes: number[] = [];
  const transport = {
    maxBodyBytes: 40_000,
    async fetch(_url: string, { body }: { body: Uint8Array }) {
      sizes.push(body.byteLength);
      return new Response(null, { status: body.byteLength > 40_000 ? 413 : 204 });
    },
  };
  const opik = client({ transport });
  for (let n = 0; n < 30; n += 1) opik.score({ traceId: ID, name: `${n}`, value: 1, reason: "語".repeat(3000) });
  assert.equal((await opik.flush()).sent, 30);
  assert.ok(sizes.length === 8 && sizes.every((size) => size <= 40_000), `${sizes}`);
});

test("a retried earlier score does not arrive after a later one", async () => {
  const clock = useFakeClock();
  clock.freeze();
  const values: unknown[] = [];
  let isDown = true;
  exporter.answer = ({ body }) => {
    if (isDown) return new Response(null, { status: 503 });
    values.push(...(body.scores ?? []).map(({ value }) => value));
    return undefined;
  };
  const opik = client({ background: true });
  try {
    opik.score({ traceId: ID, name: "helpful", value: 1 });
    await clock.advance(2000);
    assert.equal(exporter.requests.length, 1, "and waits for its next attempt");
    opik.score({ traceId: ID, name: "helpful", value: 0 });
    isDown = false;
    const flushing = opik.flush();
    await clock.advance(60_000);
    await flushing;
    assert.deepEqual(values, [1, 0]);
  } finally {
    clock.restore();
  }
});

test("a backend without scores still accepts spans", async () => {
  const drops: unknown[] = [];
  const opik = client({ onDrop: (drop) => drops.push(drop) });
  exporter.answer = ({ body }) => (body.scores ? new Response(null, { status: 405 }) : undefined);
  opik.score({ traceId: ID, name: "n", value: 1 });
  assert.deepEqual((await opik.flush()).dropped, { not_found: 1 });
  opik.trace().end();
  assert.equal((await opik.flush()).sent, 1);
  assert.deepEqual(drops, [{ reason: "not_found", rows: 1 }]);
});

test("a Worker that samples nothing still scores, and follows its settings", async () => {
  const held: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => held.push(promise) };
  const parent = { opik_trace_id: ID, opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650" };
  const routes: Record<string, () => void> = {
    "/nothing": () => {},
    "/score": () => score({ traceId: ID, name: "n", value: 1 }),
    "/follow": () => span({ name: "followed", parent }).end(),
  };
  const { fetch } = withOpik(
    {
      async fetch(request: Request, _env: object, _ctx: typeof ctx) {
        routes[new URL(request.url).pathname]!();
        return new Response("ok");
      },
    },
    () => ({ sampleRate: 0, transport: exporter }),
  );
  for (const path of Object.keys(routes)) {
    await (await fetch(new Request(`http://worker.test${path}`), {}, ctx)).text();
    if (path === "/nothing") assert.equal(held.length, 0, "nothing is held where there is nothing to deliver");
  }
  await Promise.all(held);
  assert.deepEqual([exporter.scores.length, exporter.spans.map(({ name }) => name)], [1, ["followed"]]);
});

test("a queue's consumer delivers many scores of one trace in one request", async () => {
  const messages = Array.from({ length: 60 }, (_, n) => ({
    body: JSON.stringify({ trace_scores: [{ id: ID, name: `${n}`, value: n, source: "sdk" }] }),
    ack() {},
    retry() {
      assert.fail("all of them are delivered");
    },
  }));
  const { sent, requests } = await deliverQueue({ messages }, { transport: exporter });
  assert.deepEqual([sent, requests], [60, 1]);
});
