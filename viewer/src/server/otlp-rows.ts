// Spans of OpenTelemetry → rows, with the ids that Opik gives them. Their attributes become fields by the table of
// opik-edge's own reader, src/llm/attributes.rs.

import { createHash } from "node:crypto";
import type { Attributes, OtlpEvent, OtlpSpan } from "./otlp-wire.js";
import type { Row } from "./validate.js";

/** Opik remembers a trace for three hours after its last span. */
const MAX_REMEMBERED = 50_000;

/** Remembers the ids that traces of OpenTelemetry have got. */
export class TraceIds {
  readonly #ids = new Map<string, string>();

  /** The id that the trace has got before, or a UUIDv7 of this time. */
  of(traceId: string, project: string, ms: number): string {
    const key = `${traceId} ${project}`;
    const id = this.#ids.get(key) ?? derived(traceId, ms);
    // Moves to the end, so the first id is the oldest.
    this.#ids.delete(key);
    this.#ids.set(key, id);
    if (this.#ids.size > MAX_REMEMBERED) this.#ids.delete(this.#ids.keys().next().value!);
    return id;
  }
}

/** Rows of spans, and of the traces that begin with them. */
export interface Rows {
  readonly traces: Row[];
  readonly spans: Row[];
}

/** The fields that attributes give, from their JSON, with the ids and the thread that they name. */
export type ReadAttributes = (json: string) => Row;

/** The fields that a trace shares with its root span. */
const SHARED = ["project_name", "name", "start_time", "end_time", "input", "output", "metadata", "tags", "error_info"];

/** The rows of a request. */
export function rowsOf(spans: readonly OtlpSpan[], project: string, ids: TraceIds, read: ReadAttributes): Rows {
  const starts = new Map<string, number>();
  for (const { traceId, start } of spans) starts.set(traceId, Math.min(starts.get(traceId) ?? start, start));
  const traces = new Map<string, Row>();
  const rows = spans.map((span) => {
    const { trace_id, parent_span_id, thread_id, ...fields } = fieldsOf(span, read);
    const trace = ids.of(span.traceId, project, msIn(starts.get(span.traceId)!));
    const idOf = (spanId: string) => derived(spanId, timeOf(trace));
    const ownParent = span.parentSpanId === undefined ? undefined : idOf(span.parentSpanId);
    const parent = trace_id === undefined ? ownParent : parent_span_id;
    const row: Row = {
      id: idOf(span.spanId),
      trace_id: trace_id ?? trace,
      ...(parent !== undefined && { parent_span_id: parent }),
      project_name: project,
      name: span.name,
      start_time: textOf(span.start),
      ...(span.end !== undefined && { end_time: textOf(span.end) }),
      ...fields,
      ...withEvents(span, fields),
    };
    // The first root span begins the trace. A span that names a trace leaves that trace's row to its owner.
    if (trace_id === undefined && parent === undefined && !traces.has(trace)) {
      const shared = SHARED.filter((field) => row[field] !== undefined).map((field) => [field, row[field]]);
      traces.set(trace, { id: trace, ...Object.fromEntries(shared), ...(thread_id !== undefined && { thread_id }) });
    }
    return row;
  });
  countOnce(rows);
  return { traces: [...traces.values()], spans: rows };
}

function fieldsOf({ attributes }: OtlpSpan, read: ReadAttributes): Row {
  try {
    return read(JSON.stringify(attributes));
  } catch {
    // The reader has run out of memory.
    return { type: "general", metadata: attributes };
  }
}

/** The fields that events and the status fill: the last exception is the error, other events are metadata. */
function withEvents({ events, status }: OtlpSpan, { metadata }: Row): Row {
  const exception = events.findLast(({ name }) => name === "exception");
  const others = events.filter((event) => event !== exception);
  return {
    ...(others.length > 0 && { metadata: { ...(metadata as Row), "opentelemetry.events": others.map(described) } }),
    ...((exception || status.isError) && { error_info: errorOf(exception?.attributes ?? {}, status.message) }),
  };
}

function described({ name, at, attributes }: OtlpEvent): object {
  return { name, time: textOf(at), attributes };
}

function errorOf(exception: Attributes, status: string): object {
  const text = (value: unknown) => (typeof value === "string" && value.trim() !== "" ? value : undefined);
  const message = text(exception["exception.message"]) ?? text(status);
  const exception_type = text(exception["exception.type"]) ?? "Error";
  const traceback = text(exception["exception.stacktrace"]) ?? message ?? exception_type;
  return { exception_type, ...(message !== undefined && { message }), traceback };
}

function msIn(micros: number): number {
  return Math.floor(micros / 1000);
}

/** RFC 3339, down to µs. Opik keeps ms, which leaves the order of short spans to chance. */
function textOf(micros: number): string {
  return new Date(msIn(micros)).toISOString().replace("Z", `${String(micros % 1000).padStart(3, "0")}Z`);
}

/** A UUIDv7 of 48 bits of time and the first 80 of the id's SHA-256. */
function derived(hex: string, ms: number): string {
  const hash = createHash("sha256").update(hex, "hex").digest();
  hash[0] = (hash[0]! & 0x0f) | 0x70;
  hash[2] = (hash[2]! & 0x3f) | 0x80;
  const id = ms.toString(16).padStart(12, "0") + hash.toString("hex", 0, 10);
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A UUIDv7 begins with its time. */
function timeOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** Like Opik, takes the usage of a span that is the sum of its children's for that sum, and leaves it to them. */
function countOnce(rows: readonly Row[]): void {
  const sums = new Map<unknown, Record<string, number>>();
  for (const { parent_span_id, usage } of rows) {
    if (parent_span_id === undefined || usage === undefined) continue;
    const sum = sums.get(parent_span_id) ?? {};
    for (const [name, count] of Object.entries(usage as Record<string, number>)) sum[name] = (sum[name] ?? 0) + count;
    sums.set(parent_span_id, sum);
  }
  for (const row of rows) {
    const [sum, usage] = [sums.get(row["id"]), row["usage"] as Record<string, number> | undefined];
    if (!sum || !usage) continue;
    const names = Object.keys(usage);
    if (names.length === Object.keys(sum).length && names.every((name) => usage[name] === sum[name]))
      delete row["usage"];
  }
}
