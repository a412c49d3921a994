// Rows that Opik would refuse, and rows that are not what they seem. The relay reads each as `JSON.parse` does, and
// forwards what it has read, or nothing.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Opik } from "opik-edge";
import type { RelayConfig } from "opik-edge/relay";
import { type FakeClock, InMemoryExporter, useFakeClock } from "opik-edge/testing";
import { checkBatch, checkScores } from "../../viewer/src/server/validate.js";
import { LONG } from "../support/long.js";
import { generateBody } from "./relay-bodies.js";
import { idOf, NOW, post, relayTo, spanOf, traceOf, Upstream } from "./relay-support.js";
import { seeded } from "./seeded.js";

let clock: FakeClock;
before(() => {
  clock = useFakeClock(NOW);
  clock.freeze();
});
after(() => clock.restore());

/** The relay's answer to a body, and the rows that it forwards. */
async function send(body: string, config: Partial<RelayConfig> = {}) {
  const upstream = new Upstream();
  const answer = await relayTo(upstream, config)(post(body));
  const { code, message, now } = await answer.json();
  return { status: answer.status, code, message, now, forwarded: upstream.requests };
}

const FIELDS: Record<string, readonly unknown[]> = {
  start_time: [
    ...["x", "", "2026-06-01", "2026-06-01T12:00:00", "2026-06-01 12:00:00Z", "1 June 2026", "2026-06-01T12:00Z"],
    ...["2026-02-30T00:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-06-00T00:00:00Z"],
    ...["2026-06-01T24:00:00Z", "2026-06-01T12:60:00Z", "2026-06-01T23:59:60Z", "2026-06-01T12:00:00+25:00"],
    ...["2026-06-01T12:00:00.Z", "+002026-06-01T12:00:00Z", "-000001-01-01T00:00:00Z", "0000-01-01T00:00:00Z"],
    ...["9999-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-06-01T12:00:00Z ", "2026-06-01T12:00:00Z\n"],
    ...["2026-06-01T12:00:00.1234567890Z", "٢٠٢٦-06-01T12:00:00Z", 1780315200000, null, {}, [], true],
  ],
  end_time: ["x", "2026-02-29T00:00:00Z", 5, {}, ["2026-06-01T12:00:00Z"], false],
  last_updated_at: ["x", "-271821-04-20T00:00:00Z", 5, {}, []],
  name: [5, {}, [], true, { toString: null }],
  input: [5, 0, true, false, [1], ["a"], [null], [[]], [{}, "a"]],
  output: [5, true, [1], [[{}]]],
  metadata: [5, true, ["a"], [{}, null]],
  tags: [{}, "a", 5, true, [1], [null], [["a"]], [{}], ["a", "a"], { length: 1, 0: "a" }],
  error_info: [
    ...["x", 5, true, [], {}, { exception_type: "E" }, { traceback: "t" }, { exception_type: "", traceback: "t" }],
    ...[
      { exception_type: "E", traceback: "" },
      { exception_type: "E", traceback: 5 },
    ],
    { exception_type: "E", traceback: "t", message: 5 },
    { exception_type: "E", traceback: "t", message: null },
    { exception_type: { toString: null }, traceback: "t" },
  ],
  ttft: ["5", {}, true, [5]],
  type: ["", "agent", "LLM", 5, {}, ["llm"], "toString"],
  model: [5, {}, []],
  provider: [5, {}, []],
  parent_span_id: [5, {}, "x", "", "9b2d0f2e-3a38-4a37-9b5a-6a1a1c1f0f0f"],
  trace_id: [5, {}, "x", "", null],
  id: [5, {}, "x", "", null, { toString: null }],
  usage: [
    ...["5", 5, true, [], [1], { a: "5" }, { a: 1.5 }, { a: null }, { a: true }, { a: [1] }, { a: {} }],
    ...[{ a: 2 ** 31 }, { a: -(2 ** 31) - 1 }, { a: 1e300 }, { a: { valueOf: null, toString: null } }],
  ],
  total_estimated_cost: [-1, -0.01, "5", {}, true, [5]],
  project_name: ["theirs", "", " ", 5, 0, {}, [], ["pages"], true, { toString: null }, { toString: "x", valueOf: 5 }],
  thread_id: ["spans lack it"],
  workspace_name: ["theirs"],
  toString: ["x"],
  constructor: [{}],
  hasOwnProperty: [1],
};

describe("rows that Opik would refuse are refused, and nothing is forwarded", () => {
  for (const [field, values] of Object.entries(FIELDS)) {
    test(field, async () => {
      for (const value of values) {
        const { status, code, forwarded } = await send(
          JSON.stringify({ spans: [spanOf(NOW), spanOf(NOW, { [field]: value })] }),
        );
        assert.ok([403, 422].includes(status), `${JSON.stringify(value)}: ${status} ${code}`);
        assert.equal(forwarded.length, 0, JSON.stringify(value));
      }
    });
  }

  test("numbers that do not fit a double", async () => {
    for (const field of [
      '"ttft":1e400',
      '"total_estimated_cost":1e400',
      '"usage":{"a":1e400}',
      '"usage":{"a":-1e400}',
    ]) {
      const { status, forwarded } = await send(`{"spans":[${JSON.stringify(spanOf(NOW)).slice(0, -1)},${field}}]}`);
      assert.deepEqual([status, forwarded.length], [422, 0], field);
    }
    const score = `{"trace_scores":[{"id":"${idOf(NOW)}","name":"a","value":1e400}]}`;
    assert.equal((await send(score)).status, 422);
  });

  test("scores", async () => {
    const good = { id: idOf(NOW), name: "helpful", value: 1 };
    for (const wrong of [
      ...[{ id: {} }, { id: "x" }, { name: 5 }, { name: "" }, { name: {} }, { value: "1" }, { value: null }],
      ...[{ value: 1e9 + 1 }, { value: {} }, { reason: 5 }, { reason: {} }, { category_name: [] }, { author: "x" }],
      ...[{ project_name: { toString: null } }, { name: { toString: null } }, { id: { toString: null } }],
    ]) {
      const { status, forwarded } = await send(JSON.stringify({ trace_scores: [{ ...good, ...wrong }] }));
      assert.ok([403, 422].includes(status), `${JSON.stringify(wrong)}: ${status}`);
      assert.equal(forwarded.length, 0);
    }
  });

  test("scores of threads", async () => {
    const good = { thread_id: "t", name: "helpful", value: 1 };
    for (const wrong of [
      ...[undefined, null, "", 5, {}, ["t"], { toString: null }].map((thread_id) => ({ thread_id })),
      ...[{ id: idOf(NOW) }, { trace_id: idOf(NOW) }, { value: 2e9 }, { name: " " }, { project_name: "theirs" }],
    ]) {
      const body = JSON.stringify({ thread_scores: [{ ...good, ...wrong }] });
      const { status, forwarded } = await send(body, { threadScores: true });
      assert.ok([403, 422].includes(status), `${JSON.stringify(wrong)}: ${status}`);
      assert.equal(forwarded.length, 0);
    }
  });
});

describe("scores of threads", () => {
  const rows = [
    { thread_id: "t", name: "helpful", value: 0 },
    { thread_id: "t", name: "helpful", value: 1, reason: "r" },
    { thread_id: "u", name: "helpful", value: 1 },
  ];
  const body = JSON.stringify({ thread_scores: rows });

  test("are forwarded if the relay takes them, the last of each name", async () => {
    const { status, forwarded } = await send(body, { threadScores: true });
    assert.equal(status, 200);
    assert.deepEqual(
      forwarded.map((request) => [request.path, JSON.parse(request.body)]),
      [
        [
          "/api/v1/private/traces/threads/feedback-scores",
          { scores: rows.slice(1).map((row) => ({ ...row, project_name: "pages", source: "sdk" })) },
        ],
      ],
    );
  });

  test("are refused by any other relay", async () => {
    for (const config of [{}, { threadScores: false }, { threadScores: null as never }]) {
      const { status, code, message, forwarded } = await send(body, config);
      assert.deepEqual([status, code, forwarded.length], [422, "invalid", 0]);
      assert.match(message, /`threadScores` of this relay is off/);
    }
    for (const threadScores of ["true", 1, {}]) {
      assert.throws(
        () => relayTo(new Upstream(), { threadScores: threadScores as never }),
        /threadScores: expected a boolean/,
      );
    }
  });
});

test("rows that Opik accepts are forwarded", async () => {
  const times = [
    "2026-06-01T12:00:00Z",
    "2024-02-29T00:00:00.123456789Z",
    "2026-06-01T12:00:00.5+05:30",
    "1970-01-01T00:00:00Z",
  ];
  const rows = [
    ...times.map((time) => ({ start_time: time, end_time: time, last_updated_at: time })),
    ...["", "text", {}, { a: [1, null] }, [], [{}, { a: 1 }], null].map((json) => ({
      input: json,
      output: json,
      metadata: json,
    })),
    ...["general", "tool", "llm", "guardrail", null].map((type) => ({ type })),
    ...[[], ["a"], ["a", "A"], null].map((tags) => ({ tags })),
    ...[{}, { a: 0, b: 2 ** 31 - 1, c: -(2 ** 31) }, null].map((usage) => ({ usage })),
    ...[0, 0.5, 1e20, null].map((cost) => ({ total_estimated_cost: cost, ttft: cost })),
    ...[
      { exception_type: "E", traceback: "t" },
      { exception_type: "E", traceback: "t", message: "" },
    ].map((error_info) => ({ error_info })),
    { project_name: null },
    { project_name: "PAGES", environment: { toString: null }, source: 5 },
  ];
  const spans = rows.map((row) => spanOf(NOW, row));
  const { status, message, forwarded } = await send(JSON.stringify({ spans }));
  assert.equal(status, 200, message);
  const [request] = forwarded;
  assert.equal(checkBatch("spans", JSON.parse(request!.body), NOW).length, rows.length);
});

test("rows that this package writes are forwarded", async () => {
  const exporter = new InMemoryExporter();
  const opik = new Opik({
    url: "http://opik.test/api",
    projectName: "pages",
    transport: exporter,
    background: false,
    onError: () => {},
  });
  const values: unknown[] = [
    ...[
      undefined,
      null,
      0,
      1.5,
      Number.NaN,
      true,
      "",
      "text",
      "x".repeat(100_000),
      [],
      [1],
      ["a", null],
      [{}],
      [[1]],
      {},
    ],
    ...[{ a: undefined }, new Date(NOW), new Map([["a", 1]]), new Set([1]), new Error("no"), 10n, Symbol("a"), () => 1],
    ...[
      new Uint8Array(9),
      new URL("https://a.test/?b"),
      Object.create(null),
      new Date(Number.NaN),
      { toJSON: () => 5 },
    ],
  ];
  const thrown = [
    new Error("no"),
    new Error(""),
    "text",
    "",
    undefined,
    null,
    5,
    {},
    Object.assign(new Error(), { stack: "" }),
  ];
  for (const value of values) {
    const span = opik.span({
      name: value as string,
      input: value as object,
      output: value as object,
      metadata: value as Record<string, unknown>,
    });
    span.update({ tags: value as string[], usage: value as object, model: value as string, provider: value as string });
    span.update({
      usage: { a: value as number },
      totalEstimatedCost: value as number,
      ttft: value as number,
      type: value as "llm",
      tags: [value as string],
    });
    span.trace.update({ threadId: value as string, tags: ["a", "a", value as string] });
    span.end();
  }
  for (const error of thrown) {
    try {
      opik.span({ name: "throws" }, () => {
        throw error;
      });
    } catch {
      // The row has been recorded.
    }
  }
  await opik.flush();
  assert.equal(exporter.spans.length, values.length + thrown.length);
  for (const rows of [{ spans: exporter.spans }, { traces: exporter.traces }]) {
    const { status, message } = await send(JSON.stringify(rows));
    assert.equal(status, 200, message);
  }
});

test("every body is read as JSON.parse reads it, or refused", async (t) => {
  const random = seeded(16);
  const upstream = new Upstream();
  const handle = relayTo(upstream, { threadScores: true });
  const seen: Record<string, number> = {};
  for (let n = 0; n < (LONG ? 1_000_000 : 20_000); n += 1) {
    // The body as it arrives: UTF-8 replaces lone surrogates, and decoding removes a byte order mark.
    const text = new TextDecoder().decode(new TextEncoder().encode(generateBody(random)));
    const answer = await handle(post(text));
    const { code = "ok", now } = await answer.json();
    seen[code] = (seen[code] ?? 0) + 1;
    assert.equal(now, NOW);
    const forwarded = upstream.requests.splice(0);
    assert.equal(forwarded.length, code === "ok" ? 1 : 0, text);
    try {
      if (code === "ok") checkForwarded(text, JSON.parse(forwarded[0]!.body));
      else checkRefused(text, code);
    } catch (error) {
      throw new Error(`input ${n}, ${code}: ${text}`, { cause: error });
    }
  }
  t.diagnostic(JSON.stringify(seen));
  for (const code of ["ok", "malformed", "invalid", "foreign_project", "invalid_id", "clock_skew"]) {
    assert.ok(seen[code]! > 100, `${code}: ${seen[code]}`);
  }
  assert.deepEqual(
    Object.keys(seen).filter((code) => ["unavailable", "rejected"].includes(code)),
    [],
  );
});

type Rows = Record<string, unknown>[];

/** Checks that the forwarded rows equal the sent rows, except for the relay's stamps, and that Opik accepts them. */
function checkForwarded(text: string, forwarded: Record<string, Rows>): void {
  // Through `JSON.stringify`, a number that is too large for a double becomes null.
  const { token: _, ...sent } = JSON.parse(JSON.stringify(JSON.parse(text))) as Record<string, Rows>;
  const [kind, rows] = Object.entries(sent)[0]!;
  const isOfScores = kind.endsWith("scores");
  const written = forwarded[isOfScores ? "scores" : kind]!;
  if (isOfScores) checkScores(kind === "thread_scores" ? "threads" : "traces", forwarded, NOW);
  else checkBatch(kind as "spans", forwarded, NOW);
  const expected = isOfScores ? lastOfEach(rows!) : rows!;
  assert.equal(written.length, expected.length);
  for (const [index, row] of written.entries()) {
    const { project_name, environment, source, last_updated_at, ...own } = row;
    const { project_name: _1, environment: _2, source: _3, last_updated_at: _4, ...given } = expected[index]!;
    assert.deepEqual(own, given);
    assert.deepEqual([project_name, environment, source], ["pages", undefined, "sdk"]);
    if (!isOfScores) assert.ok(Date.parse(last_updated_at as string) <= NOW, `${last_updated_at}`);
  }
}

function lastOfEach(rows: Rows): Rows {
  const last = new Map<string, Rows[number]>();
  for (const row of rows) {
    const key = JSON.stringify([row["thread_id"] ?? row["id"], row["name"]]);
    last.delete(key);
    last.set(key, row);
  }
  return [...last.values()];
}

/** Checks that exactly the bodies that are not JSON, or nested too deep, are `malformed`. */
function checkRefused(text: string, code: string): void {
  let isJson = true;
  try {
    JSON.parse(text);
  } catch {
    isJson = false;
  }
  assert.equal(code === "malformed", !isJson || depthOf(text) > 64);
}

/** The nesting depth of a JSON text, including members that are written twice. */
function depthOf(json: string): number {
  let depth = 0;
  const depths = [...json.replace(/"(?:[^"\\]|\\.)*"/g, "")].map((char) => {
    if ("[{".includes(char)) depth += 1;
    if ("]}".includes(char)) depth -= 1;
    return depth;
  });
  return Math.max(...depths);
}

test("a batch that Opik refuses is split a few times, and the rest is left to the page", async () => {
  for (const [status, code] of [
    [400, "rejected"],
    [422, "rejected"],
    [413, "too_large"],
  ] as const) {
    const upstream = new Upstream();
    upstream.status = status;
    const answer = await relayTo(upstream)(
      post(JSON.stringify({ traces: Array.from({ length: 1000 }, () => traceOf(NOW)) })),
    );
    assert.equal((await answer.json()).code, code);
    assert.ok(upstream.requests.length < 10, `${upstream.requests.length} requests`);
  }
});
