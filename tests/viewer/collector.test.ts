// The collector refuses what Opik refuses, and keeps what Opik keeps.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Opik } from "opik-edge";
import { v7 as uuid7 } from "uuid";
import type { RefusalEntry } from "../../viewer/src/api.js";
import { Store } from "../../viewer/src/server/store.js";
import { treeOf } from "../../viewer/src/server/tree.js";
import { type Collector, startCollector } from "../support/collector.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
});
after(() => collector.close());

const START = "2026-01-01T00:00:00.000Z";
const DAY_MS = 24 * 60 * 60 * 1000;

function span(fields: object = {}) {
  return { id: uuid7(), trace_id: uuid7(), type: "general", start_time: START, ...fields };
}

function send(method: string, path: string, body: unknown, headers: Record<string, string> = {}) {
  const payload = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  return fetch(`${collector.url}/v1/private/${path}`, { method, body: payload as BodyInit, headers });
}

const sendSpans = (...spans: object[]) => send("POST", "spans/batch", { spans });

describe("a batch is refused whole", () => {
  const refusals: [string, number, () => object][] = [
    ["an id of version 4", 400, () => ({ id: "9b2fa2ba-3b0f-4c83-9d52-0fa1d2a6a0d1" })],
    ["a trace id of version 4", 400, () => ({ trace_id: "9b2fa2ba-3b0f-4c83-9d52-0fa1d2a6a0d1" })],
    ["a parent id that is no UUID", 400, () => ({ parent_span_id: "parent" })],
    ["no id", 400, () => ({ id: undefined })],
    ["an id from more than a day ago", 400, () => ({ id: uuid7({ msecs: Date.now() - 2 * DAY_MS }) })],
    ["an id from the future", 400, () => ({ id: uuid7({ msecs: Date.now() + 2 * DAY_MS }) })],
    ["a trace from the future", 400, () => ({ trace_id: uuid7({ msecs: Date.now() + 2 * DAY_MS }) })],
    ["no start_time", 422, () => ({ start_time: undefined })],
    ["a start_time that is no time", 422, () => ({ start_time: "yesterday" })],
    ["an unknown type", 422, () => ({ type: "agent" })],
    ["an unknown source", 422, () => ({ source: "edge" })],
    ["usage that is no integer", 422, () => ({ usage: { a: 1.5 } })],
    ["usage beyond int32", 422, () => ({ usage: { a: 2 ** 31 } })],
    ["an empty traceback", 422, () => ({ error_info: { exception_type: "E", traceback: "" } })],
    ["an empty exception type", 422, () => ({ error_info: { exception_type: "", traceback: "t" } })],
    ["input that is an array of numbers", 422, () => ({ input: [1] })],
    ["a negative cost", 422, () => ({ total_estimated_cost: -1 })],
    ["a tag twice", 422, () => ({ tags: ["a", "a"] })],
    ["a blank project", 422, () => ({ project_name: " " })],
    ["an environment of 151 characters", 422, () => ({ environment: "x".repeat(151) })],
  ];
  for (const [what, status, fields] of refusals) {
    test(`for ${what}`, async () => {
      const good = span();
      const response = await sendSpans(good, span(fields()));
      assert.equal(response.status, status);
      assert.equal(((await response.json()) as { code: number }).code, status);
      assert.ok(!collector.spans().some(({ id }) => id === good.id), "the good row neither");
    });
  }

  test("for an id twice", async () => {
    const twice = span();
    assert.equal((await sendSpans(twice, twice)).status, 422);
  });

  test("for no rows, for more than a thousand, and for no JSON", async () => {
    assert.equal((await sendSpans()).status, 422);
    assert.equal((await sendSpans(...Array.from({ length: 1001 }, () => span()))).status, 422);
    assert.equal((await send("POST", "spans/batch", "{")).status, 400);
  });
});

test("a batch of scores is refused whole too", async () => {
  const good = { id: uuid7(), name: "helpful", value: 1, source: "sdk" };
  const refusals: [number, object][] = [
    [400, { id: "9b2fa2ba-3b0f-4c83-9d52-0fa1d2a6a0d1" }],
    [400, { id: uuid7({ msecs: Date.now() + 2 * DAY_MS }) }],
    [422, { name: "" }],
    [422, { name: undefined }],
    [422, { value: "1" }],
    [422, { value: 1e9 + 1 }],
    [422, { source: undefined }],
    [422, { source: "page" }],
  ];
  for (const [status, fields] of refusals) {
    const scores = [good, { ...good, ...fields }];
    assert.equal((await send("PUT", "traces/feedback-scores", { scores })).status, status, JSON.stringify(fields));
  }
  assert.equal((await send("PUT", "traces/feedback-scores", { scores: [] })).status, 422);
  assert.deepEqual(collector.scores(), []);
  const ofLastYear = { ...good, id: uuid7({ msecs: Date.now() - 365 * DAY_MS }) };
  assert.equal((await send("PUT", "spans/feedback-scores", { scores: [good, ofLastYear] })).status, 204);
  assert.equal(collector.scores().length, 2);
  const ofThread = { thread_id: "t", name: "resolved", value: 1, source: "sdk" };
  for (const fields of [
    { thread_id: undefined },
    { thread_id: "" },
    { thread_id: 5 },
    { value: "1" },
    { source: "page" },
  ]) {
    const scores = [ofThread, { ...ofThread, ...fields }];
    assert.equal((await send("PUT", "traces/threads/feedback-scores", { scores })).status, 422, JSON.stringify(fields));
  }
  assert.equal((await send("PUT", "traces/threads/feedback-scores", { scores: [ofThread] })).status, 204);
  assert.equal(collector.scores().length, 3);
});

test("a base URL without /api fails as at Opik, whose page is there, and the refusal has the fix", async () => {
  const collector = await startCollector();
  try {
    const root = collector.url.replace(/\/api$/, "");
    const body = JSON.stringify({ spans: [] });
    for (const method of ["POST", "PUT", "PATCH"]) {
      const answer = await fetch(`${root}/v1/private/spans/batch`, { method, body });
      assert.deepEqual([answer.status, answer.headers.get("content-type")], [405, "text/html; charset=utf-8"]);
    }
    const ping = await fetch(`${root}/is-alive/ping`);
    assert.match(
      `${ping.status} ${ping.headers.get("content-type")} ${await ping.text()}`,
      /^200 text\/html.*<!doctype/is,
    );
    const errors: string[] = [];
    const opik = new Opik({ url: root, background: false, onError: ({ message }) => errors.push(message) });
    opik.trace().end();
    assert.equal((await opik.flush()).sent, 0);
    assert.match(errors.join(), /this is not Opik's API: got text\/html/);
    const { refusals } = (await (await fetch(`${collector.url}/viewer/refusals`)).json()) as {
      refusals: RefusalEntry[];
    };
    assert.equal(refusals.length, 4);
    for (const { fix } of refusals) assert.match(fix!, /with \/api behind it/);
  } finally {
    await collector.close();
  }
});

test("projects are listed, beginning with the newest trace", async () => {
  const collector = await startCollector();
  try {
    const projects = async () =>
      (await (await fetch(`${collector.url}/v1/private/projects?page=1&size=1`)).json()) as { content: object[] };
    assert.deepEqual((await projects()).content, []);
    for (const project_name of ["old", "new"]) {
      collector.store.replace("traces", [{ id: uuid7(), project_name, start_time: new Date().toISOString() }]);
    }
    const link = `${collector.url.replace(/api$/, "")}default/projects/01900000-0000-7000-8000-000000000000/`;
    const { status, headers } = await fetch(link, { redirect: "manual" });
    assert.deepEqual([status, headers.get("location")], [302, "/"], "a link to a project leads to the page");
    const names = (await projects()).content.map((project) => (project as { name: string }).name);
    assert.deepEqual(names, ["new", "old"]);
  } finally {
    await collector.close();
  }
});

describe("the kept rows", () => {
  let row: ReturnType<typeof span>;
  beforeEach(() => {
    row = span({ name: "first", last_updated_at: "2026-01-01T00:00:01Z" });
  });
  const stored = () => collector.spans().find(({ id }) => id === row.id)!;

  test("a gzipped batch, and a thousand rows", async () => {
    const gzipped = gzipSync(JSON.stringify({ spans: [row] }));
    assert.equal((await send("POST", "spans/batch", gzipped, { "content-encoding": "gzip" })).status, 204);
    assert.equal(stored()["name"], "first");
    assert.equal((await sendSpans(...Array.from({ length: 1000 }, () => span()))).status, 204);
  });

  test("the newest row, whole", async () => {
    await sendSpans({ ...row, input: { a: 1 } });
    await sendSpans({ ...row, name: "older", last_updated_at: "2026-01-01T00:00:00Z" });
    assert.equal(stored()["name"], "first");
    await sendSpans({ ...row, name: "newer", last_updated_at: "2026-01-01T00:00:02Z" });
    assert.equal(stored()["name"], "newer");
    assert.equal(stored()["input"], undefined, "nothing is merged");
  });

  test("a PATCH merges, and a PATCH that moves the span is refused", async () => {
    await sendSpans(row);
    const patch = { trace_id: row.trace_id, output: { o: 1 } };
    assert.equal((await send("PATCH", `spans/${row.id}`, patch)).status, 204);
    assert.deepEqual([stored()["name"], stored()["output"]], ["first", { o: 1 }]);
    assert.equal((await send("PATCH", `spans/${row.id}`, { trace_id: uuid7() })).status, 409);
  });

  test("a trace once: a second POST of it is refused", async () => {
    const trace = { id: uuid7(), start_time: START };
    assert.equal((await send("POST", "traces", trace)).status, 201);
    assert.equal((await send("POST", "traces", trace)).status, 409);
    assert.equal((await send("POST", "spans", row)).status, 201);
    assert.equal((await send("POST", "spans", { ...row, name: "again" })).status, 201);
    assert.equal(stored()["name"], "first");
  });

  test("rows in a file outlive the collector", async () => {
    const folder = await mkdtemp(join(tmpdir(), "collector-"));
    const file = join(folder, "rows.db");
    const first = await startCollector({ file });
    await fetch(`${first.url}/v1/private/spans/batch`, { method: "POST", body: JSON.stringify({ spans: [row] }) });
    const scores = [{ id: row.trace_id, name: "helpful", value: 1, source: "sdk" }];
    await fetch(`${first.url}/v1/private/traces/feedback-scores`, { method: "PUT", body: JSON.stringify({ scores }) });
    await first.close();
    const second = await startCollector({ file });
    assert.deepEqual(
      second.spans().map(({ id }) => id),
      [row.id],
    );
    assert.deepEqual(
      second.scores().map(({ id, name, value }) => [id, name, value]),
      [[row.trace_id, "helpful", 1]],
    );
    await second.close();
    await rm(folder, { recursive: true });
  });
});

test("a trace is printed as a tree that marks oddities", () => {
  const at = (ms: number) => new Date(ms).toISOString();
  const common = { last_updated_at: START, project_name: "p", type: "general" };
  const row = (id: string, name: string, from: number, to: number, more: object = {}) => ({
    ...common,
    id,
    trace_id: "t",
    name,
    start_time: at(from),
    end_time: at(to),
    ...more,
  });
  const spans = [
    row("c", "child", 20, 30, { parent_span_id: "r", error_info: { exception_type: "E", message: "m" } }),
    row("r", "root", 0, 1500),
    row("d", "other child", 40, 50, { parent_span_id: "r", metadata: { opik_edge_unfinished: true } }),
    row("l", "chat m", 50, 60, {
      parent_span_id: "r",
      type: "llm",
      model: "m",
      usage: { total_tokens: 51 },
      ttft: 4.6,
    }),
    row("o", "lost", 60, 70, { parent_span_id: "nowhere" }),
  ];
  const trace = {
    ...common,
    id: "t",
    name: "root",
    type: undefined,
    start_time: at(0),
    end_time: at(1500),
    thread_id: "7",
  };
  const store = new Store();
  store.replace("traces", [trace]);
  store.replace("spans", spans);
  store.score("traces", [
    { id: "t", name: "helpful", value: 0, project_name: "P" },
    { id: "t", name: "helpful", value: 1, project_name: "P" },
  ]);
  store.score("spans", [
    { id: "r", name: "fast", value: 0.5, project_name: "p" },
    { id: "r", name: "elsewhere", value: 1, project_name: "another project" },
  ]);
  assert.equal(
    treeOf("t", store),
    [
      'trace t "root"  1.50 s  thread=7  helpful=1',
      '├─ "root"  general  1.50 s  fast=0.5',
      '│  ├─ "child"  general  10 ms  ERROR E: m',
      '│  ├─ "other child"  general  10 ms  UNFINISHED',
      '│  └─ "chat m"  llm  10 ms  model=m  tokens=51  ttft=5 ms',
      '└─ "lost"  general  10 ms (orphan: no span nowhere)',
    ].join("\n"),
  );
  assert.equal(treeOf("t", new Store()), "trace t (no trace row)");
});
