// Runs the examples of the guide "The AI SDK" with the versions that they are for.

import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { flush, type Span, span } from "../../pkg/index.js";
import { type Collector, type StoredRow, startCollector } from "../support/collector.js";
import { loadExample } from "./load-example.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
  process.env["OPIK_URL_OVERRIDE"] = collector.url;
  process.env["OPENAI_API_KEY"] = "sk-test";
});
after(() => collector.close());

/** Loads an example with the packages of a version, whose names begin so. */
function load<M>(name: string, prefix = ""): Promise<M> {
  const packages = { ai: prefix || "ai", "@ai-sdk/openai": prefix ? `${prefix}-openai` : "@ai-sdk/openai" };
  return loadExample(name, packages, prefix);
}

/** Answers calls of OpenAI. */
function answer(t: TestContext): void {
  const { fetch } = globalThis;
  t.mock.method(globalThis, "fetch", async (input: string | URL, init: RequestInit) => {
    if (!String(input).startsWith("https://api.openai.com")) return fetch(input, init);
    const choices = [{ index: 0, message: { role: "assistant", content: "A tree of spans." }, finish_reason: "stop" }];
    const usage = { prompt_tokens: 9, completion_tokens: 7, total_tokens: 16 };
    return Response.json({ id: "1", created: 1, model: "gpt-4.1-mini-2025-04-14", choices, usage });
  });
}

/** The spans of a trace, from the outermost to the innermost. */
function below(row: StoredRow): StoredRow[] {
  const child = collector.spans().find(({ parent_span_id }) => parent_span_id === row.id);
  return child ? [row, ...below(child)] : [row];
}

const told = ({ name, type, model, usage }: StoredRow): unknown[] => [
  name,
  type,
  model,
  (usage as { total_tokens: number } | undefined)?.total_tokens,
];
const CALL = ["chat gpt-4.1-mini", "llm", "gpt-4.1-mini-2025-04-14", 16];
const of = (name: string): unknown[] => [name, "general", undefined, undefined];

type Asking = { ask(parent: Span, prompt: string): Promise<string> };
type Asks = { ask(prompt: string, chatId: string): Promise<string> };

const withTracer = (prefix: string) => () => load<Asks>("guide-ai-sdk-6", prefix);
for (const [title, loaded, steps] of [
  ["AI SDK 7", () => load<Asks>("guide-ai-sdk-7"), [of("step 1")]],
  ["AI SDK 6", withTracer("ai-6"), []],
  ["AI SDK 5", withTracer("ai-5"), []],
] as const) {
  test(title, async (t) => {
    answer(t);
    const { ask } = await loaded();
    assert.equal(await ask("What is a trace?", title), "A tree of spans.");
    await flush();
    const trace = collector.traces().find((row) => row["thread_id"] === title)!;
    const root = collector.spans().find((row) => row.trace_id === trace.id && !row.parent_span_id)!;
    assert.deepEqual(root["tags"], ["support"]);
    assert.deepEqual(below(root).map(told), [of("ask"), ...steps, CALL]);
    delete (globalThis as { AI_SDK_TELEMETRY_INTEGRATIONS?: unknown }).AI_SDK_TELEMETRY_INTEGRATIONS;
  });
}

test("a parent", async (t) => {
  answer(t);
  const { ask } = await load<Asking>("guide-ai-sdk-parent");
  const parent = span({ name: "parent" });
  assert.equal(await ask(parent, "What is a trace?"), "A tree of spans.");
  parent.end();
  await flush();
  const [call] = collector.spans().filter((row) => row["name"] === "generateText" && row.parent_span_id === parent.id);
  assert.deepEqual(below(call!).map(told), [of("generateText"), of("step 1"), CALL]);
});
