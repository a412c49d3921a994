// A field of a row is defined in several places: its type, the row in the core, and the relay's table of the fields that a
// page may write. A field that is missing in one of them fails here.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Opik, type SpanFields, type SpanType, type TargetedScore, type TraceFields } from "opik-edge";
import { InMemoryExporter } from "opik-edge/testing";
import { FIELDS, parseBatch, STAMPED, stampRows } from "../../target/tsc/relay/rows.js";

const TYPES: Record<SpanType, true> = { general: true, tool: true, llm: true, guardrail: true };

/** Every field that a trace and a span have; the compiler asks for each. */
const COMMON = {
  name: "n",
  input: { a: 1 },
  output: { b: 2 },
  metadata: { c: 3 },
  tags: ["t"],
  error: new Error("e"),
};
const SPAN: Required<SpanFields> = {
  ...COMMON,
  type: "llm",
  model: "m",
  provider: "p",
  usage: { total_tokens: 1 },
  totalEstimatedCost: 0.5,
  ttft: 7,
};
const TRACE: Required<TraceFields> = { ...COMMON, threadId: "c" };
const SCORE: Required<Omit<TargetedScore, "spanId" | "traceId" | "threadId">> = {
  name: "helpful",
  value: 1,
  reason: "r",
  categoryName: "c",
};

const exporter = new InMemoryExporter();
const opik = new Opik({ transport: exporter, background: false, projectName: "p", environment: "e" });
const STAMP = { projectName: "p", environment: "e" };

/** The recorded fields, from one request per kind. */
async function recorded(record: () => void): Promise<Record<string, Record<string, unknown>[]>> {
  const before = exporter.requests.length;
  record();
  await opik.flush();
  return Object.assign({}, ...exporter.requests.slice(before).map(({ body }) => body));
}

test("a span and a trace with every field have a row with every name of the relay's table, and the relay accepts it", async () => {
  const { spans, traces } = await recorded(() => {
    const trace = opik.trace(TRACE);
    trace.span({}).span(SPAN).end();
    trace.end();
  });
  const full = { spans: spans!.filter(({ name }) => name === SPAN.name), traces: traces! };
  for (const kind of ["spans", "traces"] as const) {
    const [row] = full[kind];
    // Opik also accepts this field for traces; our traces do not have it.
    const names = Object.keys(FIELDS[kind]).filter((name) => kind === "spans" || name !== "ttft");
    assert.deepEqual(Object.keys(row!).sort(), [...names, ...STAMPED].sort(), kind);
    const [stamped] = stampRows(parseBatch(JSON.stringify({ [kind]: full[kind] })), STAMP, undefined, Date.now());
    assert.deepEqual(JSON.parse(stamped!), row, kind);
  }
});

test("a span of every type passes the relay", async () => {
  const { spans } = await recorded(() => {
    for (const type of Object.keys(TYPES) as SpanType[]) opik.span({ type, name: type }).end();
  });
  assert.deepEqual(
    spans!.map(({ name, type = "general" }) => type === name),
    Object.keys(TYPES).map(() => true),
  );
  const rows = stampRows(parseBatch(JSON.stringify({ spans })), STAMP, undefined, Date.now());
  assert.equal(rows.length, Object.keys(TYPES).length);
});

test("a score with every field passes the relay", async () => {
  const { scores } = await recorded(() => opik.span({}).score(SCORE));
  const [row] = scores!;
  const names = [...Object.keys(FIELDS.span_scores), "project_name", "source"];
  assert.deepEqual(Object.keys(row!).sort(), names.sort());
  const [stamped] = stampRows(parseBatch(JSON.stringify({ span_scores: scores })), STAMP, undefined, Date.now());
  assert.deepEqual(JSON.parse(stamped!), row);
});
