// Refuses rows that the backend refuses before it writes anything. Rows are checked against the official write schemas;
// an id must be a UUIDv7 near the present, and appear once in a batch. Next in the flow: store.ts.

import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import schema from "./schema.json" with { type: "json" };

/** Traces or spans. */
export type Entity = "traces" | "spans";

/** A row as it came. */
export type Row = Record<string, unknown>;

/** An answer that is not a success: the status, the message of its body and, where there are some, its details. */
export class Refusal extends Error {
  constructor(
    readonly status: 400 | 404 | 405 | 409 | 413 | 422,
    message: string,
    readonly details?: string,
  ) {
    super(message);
  }
}

/**
 * The longest distance of an id's time from now: in both directions for created rows, only ahead for referenced rows.
 */
const WINDOW_MS = 24 * 60 * 60 * 1000;

const ajv = new Ajv2020({ strict: false });
(addFormats as unknown as typeof addFormats.default)(ajv);
ajv.addFormat("int32", { type: "number", validate: (n) => Number.isInteger(n) && n >= -(2 ** 31) && n < 2 ** 31 });
ajv.addSchema(schema);

const MODELS = {
  traces: { write: "Trace_Write", batch: "TraceBatch_Write", update: "TraceUpdate" },
  spans: { write: "Span_Write", batch: "SpanBatch_Write", update: "SpanUpdate" },
} as const;

/** The rows of a batch; throws a `Refusal` for the whole of it. */
export function checkBatch(entity: Entity, body: unknown, nowMs: number): Row[] {
  const cleaned = withoutNulls(body);
  checkSchema(MODELS[entity].batch, cleaned);
  const rows = (cleaned as Record<Entity, Row[]>)[entity];
  for (const row of rows) checkIds(entity, row, nowMs);
  const ids = new Set(rows.map((row) => row["id"]));
  if (ids.size < rows.length) throw new Refusal(422, `Duplicate ${entity.slice(0, -1)} id`);
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
export function checkScores(body: unknown, nowMs: number): Row[] {
  const cleaned = withoutNulls(body);
  checkSchema("FeedbackScoreBatch", cleaned);
  const { scores } = cleaned as { scores: Row[] };
  for (const { id } of scores) checkId("id", id, nowMs);
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

function checkSchema(model: string, value: unknown): void {
  const validate = ajv.getSchema(`opik#/$defs/${model}`)!;
  if (validate(value)) return;
  const [error] = validate.errors ?? [];
  // A malformed UUID fails while the JSON is read, everything else while the bean is validated.
  const status = error?.params["format"] === "uuid" ? 400 : 422;
  throw new Refusal(status, `${error?.instancePath || "body"} ${error?.message}`);
}

function checkIds(entity: Entity, row: Row, nowMs: number): void {
  const time = checkId("id", row["id"], nowMs);
  if (time < nowMs - WINDOW_MS) throw outsideWindow("id", time, "too_old");
  if (entity === "spans") checkReferences(row, nowMs);
}

function checkReferences(row: Row, nowMs: number): void {
  checkId("trace_id", row["trace_id"], nowMs);
  if (row["parent_span_id"] !== undefined) checkId("parent_span_id", row["parent_span_id"], nowMs);
}

/** The time of a UUIDv7, in ms since 1970. */
function checkId(field: string, id: unknown, nowMs: number): number {
  if (typeof id !== "string" || !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(id)) {
    throw new Refusal(400, `${field}: must be a version 7 UUID`);
  }
  const time = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  if (time > nowMs + WINDOW_MS) throw outsideWindow(field, time, "too_far_future");
  return time;
}

/** As the backend refuses a whole batch, whose offending row it does not name. */
function outsideWindow(field: string, ms: number, reason: "too_old" | "too_far_future"): Refusal {
  const time = new Date(ms).toISOString();
  const details = `embedded timestamp '${time}' is outside the window '24h', reason '${reason}'`;
  return new Refusal(400, `Invalid UUID for ${field}`, details);
}

/** The backend reads a null as an absent field. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(
    fields.map(([name, field]) => [name, ["spans", "traces", "scores"].includes(name) ? withoutNulls(field) : field]),
  );
}
