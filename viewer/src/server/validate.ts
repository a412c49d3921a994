// Refuses rows that the backend refuses before it writes: rows that break the official write schemas, ids with a wrong
// version or time, and ids that occur twice in a batch. Next in the flow: store.ts.

import {
  FeedbackScoreBatch,
  FeedbackScoreBatchThread,
  Span_Write,
  SpanBatch_Write,
  SpanUpdate,
  Trace_Write,
  TraceBatch_Write,
  TraceUpdate,
} from "../../generated/validators.js";
import { type Place, Refusal } from "./refusal.js";

export { Refusal } from "./refusal.js";

/** Traces or spans. */
export type Entity = "traces" | "spans";

/** The targets of scores. */
export type Scored = Entity | "threads";

/** A row as it came. */
export type Row = Record<string, unknown>;

/** The largest difference between an id's time and now. Referenced ids may be older. */
const WINDOW_MS = 24 * 60 * 60 * 1000;

const MODELS = {
  traces: { write: Trace_Write, batch: TraceBatch_Write, update: TraceUpdate },
  spans: { write: Span_Write, batch: SpanBatch_Write, update: SpanUpdate },
} as const;

/** The rows of a batch; throws a `Refusal` for the whole of it. */
export function checkBatch(entity: Entity, body: unknown, nowMs: number): Row[] {
  const cleaned = withoutNulls(body);
  checkSchema(MODELS[entity].batch, cleaned);
  const rows = (cleaned as Record<Entity, Row[]>)[entity];
  rows.forEach((row, index) => {
    checkIds(entity, row, nowMs, index);
  });
  const ids = new Set<unknown>();
  rows.forEach(({ id }, row) => {
    if (ids.has(id))
      throw new Refusal(422, `Duplicate ${entity.slice(0, -1)} id`, undefined, { row, field: "id", value: id });
    ids.add(id);
  });
  return rows;
}

/** A single row; throws a `Refusal`. */
export function checkRow(entity: Entity, body: unknown, nowMs: number): Row {
  const row = withoutNulls(body) as Row;
  checkSchema(MODELS[entity].write, row);
  checkIds(entity, row, nowMs);
  return row;
}

/** The scores of a batch; throws a `Refusal` for the whole of it. */
export function checkScores(target: Scored, body: unknown, nowMs: number): Row[] {
  const cleaned = withoutNulls(body);
  checkSchema(target === "threads" ? FeedbackScoreBatchThread : FeedbackScoreBatch, cleaned);
  const { scores } = cleaned as { scores: Row[] };
  if (target === "threads") return scores;
  scores.forEach(({ id }, row) => {
    checkId("id", id, nowMs, row);
  });
  return scores;
}

/** The fields of a PATCH; throws a `Refusal`. */
export function checkUpdate(entity: Entity, id: string, body: unknown, nowMs: number): Row {
  const update = withoutNulls(body) as Row;
  checkSchema(MODELS[entity].update, update);
  checkId("id", id, nowMs);
  if (entity === "spans") checkReferences(update, nowMs);
  return update;
}

function checkSchema(validate: typeof Span_Write, value: unknown): void {
  if (validate(value)) return;
  const [error] = validate.errors ?? [];
  // A malformed UUID fails while the JSON is read, everything else while the bean is validated.
  const status = error?.params["format"] === "uuid" ? 400 : 422;
  const message = `${error?.instancePath || "body"} ${error?.message}`;
  throw new Refusal(status, message, undefined, placeOf(error?.instancePath ?? "", error?.params ?? {}, value));
}

/** `/spans/3/usage/total_tokens` → the row's number and the field; a missing one is the field itself. */
function placeOf(pointer: string, params: Record<string, unknown>, body: unknown): Place {
  const names = pointer.split("/").slice(1);
  let value: unknown = body;
  for (const name of names) value = (value as Record<string, unknown> | undefined)?.[name];
  const inBatch = ["spans", "traces", "scores"].includes(names[0] ?? "") && names.length > 1;
  const field = inBatch ? names.slice(2) : names;
  if (typeof params["missingProperty"] === "string") {
    field.push(params["missingProperty"]);
    value = undefined;
  }
  return { row: inBatch ? Number(names[1]) : undefined, field: field.join(".") || undefined, value };
}

function checkIds(entity: Entity, row: Row, nowMs: number, index?: number): void {
  const time = checkId("id", row["id"], nowMs, index);
  if (time < nowMs - WINDOW_MS)
    throw outsideWindow("id", time, "too_old", { row: index, field: "id", value: row["id"] });
  if (entity === "spans") checkReferences(row, nowMs, index);
}

function checkReferences(row: Row, nowMs: number, index?: number): void {
  checkId("trace_id", row["trace_id"], nowMs, index);
  if (row["parent_span_id"] !== undefined) checkId("parent_span_id", row["parent_span_id"], nowMs, index);
}

/** The time of a UUIDv7, in ms since 1970. */
function checkId(field: string, id: unknown, nowMs: number, row?: number): number {
  const place = { row, field, value: id };
  if (typeof id !== "string" || !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(id)) {
    throw new Refusal(400, `${field}: must be a version 7 UUID`, undefined, place);
  }
  const time = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  if (time > nowMs + WINDOW_MS) throw outsideWindow(field, time, "too_far_future", place);
  return time;
}

/** As the backend refuses a whole batch, whose offending row it does not name. */
function outsideWindow(field: string, ms: number, reason: "too_old" | "too_far_future", place: Place): Refusal {
  const time = new Date(ms).toISOString();
  const details = `embedded timestamp '${time}' is outside the window '24h', reason '${reason}'`;
  return new Refusal(400, `Invalid UUID for ${field}`, details, place);
}

const LISTS = new Set(["spans", "traces", "scores"]);

/** Removes null fields of a body and of its rows, because the backend reads a null as an absent field. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value);
  // Most rows have no null, and stay the same object.
  if (!fields.some(([name, field]) => field === null || LISTS.has(name))) return value;
  return Object.fromEntries(
    fields
      .filter(([, field]) => field !== null)
      .map(([name, field]) => [name, LISTS.has(name) ? withoutNulls(field) : field]),
  );
}
