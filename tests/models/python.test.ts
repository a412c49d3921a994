// The same conversations, recorded by Opik's own wrappers around the Python SDKs. python/differences.json lists where
// their spans differ from ours.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { PYTHON, QUIET } from "../support/python.js";
import { ROOT } from "../support/worker.js";
import { environment, RUNTIMES, runIn } from "./running.js";
import { type ModelServer, startModels } from "./server.js";

const HERE = join(ROOT, "tests/models/python");
const DIFFERENCES: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(join(HERE, "differences.json"), "utf8"));

let collector: Collector;
let ofPython: Collector;
let server: ModelServer;
before(async () => {
  collector = await startCollector();
  ofPython = await startCollector();
  server = await startModels();
});
after(() => closeAll(server, collector, ofPython));

test("Opik's wrappers record the same, except for the listed differences", async () => {
  const env = { ...environment(server), ...QUIET, OPIK_URL_OVERRIDE: ofPython.url, PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout } = await promisify(execFile)(PYTHON, [join(HERE, "record.py"), server.url], { env });
  const had = Object.keys(DIFFERENCES);
  assert.deepEqual(stdout.trimEnd().split("\n"), had);
  const job = { models: server.url, collector: collector.url, only: had };
  await runIn(RUNTIMES[0]!, server, job);
  const found = had.map((name) => {
    const theirs = ofPython.spans().filter((row) => row["type"] === "llm" && row.trace_id === traceOf(ofPython, name));
    const root = collector.spans().find((row) => row["name"] === `${name} (fetch)`);
    const ours = collector.spans().filter((row) => row["type"] === "llm" && row.parent_span_id === root!.id);
    return [name, differencesOf(inOrder(theirs).map(brief), inOrder(ours).map(brief))];
  });
  if (process.env["OPIK_EDGE_SHOW"]) console.log(JSON.stringify(Object.fromEntries(found), null, 2));
  assert.deepEqual(Object.fromEntries(found), Object.fromEntries(had.map((name) => [name, DIFFERENCES[name]])));
});

const inOrder = (rows: StoredRow[]): StoredRow[] => rows.sort((one, two) => (one.id < two.id ? -1 : 1));
const traceOf = (from: Collector, name: string): unknown => from.traces().find((row) => row["name"] === name)?.id;

/** The comparable fields of a span, as text. Fields without a value are left out. */
type Brief = Record<string, string>;

function brief(row: StoredRow): Brief {
  const { prompt_tokens, completion_tokens, total_tokens } = (row["usage"] ?? {}) as Record<string, number>;
  const { exception_type, message } = (row["error_info"] ?? {}) as Record<string, string | undefined>;
  const answers = messagesOf(row["output"] as Json | undefined);
  const found: Record<string, unknown> = {
    provider: row["provider"],
    model: row["model"],
    text: joined(answers.map(({ text }) => text)),
    reasoning: joined(answers.map(({ reasoning }) => reasoning)),
    refusal: joined(answers.map(({ refusal }) => refusal)),
    tools: joined(answers.flatMap(({ tools }) => tools)),
    tokens: row["usage"] && `${prompt_tokens}, ${completion_tokens}, ${total_tokens}`,
    cost: row["total_estimated_cost"],
    ttft: row["ttft"] === undefined ? undefined : "there",
    error: exception_type && `${exception_type}: ${message ?? ""}`.slice(0, 60),
  };
  return Object.fromEntries(
    Object.entries(found).flatMap(([name, value]) => (value === undefined ? [] : [[name, `${value}`]])),
  );
}

/** Differences by field: theirs, then ours; `null` if the field is missing. Of several spans only the last is compared. */
function differencesOf(theirs: Brief[], ours: Brief[]): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  if (theirs.length !== ours.length) found["spans"] = [theirs.length, ours.length];
  const [one, two] = [theirs.at(-1) ?? {}, ours.at(-1) ?? {}];
  for (const name of new Set([...Object.keys(one), ...Object.keys(two)])) {
    if (one[name] !== two[name]) found[name] = [one[name] ?? null, two[name] ?? null];
  }
  return found;
}

// biome-ignore lint/suspicious/noExplicitAny: answers of five providers
type Json = any;

interface Message {
  readonly text?: string | undefined;
  readonly reasoning?: string | undefined;
  readonly refusal?: string | undefined;
  readonly tools: readonly string[];
}

const joined = (texts: readonly (string | undefined)[]): string | undefined =>
  texts.filter(Boolean).join(" | ") || undefined;
const tool = (name: string, args: unknown): string =>
  `${name}(${typeof args === "string" ? args : JSON.stringify(args)})`;

/** The messages of an answer in any provider's format. */
function messagesOf(output: Json): Message[] {
  if (output?.choices) return output.choices.map(({ message }: Json) => ofChat(message));
  if (output?.message) return [ofChat(output.message)];
  if (output?.candidates) return output.candidates.map(({ content }: Json) => ofParts(content?.parts ?? []));
  const items = output?.content ?? output?.output;
  return Array.isArray(items) ? [ofParts(items.flatMap((item: Json) => item.content ?? item.summary ?? [item]))] : [];
}

function ofChat({ content, reasoning_content, reasoning, thinking, refusal, tool_calls }: Json): Message {
  const tools = (tool_calls ?? []).map(({ function: { name, arguments: args } }: Json) => tool(name, args));
  return {
    text: content ?? undefined,
    reasoning: reasoning_content ?? reasoning ?? thinking ?? undefined,
    refusal: refusal ?? undefined,
    tools,
  };
}

function ofParts(parts: readonly Json[]): Message {
  const isThought = (part: Json): boolean =>
    part.thought === true || part.type === "summary_text" || Boolean(part.thinking);
  const tools = parts.flatMap((part) => {
    const call = part.function_call ?? (/^(tool_use|function_call)$/.test(part.type) ? part : undefined);
    return call ? [tool(call.name, call.args ?? call.arguments ?? call.input)] : [];
  });
  return {
    text: joined(parts.filter((part) => !isThought(part)).map(({ text }) => text)),
    reasoning: joined(parts.filter(isThought).map(({ thinking, text }) => thinking ?? text)),
    tools,
  };
}
