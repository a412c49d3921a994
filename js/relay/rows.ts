// Checks the rows that a page may write: one batch of traces or spans with ids of the last or next 24 h, or of scores. Fields that
// the relay sets are not the page's to choose.

import { isOfScores, MAX_UPLOAD_ROWS, ROW_KINDS, type RowKind, scoreKey } from "../deliver/upload.js";
import { idTime } from "../platform/ids.js";
import type { Score } from "../record/model.js";
import { scoreError } from "../record/score.js";
import { Refusal } from "./refusal.js";
import { TOLERANCE_MS, type TokenClaims } from "./token.js";

/** Distance that an id's time may have from now. A referenced id has a limit only in the future. Opik refuses more if it checks. */
const WINDOW_MS = 24 * 60 * 60 * 1000;
/** The longest row, in characters of JSON. */
const MAX_ROW_CHARS = 256 * 1024;
/** Maximum nesting of a body. */
const MAX_DEPTH = 64;

/** RFC 3339, except for rules that relate its numbers to each other. */
const TIME_FORMAT =
  /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-7]):[0-5]\d)$/i;
/** First and last year that Opik's database can store (ClickHouse, `DateTime64(9)`). */
const FIRST_YEAR = "1970";
const LAST_YEAR = "2261";
/** `type` of `Span_Write`. */
const SPAN_TYPES = ["general", "tool", "llm", "guardrail"];

/** The expected value of a field, in words and as a check. A `null` field counts as absent. */
type Kind = readonly [expected: string, is: (value: unknown) => boolean];

const isText = (value: unknown): boolean => typeof value === "string";
const isFilled = (value: unknown): boolean => isText(value) && value !== "";
const isInt32 = (value: unknown): boolean => Number.isInteger(value) && value === ((value as number) | 0);
const isOf = (values: unknown, is: (value: unknown) => boolean): boolean => Array.isArray(values) && values.every(is);

const TEXT: Kind = ["a string", isText];
const TIME: Kind = ["a time (RFC 3339)", isTime];
const NUMBER: Kind = ["a finite number", Number.isFinite];
const JSON_VALUE: Kind = [
  "a string, an object or objects",
  (value) => isText(value) || isRecord(value) || isOf(value, isRecord),
];

/** Fields of every row that a page may set, in the form that Opik accepts (`Trace_Write`, `Span_Write`). */
const COMMON: Record<string, Kind> = {
  id: TEXT,
  name: TEXT,
  start_time: TIME,
  end_time: TIME,
  last_updated_at: TIME,
  input: JSON_VALUE,
  output: JSON_VALUE,
  metadata: JSON_VALUE,
  tags: [
    "different strings",
    (tags) => isOf(tags, isText) && new Set(tags as string[]).size === (tags as string[]).length,
  ],
  error_info: [
    "exception_type and traceback, and at most a message",
    (error) =>
      isRecord(error) &&
      isFilled(error["exception_type"]) &&
      isFilled(error["traceback"]) &&
      (error["message"] === undefined || isText(error["message"])),
  ],
  ttft: NUMBER,
};
/** `FeedbackScoreBatchItem`; `scoreError` checks the rest. */
const SCORE: Record<string, Kind> = { name: TEXT, value: NUMBER, reason: TEXT, category_name: TEXT };
/** The fields that a page may write, by kind of row. */
export const FIELDS: Record<RowKind, Record<string, Kind>> = {
  trace_scores: { id: TEXT, ...SCORE },
  span_scores: { id: TEXT, ...SCORE },
  thread_scores: { thread_id: TEXT, ...SCORE },
  traces: { ...COMMON, thread_id: TEXT },
  spans: {
    ...COMMON,
    trace_id: TEXT,
    parent_span_id: TEXT,
    type: [`one of ${SPAN_TYPES}`, (type) => SPAN_TYPES.includes(type as string)],
    model: TEXT,
    provider: TEXT,
    usage: ["32-bit integers by name", (usage) => isRecord(usage) && isOf(Object.values(usage), isInt32)],
    total_estimated_cost: ["a number that is not negative", (cost) => Number.isFinite(cost) && (cost as number) >= 0],
  },
};

/** Fields that the relay overwrites. A row may name them, but `project_name` must then be the relay's project. */
export const STAMPED: readonly string[] = ["project_name", "environment", "source"];

/** Values that the relay writes into every row. */
export interface Stamp {
  readonly projectName: string;
  readonly environment: string | undefined;
}

/** A parsed body. `stampRows` checks its rows and prepares them for forwarding. */
export interface PageBatch {
  readonly kind: RowKind;
  readonly rows: readonly Record<string, unknown>[];
  /** The token of the body's envelope. */
  readonly token: unknown;
  /** Proves that the page made the ids: see proof.ts. */
  readonly secret: unknown;
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
  if (!isRecord(body)) throw new Refusal("invalid", "the body is not an object");
  // Only the names are copied here: a hostile body may have a hundred thousand of them.
  const names = Object.keys(body).filter((name) => name !== "token" && name !== "secret");
  const kind = ROW_KINDS.find((known) => known === names[0]);
  if (!kind || names.length > 1) {
    throw new Refusal("invalid", `expected one of ${ROW_KINDS.join(", ")}, and nothing beside but token and secret`);
  }
  const rows = body[kind];
  if (!Array.isArray(rows) || rows.length === 0) throw new Refusal("invalid", `${kind}: expected rows`);
  if (rows.length > MAX_UPLOAD_ROWS) throw new Refusal("too_large", `${kind}: at most ${MAX_UPLOAD_ROWS} rows`);
  return { kind, rows, token: body["token"], secret: body["secret"] };
}

/** The rows of a batch as JSON, checked and stamped. One bad row throws a `Refusal` for the whole batch. */
export function stampRows(
  { kind, rows }: PageBatch,
  stamp: Stamp,
  claims: TokenClaims | undefined,
  nowMs: number,
): string[] {
  const { projectName, environment } = stamp;
  const stamped = new Map<unknown, string>();
  for (const [index, given] of rows.entries()) {
    const where = `${kind}[${index}]`;
    const row = readRow(kind, given, projectName, where);
    checkRow(kind, row, claims, nowMs, where);
    if (isOfScores(kind)) {
      const key = scoreKey(row);
      stamped.delete(key); // the last score of a name counts
      stamped.set(key, toJson({ ...row, project_name: projectName, source: "sdk" }, where));
      continue;
    }
    if (stamped.has(row["id"])) throw new Refusal("invalid", `${where}.id: it is there twice`);
    if (claims?.threadId !== undefined && kind === "traces") {
      if ((row["thread_id"] ?? claims.threadId) !== claims.threadId) {
        throw new Refusal("outside_token", `${where}.thread_id: the token is for another conversation`);
      }
      row["thread_id"] = claims.threadId;
    }
    const last_updated_at = notLater(row["last_updated_at"], nowMs);
    stamped.set(
      row["id"],
      toJson({ ...row, last_updated_at, project_name: projectName, environment, source: "sdk" }, where),
    );
  }
  return [...stamped.values()];
}

/** The fields of a row. Throws a `Refusal` for a field that a page must not set, or a value that Opik would refuse. */
function readRow(kind: RowKind, row: unknown, projectName: string, where: string): Record<string, unknown> {
  if (!isRecord(row)) throw new Refusal("invalid", `${where}: expected an object`);
  const own: Record<string, unknown> = {};
  for (const name of Object.keys(row)) {
    if (STAMPED.includes(name)) continue;
    const field = Object.hasOwn(FIELDS[kind], name) ? FIELDS[kind][name] : undefined;
    if (!field) throw new Refusal("invalid", `${where}: ${JSON.stringify(name)} is not a page's to set`);
    const [expected, is] = field;
    const value = row[name];
    if (value !== null && !is(value)) throw new Refusal("invalid", `${where}.${name}: expected ${expected}`);
    own[name] = value;
  }
  const project = row["project_name"] ?? projectName;
  if (typeof project !== "string" || project.toLowerCase() !== projectName.toLowerCase()) {
    throw new Refusal("foreign_project", `${where}: this relay writes to one project, and not to that one`);
  }
  return own;
}

function toJson(row: object, where: string): string {
  const json = JSON.stringify(row);
  if (json.length > MAX_ROW_CHARS) throw new Refusal("too_large", `${where}: at most ${MAX_ROW_CHARS} characters`);
  return json;
}

/** Throws a `Refusal` if the bearer of the token must not write this row. Expects valid fields. */
function checkRow(
  kind: RowKind,
  row: Readonly<Record<string, unknown>>,
  claims: TokenClaims | undefined,
  nowMs: number,
  where: string,
): void {
  if (isOfScores(kind)) checkScore(kind, row, claims, nowMs, where);
  else checkIds(kind, row, claims, nowMs, where);
}

/**
 * A score's target may be of any age, because old conversations get reviewed. A page cannot prove that a thread is its own: with
 * tokens, the token has to name it.
 */
function checkScore(
  kind: RowKind,
  row: Record<string, unknown>,
  claims: TokenClaims | undefined,
  nowMs: number,
  where: string,
): void {
  const { id, thread_id: threadId, name, value, reason, category_name: categoryName } = row;
  const wrong = scoreError({ name, value, reason, categoryName } as Partial<Score>);
  if (wrong) throw new Refusal("invalid", `${where}.${wrong}`);
  if (kind !== "thread_scores") checkReference(id, nowMs, `${where}.id`);
  else if (!isFilled(threadId)) throw new Refusal("invalid", `${where}.thread_id: expected a conversation`);
  else if (claims && threadId !== claims.threadId) {
    throw new Refusal("outside_token", `${where}.thread_id: the token is not for this conversation`);
  }
}

function checkIds(
  kind: RowKind,
  row: Record<string, unknown>,
  claims: TokenClaims | undefined,
  nowMs: number,
  where: string,
): void {
  if (!isText(row["start_time"])) throw new Refusal("invalid", `${where}.start_time: it is missing`);
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
  if (timeOf(id, where) > nowMs + WINDOW_MS) {
    throw new Refusal("clock_skew", `${where}: its time is more than 24 h ahead`);
  }
}

function timeOf(id: unknown, where: string): number {
  const time = typeof id === "string" ? idTime(id) : undefined;
  if (time === undefined) throw new Refusal("invalid_id", `${where}: expected a UUIDv7`);
  return time;
}

/** The given time, but at most now. Opik keeps the row with the latest time, so a future time would win for good. */
function notLater(time: unknown, nowMs: number): string {
  // biome-ignore lint/style/noRestrictedGlobals: reads a time that is given, no clock
  return new Date(isText(time) ? Math.min(Date.parse(time as string), nowMs) : nowMs).toISOString();
}

/** `true` for a time that Opik can read and store. Leap seconds and days that do not exist are refused. */
function isTime(value: unknown): boolean {
  if (!isText(value) || !TIME_FORMAT.test(value as string)) return false;
  const text = (value as string).toUpperCase();
  const day = text.slice(0, 10);
  if (text < FIRST_YEAR || text.slice(0, 4) > LAST_YEAR) return false;
  // biome-ignore lint/style/noRestrictedGlobals: reads a time that is given, no clock
  const date = new Date(day);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

/** `true` for a JSON object. */
function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * `true` if the brackets of a JSON text, outside strings, are nested too deeply. It reads each character once, because it is the
 * first check of untrusted text.
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
