// The viewer's own routes, which the page and tests use.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type {
  ListAnswer,
  RefusalEntry,
  RowAnswer,
  ThreadAnswer,
  TraceAnswer,
  TraceSummary,
} from "../../viewer/src/api.js";
import { namesOf, senderOf } from "../../viewer/src/server/senders.js";
import { Store } from "../../viewer/src/server/store.js";
import { type Collector, startCollector } from "../support/collector.js";
import { idAt, type Sample, send, sendRefused, sendSample } from "./sample.js";

let collector: Collector;
let sample: Sample;
const start = Date.now() - 120_000;
before(async () => {
  collector = await startCollector();
  sample = await sendSample(collector, start);
});
after(() => collector.close());

async function get<T>(path: string): Promise<T> {
  const response = await fetch(`${collector.url}/viewer/${path}`);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as T;
}
const statusOf = async (path: string) => (await fetch(`${collector.url}/viewer/${path}`)).status;

test("a list has what it shows, and no input or output", async () => {
  const list = await get<ListAnswer>("traces?limit=500");
  assert.equal(list.traces.length, 9);
  const ask = list.traces.at(-1)!;
  assert.deepEqual(
    { ...ask, id: 0, start: 0, cost: ask.cost.toFixed(5) },
    {
      id: 0,
      n: 1,
      name: "ask",
      projects: ["demo"],
      start: 0,
      ms: 2840,
      spans: 21,
      errors: 2,
      tokens: 1021,
      cost: "0.00053",
      thread: "cart-81",
      senders: ["chat · browser", "chat · workerd", "demo · python", "demo · node"],
      hasRow: true,
      error: null,
    },
  );
  assert.ok(!JSON.stringify(list).includes("overdue"));
  assert.equal((await get<ListAnswer>("traces?error=1")).traces.length, 2);
  assert.equal((await get<ListAnswer>("traces?q=scheduled")).traces.length, 1);
  const page = await get<ListAnswer>("traces?limit=4");
  assert.equal((await get<ListAnswer>(`traces?limit=500&before=${page.before}`)).traces.length, 5);
});

test("a trace has its rows without their contents, and each row is whole", async () => {
  const { spans, traces, summary } = await get<TraceAnswer>(`traces/${sample.trace}`);
  assert.deepEqual([spans.length, traces.length, summary.name], [21, 1, "ask"]);
  assert.ok(!JSON.stringify(spans).includes("Amounts in EUR"));
  assert.deepEqual(traces[0]!.scores, [{ name: "helpful", value: 1, reason: "names both invoices" }]);
  const llm = spans.find(({ name }) => name === "llm")!;
  const { row, sender } = await get<RowAnswer>(`rows/${sample.trace}?of=span&key=${encodeURIComponent(llm.key)}`);
  assert.equal(sender, "chat · workerd");
  assert.match(JSON.stringify(row["input"]), /Amounts in EUR/);
  assert.equal(await statusOf(`traces/${idAt(start, 77)}`), 404);
  assert.equal(await statusOf(`rows/${sample.trace}?of=span&key=x`), 404);
});

test("a thread has its traces in the order of their start", async () => {
  const { turns } = await get<ThreadAnswer>(`threads/${sample.thread}`);
  assert.deepEqual(
    turns.map(({ input }) => (input as { question: string }).question.slice(0, 8)),
    ["Which of", "Pay the ", "And the "],
  );
  assert.deepEqual((await get<ThreadAnswer>("threads/none")).turns, []);
  for (const score of [{ value: 0 }, { value: 1, reason: "r" }]) {
    const scores = [{ thread_id: sample.thread, name: "resolved", source: "sdk", ...score }];
    assert.equal(await send(collector, "workerd", "traces/threads/feedback-scores", { scores }), 204);
  }
  assert.deepEqual((await get<ThreadAnswer>(`threads/${sample.thread}`)).scores, [
    { name: "resolved", value: 1, reason: "r" },
  ]);
  assert.deepEqual((await get<ThreadAnswer>("threads/none")).scores, []);
});

test("a sender is named after its service, else after its project or its SDK", async () => {
  const python = { "x-fern-language": "Python", "x-opik-debug-sdk-version": "2.2.122" };
  const cases: [headers: Record<string, string>, project: string | undefined, name: string][] = [
    [{ "x-opik-edge": "0.1.0; workerd; shop; eu" }, "any", "shop; eu · workerd"],
    [{ "x-opik-edge": "0.1.0; browser; shop" }, undefined, "shop · browser"],
    [{ "x-opik-edge": "0.1.0; node;" }, "orders", "orders · node"],
    [{ "x-opik-edge": "0.1.0; node;" }, undefined, "opik-edge · node"],
    [{ "x-opik-edge": "0.1.0;; shop" }, undefined, "shop"],
    [python, "orders", "orders · python"],
    [python, undefined, "opik 2.2 · python"],
    [{ origin: "http://localhost:3000" }, "orders", "orders · browser"],
    [{ "user-agent": "curl/8.1" }, undefined, "curl"],
    [{ "user-agent": "", "comet-workspace": "default" }, undefined, "Worker"],
  ];
  const store = new Store();
  for (const [n, [headers, project, name]] of cases.entries()) {
    const id = idAt(start, 500 + n);
    store.replace(
      "traces",
      [{ id, ...(project !== undefined && { project_name: project }) }],
      namesOf(senderOf(headers)),
    );
    assert.deepEqual(store.summary(id)!.senders, [name]);
  }
});

test("a refusal names row, field, value, sender, and what mends it", async () => {
  await sendRefused(collector, start);
  await send(collector, "python", "spans/batch", {});
  await fetch(`${collector.url}/v1/private/nowhere`, { method: "POST", body: "{}" });
  const { refusals } = await get<{ refusals: RefusalEntry[] }>("refusals");
  const short = refusals.map(({ status, row, rows, field, value, sender }) => [
    status,
    row,
    rows,
    field,
    value?.slice(0, 12),
    sender,
  ]);
  assert.deepEqual(short.reverse(), [
    [400, 1, 3, "id", '"9b2fa2ba-3b', "chat · workerd"],
    [422, 1, 3, "usage.total_tokens", "12.5", "opik 2.2 · python"],
    [422, 1, 3, "input", "[1,2,3]", "opik 2.0 · node"],
    [422, 1, 3, "error_info.traceback", '""', "chat · workerd"],
    [400, 1, 3, "id", `"${idAt(start - 3 * 86_400_000, 1).slice(0, 11)}`, "opik 2.2 · python"],
    [422, null, null, "spans", undefined, "opik 2.2 · python"],
    [404, null, null, null, undefined, "node"],
  ]);
  assert.match(refusals.at(-1)!.fix!, /^It is version 4\. Opik takes UUIDs of version 7/);
  assert.ok(refusals.filter(({ fix }) => fix === null).length <= 1);
});

describe("waiting for a trace", () => {
  const trace = (n: number, end?: string) => ({
    traces: [
      {
        id: idAt(start, 500 + n),
        name: `waited ${n}`,
        start_time: new Date(start).toISOString(),
        ...(end && { end_time: end }),
      },
    ],
  });

  test("returns a finished trace, and waits for a trace to finish", async () => {
    await send(collector, "workerd", "traces/batch", trace(1, new Date(start + 5).toISOString()));
    assert.equal((await get<TraceSummary>("wait?name=waited%201&timeout=0")).ms, 5);
    const waiting = get<TraceSummary>("wait?name=waited%202");
    await send(collector, "workerd", "traces/batch", trace(2));
    assert.equal(await statusOf("wait?name=waited%202&timeout=0"), 408);
    assert.equal((await get<TraceSummary>("wait?name=waited%202&done=0")).ms, null);
    await send(collector, "workerd", "traces/batch", trace(2, new Date(start + 7).toISOString()));
    assert.equal((await waiting).ms, 7);
  });

  test("by its id, with spans", async () => {
    assert.equal((await get<TraceSummary>(`wait?trace=${sample.trace}&spans=21&timeout=0`)).spans, 21);
    assert.equal(await statusOf(`wait?trace=${sample.trace}&spans=22&timeout=0`), 408);
    assert.equal(await statusOf("wait?timeout=1e9"), 400);
  });
});

test("an export is an import: the same rows, scores and senders", async () => {
  const exported = await (await fetch(`${collector.url}/viewer/export`)).text();
  const other = await startCollector();
  const response = await fetch(`${other.url}/viewer/import`, { method: "POST", body: exported });
  assert.deepEqual(await response.json(), { rows: exported.trim().split("\n").length });
  assert.equal(await (await fetch(`${other.url}/viewer/export`)).text(), exported);
  const one = await (await fetch(`${collector.url}/viewer/export?trace=${sample.trace}`)).text();
  assert.equal(one.trim().split("\n").length, 21 + 1 + 1);
  for (const bad of [
    "{",
    "{}",
    '{"entity":"spans","row":{"id":"x"}}',
    '{"score":{"entity":"spans"}}',
    "null",
    '{"entity":"spans","row":null}',
  ]) {
    const { status } = await fetch(`${other.url}/viewer/import`, { method: "POST", body: bad });
    assert.ok(status === 400 || status === 422, `${bad}: ${status}`);
  }
  assert.equal((await fetch(`${other.url}/viewer/traces`, { method: "DELETE" })).status, 204);
  assert.deepEqual(other.spans(), []);
  await other.close();
});

test("an event names the changed traces", async () => {
  const response = await fetch(`${collector.url}/viewer/events`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const id = idAt(start, 700);
  await reader.read();
  await send(collector, "workerd", "traces/batch", { traces: [{ id, start_time: new Date(start).toISOString() }] });
  const { value } = await reader.read();
  assert.equal(value, `data: {"traces":["${id}"]}\n\n`);
  await reader.cancel();
});

test("the viewer answers the other requests of the official SDKs", async () => {
  const project = await fetch(`${collector.url}/v1/private/projects/retrieve`, {
    method: "POST",
    body: '{"name":"demo"}',
  });
  assert.equal(((await project.json()) as { name: string }).name, "demo");
  const link = `${collector.url}/v1/session/redirect/projects/?trace_id=${sample.trace}&path=x`;
  const { status, headers } = await fetch(link, { redirect: "manual" });
  assert.deepEqual([status, headers.get("location")], [302, `/#/trace/${sample.trace}`]);
});

describe("passing on", () => {
  const forwarded = async (options: object, sendOne: (from: Collector) => Promise<unknown>) => {
    const target = await startCollector(options);
    const from = await startCollector({ forward: { url: target.url, apiKey: "secret", workspace: "mine" } });
    await sendOne(from);
    const counted = async () => (await get2(from)).forward!;
    let seen = await counted();
    while (seen.accepted + seen.failed === 0) {
      await new Promise(setImmediate);
      seen = await counted();
    }
    await Promise.all([target.close(), from.close()]);
    return { seen, requests: target.requests };
  };
  const get2 = async (of: Collector) =>
    (await (await fetch(`${of.url}/viewer/status`)).json()) as {
      forward: { accepted: number; failed: number; lastFailure: string | null };
    };
  const spans = () => ({
    spans: [{ id: idAt(start, 1), trace_id: idAt(start, 1), start_time: new Date(start).toISOString() }],
  });

  test("with its own key, and without what the caller had", async () => {
    const { seen, requests } = await forwarded({}, (from) =>
      fetch(`${from.url}/v1/private/spans/batch`, {
        method: "POST",
        body: JSON.stringify(spans()),
        headers: { authorization: "theirs", cookie: "a=b", "content-type": "application/json" },
      }),
    );
    assert.deepEqual([seen.accepted, seen.failed], [1, 0]);
    const { headers, body } = requests[0]!;
    assert.deepEqual(
      [headers.authorization, headers.cookie, headers["comet-workspace"]],
      ["secret", undefined, "mine"],
    );
    assert.deepEqual(JSON.parse(body), spans());
  });

  test("it follows no redirect, and reports a failure", async () => {
    const { seen } = await forwarded({ fault: { redirect: "http://127.0.0.1:9/elsewhere" } }, (from) =>
      send(from, "workerd", "spans/batch", spans()),
    );
    assert.equal(seen.failed, 1);
    assert.match(seen.lastFailure!, /^\/v1\/private\/spans\/batch: HTTP 307/);
  });

  test("it passes on no rows of pages and no refused rows", async () => {
    const { requests } = await forwarded({}, async (from) => {
      await send(from, "page", "spans/batch", spans());
      await send(from, "workerd", "spans/batch", { spans: [{}] });
      await send(from, "workerd", "traces/batch", {
        traces: [{ id: idAt(start, 2), start_time: new Date(start).toISOString() }],
      });
    });
    assert.deepEqual(
      requests.map(({ path }) => path),
      ["/api/v1/private/traces/batch"],
    );
  });

  test("only by https, but on this machine", async () => {
    await assert.rejects(startCollector({ forward: { url: "http://opik.example/api" } }), /by https alone/);
  });
});
