// One trace through everything: a page, Workers, OpenTelemetry, Python and the AI SDK, each as its users run it.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { closeAll } from "../support/closing.js";
import { type Collector, type StoredRow, startCollector } from "../support/collector.js";
import { askInPage, type Joined, type OtlpSpan, startJoined } from "../support/joined.js";
import { namesIn } from "../support/trees.js";
import { ROOT } from "../support/worker.js";
import { startChromium } from "../viewer/browser.js";

const PICTURES = join(ROOT, "target/models");

let collector: Collector;
let joined: Joined;
let browser: Browser;
before(async () => {
  collector = await startCollector();
  joined = await startJoined(collector.url);
  browser = await startChromium();
});
after(() => closeAll(browser, joined, collector));

/** The part of the tree below the second Worker's call. */
const ANSWER = (model: string): string[] => [
  "├─ by AI SDK 7",
  "│  └─ step 1",
  "│     └─ chat demo-model",
  `│        └─ POST ${model}/v1/chat/completions`,
  "└─ by AI SDK 6",
  "   └─ chat demo-model",
  `      └─ POST ${model}/v1/chat/completions`,
];

test("a question in the page is one tree", async (t) => {
  const { page, trace, headers } = await askInPage(browser, joined, collector);
  t.diagnostic(`\n${collector.tree(trace)}`);
  assert.deepEqual(
    Object.keys(headers).filter((name) => /opik|trace|baggage/.test(name)),
    ["traceparent", "tracestate"],
  );
  const { worker, node, python, model } = joined.hosts;
  assert.deepEqual(namesIn(collector.tree(trace)), [
    "ask",
    "└─ ask",
    `   └─ POST ${worker}/chat`,
    "      └─ POST /chat",
    `         ├─ POST ${python}/retrieve`,
    "         │  └─ search",
    "         │     └─ embed",
    `         └─ POST ${node}/answer`,
    "            ├─ POST /rank",
    "            │  └─ rank documents",
    "            └─ POST /",
    ...ANSWER(model).map((line) => `               ${line}`),
  ]);
  assert.equal(collector.traces().length, 1, "no other trace");
  assert.ok(!JSON.stringify(collector.spans()).includes("opik_edge_"), "nothing was left open or broken off");

  // The Node service's own spans are at its own collector, and each side's ids lead to the other.
  const received = await ofNode(hex(trace));
  assert.equal(received.parentSpanId, lastBytes(named(trace, `POST ${node}/answer`).id));
  assert.ok(isLinked(named(trace, "POST /"), received));

  await page.goto(`${collector.url.replace(/api$/, "")}#/trace/${trace}`);
  await page.locator(".waterfall [role=treeitem]").nth(16).waitFor();
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, "joined.png") });
});

test("a request that begins in the Node service is linked to the second Worker's trace", async () => {
  const before = new Set(collector.spans().map(({ trace_id }) => trace_id));
  const seen = new Set(joined.elsewhere.spans);
  assert.equal((await fetch(`http://${joined.hosts.node}/answer`, { method: "POST", body: "?" })).status, 200);
  const began = (): OtlpSpan | undefined =>
    joined.elsewhere.spans.find((span) => !seen.has(span) && !span.parentSpanId);
  await joined.elsewhere.until(() => began() !== undefined);
  const received = await ofNode(began()!.traceId);
  const found = (): string[] => [
    ...new Set(collector.spans().flatMap(({ trace_id }) => (before.has(trace_id) ? [] : [trace_id as string]))),
  ];
  await collector.until(() => found().flatMap(spansOf).length === 10);
  const [ranked, written] = found().sort((one, two) => spansOf(one).length - spansOf(two).length) as [string, string];
  // The Python service's parent is with the other spans of the Node service, which Opik does not get.
  assert.deepEqual(namesIn(collector.tree(ranked)), ["", "└─ POST /rank", "   └─ rank documents"]);
  assert.deepEqual(namesIn(collector.tree(written)), [
    "POST /",
    "└─ POST /",
    ...ANSWER(joined.hosts.model).map((line) => `   ${line}`),
  ]);
  assert.ok(isLinked(named(written, "POST /"), received));
});

/** The Node service's span of the request in a trace of OpenTelemetry, once it and its two calls have arrived. */
async function ofNode(traceId: string): Promise<OtlpSpan> {
  const spans = (): OtlpSpan[] => joined.elsewhere.spans.filter((span) => span.traceId === traceId);
  await joined.elsewhere.until(() => spans().length === 3);
  return spans().find(({ parentSpanId }) => !spans().some(({ spanId }) => spanId === parentSpanId))!;
}

/** `true` if the metadata of our span name a call that the Node service made in its span. */
function isLinked({ metadata }: StoredRow, { traceId, spanId }: OtlpSpan): boolean {
  const { "w3c.trace_id": trace, "w3c.parent_id": parent } = metadata as Record<string, unknown>;
  const calls = joined.elsewhere.spans.filter(({ parentSpanId }) => parentSpanId === spanId);
  return trace === traceId && calls.some((call) => call.spanId === parent);
}

const hex = (id: string): string => id.replaceAll("-", "");
const lastBytes = (id: string): string => hex(id).slice(16);
const spansOf = (trace: string): StoredRow[] => collector.spans().filter(({ trace_id }) => trace_id === trace);
const named = (trace: string, name: string): StoredRow => spansOf(trace).find((span) => span["name"] === name)!;
