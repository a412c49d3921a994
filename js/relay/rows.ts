// What a page may write: one batch of traces, of spans, both with ids of this day, or of scores; and no field that is the
// relay's to set.

import { isOfScores, MAX_UPLOAD_ROWS, ROW_KINDS, type RowKind, scoreKey } from "../deliver/upload.js";
import { idTime } from "../platform/ids.js";
import type { Score } from "../record/model.js";
import { scoreError } from "../record/score.js";
import { Refusal } from "./refusal.js";
import { TOLERANCE_MS, type TokenClaims } from "./token.js";

/** How far the time of an id may be from now, also of one that is referred to (Opik refuses more where it checks). */
const WINDOW_MS = 24 * 60 * 60 * 1000;
/** The longest row, in characters of JSON. */
const MAX_ROW_CHARS = 256 * 1024;
/** How deep a body may be nested. */
const MAX_DEPTH = 64;

/** RFC 3339, as far as its numbers do not depend on each other. */
const TIME_FORMAT =
  /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-7]):[0-5]\d)$/i;
/** What Opik's database can hold (ClickHouse, `DateTime64(9)`): from the first of these years on, and none after the second. */
const FIRST_YEAR = "1970";
const LAST_YEAR = "2261";
/** `type` of `Span_Write`. */
const SPAN_TYPES = ["general", "tool", "llm", "guardrail"];

/** What a field has to be, in words and as a check. A field that is `null` is absent. */
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

/** Fields of every row that are the page's to set, as Opik takes them (`Trace_Write`, `Span_Write`). */
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
/** `FeedbackScoreBatchItem`; the rest is looked at by `scoreError`. */
const SCORE: Record<string, Kind> = { id: TEXT, name: TEXT, value: NUMBER, reason: TEXT, category_name: TEXT };
/** What a page may write, and nothing else. */
export const FIELDS: Record<RowKind, Record<string, Kind>> = {
  trace_scores: SCORE,
  span_scores: SCORE,
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

/** What is stamped: of these the project has to be the relay's, where it is named, and the others do not matter. */
export const STAMPED: readonly string[] = ["project_name", "environment", "source"];

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
  /** What proves that ids are its page's: see proof.ts. */
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
  // Names are looked at before anything is copied: there may be a hundred thousand.
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

/** The rows of a batch as JSON, checked and stamped. Throws a `Refusal` for all of them. */
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
      stamped.delete(key); // of those with one name the last one counts
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

/** A row's own fields, each of which is a page's to set and what Opik takes. */
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

/** Whether a row whose fields are right may be written by whom the token names: each by itself, and nothing is changed. */
function checkRow(
  kind: RowKind,
  row: Readonly<Record<string, unknown>>,
  claims: TokenClaims | undefined,
  nowMs: number,
  where: string,
): void {
  if (isOfScores(kind)) checkScore(row, nowMs, where);
  else checkIds(kind, row, claims, nowMs, where);
}

/** What is scored may be of any age: a conversation is looked at again. */
function checkScore(row: Record<string, unknown>, nowMs: number, where: string): void {
  const { id, name, value, reason, category_name: categoryName } = row;
  const wrong = scoreError({ name, value, reason, categoryName } as Partial<Score>);
  if (wrong) throw new Refusal("invalid", `${where}.${wrong}`);
  checkReference(id, nowMs, `${where}.id`);
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

/** The latest time counts where rows are written twice: from the future it would win for good. */
function notLater(time: unknown, nowMs: number): string {
  // biome-ignore lint/style/noRestrictedGlobals: reads a time that is given, no clock
  return new Date(isText(time) ? Math.min(Date.parse(time as string), nowMs) : nowMs).toISOString();
}

/** Whether it is a time that Opik can read and hold: no leap second, no day that its month has not. */
function isTime(value: unknown): boolean {
  if (!isText(value) || !TIME_FORMAT.test(value as string)) return false;
  const text = (value as string).toUpperCase();
  const day = text.slice(0, 10);
  if (text < FIRST_YEAR || text.slice(0, 4) > LAST_YEAR) return false;
  // biome-ignore lint/style/noRestrictedGlobals: reads a time that is given, no clock
  const date = new Date(day);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

/** Whether `value` is what JSON calls an object. */
function isRecord(value: unknown): value is Record<string, unknown> {
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
