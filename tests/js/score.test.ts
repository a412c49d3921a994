// Feedback scores: what is kept of them, and how they leave.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Opik, type OpikConfig, type OpikError } from "opik-edge";
import { InMemoryExporter } from "opik-edge/testing";

let exporter: InMemoryExporter;
let errors: OpikError[];
beforeEach(() => {
  exporter = new InMemoryExporter();
  errors = [];
});
const client = (config: OpikConfig = {}): Opik =>
  new Opik({ transport: exporter, background: false, onError: (error) => errors.push(error), ...config });
const ID = "01a20612-0b81-7cc1-922c-2da813a3fcfc";

test("a trace, a span, and whatever an id names are scored, each kind in one request", async () => {
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
    { id: trace.id, name: "helpful", value: 1, reason: "said so", ...common },
    { id: ID, name: "helpful", value: 0, ...common },
    { id: span.id, name: "fast", value: 0.5, category_name: "middling", ...common },
  ]);
  const toScores = exporter.requests.filter(({ body }) => body.scores);
  assert.deepEqual(
    toScores.map(({ url }) => url.replace(/.*private/, "")),
    ["/traces/feedback-scores", "/spans/feedback-scores"],
  );
});

test("of those with one name that wait the last one is sent", async () => {
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

test("what the API would refuse is refused here, and says why", async () => {
  const score = { traceId: ID, name: "n", value: 1 };
  const wrong: [unknown, RegExp][] = [
    [{ ...score, name: " " }, /name: expected/],
    [{ ...score, value: "1" }, /value: expected/],
    [{ ...score, value: Number.NaN }, /value: expected/],
    [{ ...score, value: 1e9 + 1 }, /value: expected/],
    [{ ...score, reason: 7 }, /reason: expected/],
    [{ ...score, traceId: "trace" }, /id: expected a UUIDv7/],
    [{ ...score, traceId: undefined }, /id: expected a UUIDv7/],
    [null, /id: expected a UUIDv7/],
  ];
  for (const [given, message] of wrong) {
    errors = [];
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

test("what is not recorded is not scored, without a word", async () => {
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

test("more than a request takes is not kept, and counted", async () => {
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
