// What a page may write: one batch of traces, of spans, both with ids of this day, or of scores; and no field that is the
// relay's to set.

import { idTime } from "../headers.js";
import { type Score, scoreError, scoreKey } from "../score.js";
import type { TokenClaims } from "../token.js";
import { MAX_UPLOAD_ROWS, ROW_KINDS, type RowKind } from "../upload.js";
import { Refusal } from "./refusal.js";

/** How far the time of an id may be from now (Opik refuses more where it checks). */
const WINDOW_MS = 24 * 60 * 60 * 1000;
/** Clocks differ. */
const TOLERANCE_MS = 60_000;
/** The longest row, in characters of JSON. */
const MAX_ROW_CHARS = 256 * 1024;
/** How deep a body may be nested. */
const MAX_DEPTH = 64;

type Kind = "string" | "number" | "object" | "any";

/** Fields of every row that are the page's to set. */
const COMMON: Record<string, Kind> = {
  id: "string",
  name: "string",
  start_time: "string",
  end_time: "string",
  last_updated_at: "string",
  input: "any",
  output: "any",
  metadata: "any",
  tags: "object",
  error_info: "object",
  ttft: "number",
};
const SCORE: Record<string, Kind> = {
  id: "string",
  name: "string",
  value: "number",
  reason: "string",
  category_name: "string",
};
const FIELDS: Record<RowKind, Record<string, Kind>> = {
  trace_scores: SCORE,
  span_scores: SCORE,
  traces: { ...COMMON, thread_id: "string" },
  spans: {
    ...COMMON,
    trace_id: "string",
    parent_span_id: "string",
    type: "string",
    model: "string",
    provider: "string",
    usage: "object",
    total_estimated_cost: "number",
  },
};

/** What the relay writes into every row. */
export interface Stamp {
  readonly projectName: string;
  readonly environment: string | undefined;
}

/** A body that was checked: its rows are ready to be forwarded once they are stamped. */
export interface PageBatch {
  readonly kind: RowKind;
  readonly rows: readonly Record<string, unknown>[];
  /** The token of the body's envelope. */
  readonly token: unknown;
}

/** The batch in a body. Throws a `Refusal`. */
export function parseBatch(text: string): PageBatch {
  if (isTooDeep(text)) throw new Refusal("malformed", `the body is nested deeper than ${MAX_DEPTH}`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refusal("malformed", "the body is not JSON");
  }
  if (!isObject(body)) throw new Refusal("invalid", "the body is not an object");
  const { token, ...batches } = body;
  const [name, ...others] = Object.keys(batches);
  const kind = ROW_KINDS.find((known) => known === name);
  if (!kind || others.length > 0) {
    throw new Refusal("invalid", `expected one of ${ROW_KINDS.join(", ")}, and nothing beside but token`);
  }
  const rows = batches[kind];
  if (!Array.isArray(rows) || rows.length === 0) throw new Refusal("invalid", `${kind}: expected rows`);
  if (rows.length > MAX_UPLOAD_ROWS) throw new Refusal("too_large", `${kind}: at most ${MAX_UPLOAD_ROWS} rows`);
  return { kind, rows, token };
}

/** The rows of a batch as JSON, checked and stamped. Throws a `Refusal` for all of them. */
export function stampRows(
  { kind, rows }: PageBatch,
  stamp: Stamp,
  claims: TokenClaims | undefined,
  nowMs: number,
): string[] {
  const stamped = new Map<unknown, string>();
  for (const [index, row] of rows.entries()) {
    const where = `${kind}[${index}]`;
    if (!isObject(row)) throw new Refusal("invalid", `${where}: expected an object`);
    const { project_name, environment: _, source: __, ...own } = row;
    if (project_name !== undefined && String(project_name).toLowerCase() !== stamp.projectName.toLowerCase()) {
      throw new Refusal("foreign_project", `${where}: this relay writes to one project, and not to that one`);
    }
    checkFields(kind, own, where);
    if (kind === "trace_scores" || kind === "span_scores") {
      checkScore(own, nowMs, where);
      const key = scoreKey(own);
      stamped.delete(key); // of those with one name the last one counts
      stamped.set(key, toJson({ ...own, project_name: stamp.projectName, source: "sdk" }, where));
      continue;
    }
    if (typeof own["start_time"] !== "string") throw new Refusal("invalid", `${where}.start_time: it is missing`);
    checkIds(kind, own, claims, nowMs, where);
    if (stamped.has(own["id"])) throw new Refusal("invalid", `${where}.id: it is there twice`);
    if (claims?.threadId !== undefined && kind === "traces") {
      if ((own["thread_id"] ?? claims.threadId) !== claims.threadId) {
        throw new Refusal("outside_token", `${where}.thread_id: the token is for another conversation`);
      }
      own["thread_id"] = claims.threadId;
    }
    const { projectName, environment } = stamp;
    const last_updated_at = clamped(own["last_updated_at"], nowMs);
    const written = { ...own, last_updated_at, project_name: projectName, environment, source: "sdk" };
    stamped.set(own["id"], toJson(written, where));
  }
  return [...stamped.values()];
}

function toJson(row: object, where: string): string {
  const json = JSON.stringify(row);
  if (json.length > MAX_ROW_CHARS) throw new Refusal("too_large", `${where}: at most ${MAX_ROW_CHARS} characters`);
  return json;
}

/** What is scored may be of any age: a conversation is looked at again. */
function checkScore(row: Record<string, unknown>, nowMs: number, where: string): void {
  const { id, name, value, reason, category_name: categoryName } = row;
  const wrong = scoreError({ name, value, reason, categoryName } as Partial<Score>);
  if (wrong) throw new Refusal("invalid", `${where}.${wrong}`);
  checkReference(id, nowMs, `${where}.id`);
}

function checkFields(kind: RowKind, row: Record<string, unknown>, where: string): void {
  for (const [name, value] of Object.entries(row)) {
    const expected = Object.hasOwn(FIELDS[kind], name) ? FIELDS[kind][name] : undefined;
    if (expected === undefined)
      throw new Refusal("invalid", `${where}: ${JSON.stringify(name)} is not a page's to set`);
    if (expected === "any" || value === null) continue;
    const isRight = expected === "object" ? typeof value === "object" : typeof value === expected;
    if (!isRight) throw new Refusal("invalid", `${where}.${name}: expected ${expected}`);
  }
}

function checkIds(
  kind: RowKind,
  row: Record<string, unknown>,
  claims: TokenClaims | undefined,
  nowMs: number,
  where: string,
): void {
  const created = timeOf(row["id"], `${where}.id`);
  if (Math.abs(created - nowMs) > WINDOW_MS) {
    throw new Refusal("clock_skew", `${where}.id: its time is more than 24 h from now`);
  }
  if (claims && (created < claims.notBeforeMs - TOLERANCE_MS || created > claims.expiresMs + TOLERANCE_MS)) {
    throw new Refusal("outside_token", `${where}.id: its time is not in the token's life`);
  }
  if (kind === "traces") return;
  for (const name of ["trace_id", "parent_span_id"]) {
    if (name === "parent_span_id" && (row[name] === undefined || row[name] === null)) continue;
    checkReference(row[name], nowMs, `${where}.${name}`);
  }
}

function checkReference(id: unknown, nowMs: number, where: string): void {
  if (timeOf(id, where) > nowMs + TOLERANCE_MS) throw new Refusal("clock_skew", `${where}: its time is in the future`);
}

function timeOf(id: unknown, where: string): number {
  const time = typeof id === "string" ? idTime(id) : undefined;
  if (time === undefined) throw new Refusal("invalid_id", `${where}: expected a UUIDv7`);
  return time;
}

/** The latest time counts where rows are written twice: from the future it would win for good. */
function clamped(time: unknown, nowMs: number): string {
  // biome-ignore lint/style/noRestrictedGlobals: reads a time that is given, no clock
  const ms = typeof time === "string" ? Date.parse(time) : Number.NaN;
  // biome-ignore lint/style/noRestrictedGlobals: the same
  return new Date(Number.isNaN(ms) ? nowMs : Math.min(ms, nowMs)).toISOString();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Whether the brackets of a JSON text are nested deeper than a body's may be, those in strings left out. Looks at each
 * character once: it is what a stranger's text is first read by.
 */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') isInString = !isInString;
    else if (isInString) at += char === "\\" ? 1 : 0;
    else if (char === "[" || char === "{") depth += 1;
    else if (char === "]" || char === "}") depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}
