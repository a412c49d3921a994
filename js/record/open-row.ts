// An open span or trace: its fields, its state (open, written early or written), and its text for the core. span.ts and
// trace.ts decide when it ends; src/span.rs writes the row.

import { hideQueries, type Reporter } from "../errors.js";
import type { RowFields, SpanFields } from "../fields.js";
import { tellUnknown } from "../names.js";
import { TRACE_ROW } from "../platform/core.js";
import type { Row, RowText } from "../platform/model.js";
import type { Redact } from "../settings.js";
import { describeError, isError, isPlain, JsonText, REDACTED, toJson, unserializable, type Writing } from "./json.js";
import type { OpenTrace, TraceFields } from "./model.js";

/** Fields of any row. */
type AnyFields = SpanFields & TraceFields;

/** Wraps a thrown `undefined` or `null`, because the field `error` with these values means that no error was thrown. */
export class ThrownNothing {
  constructor(readonly thrown: undefined | null) {}
}

/** The complete fields of a row. Engines copy and read objects of one shape several times as fast. */
class Fields implements AnyFields {
  name: RowFields["name"] = undefined;
  input: unknown = undefined;
  output: unknown = undefined;
  metadata: RowFields["metadata"] = undefined;
  tags: RowFields["tags"] = undefined;
  error: unknown = undefined;
  type: AnyFields["type"] = undefined;
  model: AnyFields["model"] = undefined;
  provider: AnyFields["provider"] = undefined;
  usage: AnyFields["usage"] = undefined;
  totalEstimatedCost: AnyFields["totalEstimatedCost"] = undefined;
  ttft: AnyFields["ttft"] = undefined;
  threadId: AnyFields["threadId"] = undefined;
}

/** The fields after writing. A context may be held for a long time, and should not hold the recorded values. */
const NO_FIELDS: Fields = Object.freeze(new Fields());
const NAMES = Object.keys(NO_FIELDS);
const { type: _, model, provider, usage, totalEstimatedCost, ttft, ...TRACE_FIELDS } = NO_FIELDS;
const { threadId, ...SPAN_FIELDS } = NO_FIELDS;
/** Options of a span that are not fields of its row. */
const SPAN_OPTIONS = { parent: 0, threadId };
/** Members that somebody has added to it are not fields. */
const PROTOTYPE = Object.prototype as unknown as Record<string, unknown>;

/** The row of an open span or trace. */
export class OpenRow {
  readonly #kind: number;
  readonly #id: string;
  readonly #parentId: string;
  readonly #trace: OpenTrace;
  readonly #startMs: number;
  /** The fields so far; `NO_FIELDS` once the row is written. */
  fields: Fields = new Fields();
  /** The time of the early write, or 0. */
  #earlyMs = 0;

  /** `kind` is `SPAN_ROW` or `TRACE_ROW`; `parentId` is "" without a parent. */
  constructor(kind: number, id: string, parentId: string, trace: OpenTrace, startMs: number, given: unknown) {
    this.#kind = kind;
    this.#id = id;
    this.#parentId = parentId;
    this.#trace = trace;
    this.#startMs = startMs;
    this.merge(given, false, kind === TRACE_ROW ? undefined : SPAN_OPTIONS);
  }

  /**
   * Merges in fields of the host. With `givesWay`, fields that the host has set take precedence. `options` lists members
   * that are allowed but are not fields.
   */
  merge(given: unknown, givesWay = false, options?: object): void {
    mergeInto(this.#kind, this.fields, given, this.#trace.scope.reporter, givesWay, options);
  }

  /** The fields that a trace's row takes over from its root span, as Python's `@track` does. */
  get mirrored(): RowFields {
    const { name, input, output, metadata, tags, error } = this.fields;
    return { name, input, output, metadata, tags, error };
  }

  /** Writes the final row, with `root` for the fields that it has not set. */
  write(endMs: number, unfinished: boolean, root?: RowFields): void {
    this.#trace.append(this.#row(endMs, Math.max(endMs, this.#earlyMs + 1), unfinished, root));
    this.fields = NO_FIELDS;
  }

  /** Writes the row early, at most once. Returns `false` if that was done before, or if nothing is kept. */
  writeEarly(root?: RowFields): boolean {
    if (this.#earlyMs > 0 || this.#trace.isSilent) return false;
    this.#earlyMs = this.#trace.now();
    this.#trace.scope.appendCheckpoint(this.#row(-1, this.#earlyMs, true, root));
    return true;
  }

  #row(endMs: number, updatedMs: number, unfinished: boolean, root: RowFields | undefined): Row {
    const { id: traceId, scope, room } = this.#trace;
    let fields = this.fields;
    if (root) {
      fields = new Fields();
      mergeInto(this.#kind, fields, root, scope.reporter);
      mergeInto(this.#kind, fields, this.fields, scope.reporter);
    }
    const { text, outputAt } = rowText(this.#id, traceId, this.#parentId, fields, scope, unfinished);
    return { kind: this.#kind, text, outputAt, startMs: this.#startMs, endMs, updatedMs, unfinished, room };
  }
}

/**
 * Merges as Opik's Python SDK does: objects are merged, tags are added, other fields are replaced. `undefined` and values
 * that cannot be read (a getter that throws) leave a field as it is.
 */
function mergeInto(
  kind: number,
  into: Fields,
  given: unknown,
  reporter: Reporter,
  givesWay = false,
  options?: object,
): void {
  const fields = into as unknown as Record<string, unknown>;
  const update = (given ?? {}) as Record<string, unknown>; // JavaScript callers may pass null
  const names = namesOf(update, reporter);
  const known = kind === TRACE_ROW ? TRACE_FIELDS : SPAN_FIELDS;
  let isKnown = typeof update === "object";
  for (const key of names) {
    try {
      if (!Object.hasOwn(known, key)) {
        isKnown &&= (options !== undefined && Object.hasOwn(options, key)) || names === NAMES;
        continue;
      }
      const value = update[key];
      if (value === undefined || (names === NAMES && value === PROTOTYPE[key]) || (value === null && key === "error"))
        continue;
      const before = fields[key];
      fields[key] =
        before === undefined ? value : givesWay ? mergeValues(key, value, before) : mergeValues(key, before, value);
    } catch (error) {
      const note = unserializable(key, error, reporter);
      // The API would refuse the note in most other fields.
      if (key === "input" || key === "output") fields[key] ??= note;
    }
  }
  if (isKnown) return;
  const what = `field of a ${kind === TRACE_ROW ? "trace" : "span"}`;
  tellUnknown(reporter, given, what, { ...known, ...options }, "field_dropped");
}

/** The names to look at: every field for a class instance, because its members may be inherited. */
function namesOf(given: object, reporter: Reporter): readonly string[] {
  try {
    return isPlain(given) ? Object.keys(given) : NAMES;
  } catch (error) {
    unserializable("fields", error, reporter); // a revoked proxy
    return [];
  }
}

function mergeValues(key: string, before: unknown, value: unknown): unknown {
  if (key === "tags" && Array.isArray(before) && Array.isArray(value)) return [...before, ...value];
  if (!isPlain(before) || !isPlain(value)) return value;
  try {
    return { ...before, ...value };
  } catch {
    // Keeps a getter that throws; serialisation reports it later.
    const members = [before, value].map(Object.getOwnPropertyDescriptors);
    return Object.defineProperties({}, Object.assign({}, ...members));
  }
}

/** Separates the fields; JSON.stringify always escapes it (RFC 8259 §7). */
const SEPARATOR = "\u001f";

/** The text of a row as `src/span.rs` reads it: ids and fields in order, each empty if it is not set. */
function rowText(
  id: string,
  traceId: string,
  parentId: string,
  fields: AnyFields,
  scope: Writing,
  isUnfinished: boolean,
): RowText {
  const { redact, recordInputs, recordOutputs, projectJson, environmentJson } = scope.settings;
  const thrown = (fields.error ?? undefined) === undefined ? undefined : describeThrown(fields.error, scope);
  const output = recordOutputs ? write(scope, "output", fields.output, redact) : "";
  // The user's rules apply to everything except numbers and names that the API defines.
  const text = [
    id,
    traceId,
    parentId,
    write(scope, "name", fields.name, redact),
    write(scope, "type", fields.type),
    write(scope, "tags", fields.tags, redact),
    write(scope, "model", fields.model),
    write(scope, "provider", fields.provider),
    write(scope, "usage", fields.usage),
    write(scope, "totalEstimatedCost", fields.totalEstimatedCost),
    write(scope, "ttft", fields.ttft),
    write(scope, "error", thrown?.type, redact),
    write(scope, "error", thrown?.message, redact),
    write(scope, "error", thrown?.traceback, redact),
    write(scope, "threadId", fields.threadId, redact),
    projectJson,
    environmentJson,
    withoutMark(write(scope, "metadata", fields.metadata, redact), isUnfinished),
    recordInputs ? write(scope, "input", fields.input, redact) : "",
    output,
  ].join(SEPARATOR);
  return { text, outputAt: text.length - output.length };
}

/** Metadata without `opik_edge_unfinished`, which the core adds to an unfinished span. */
function withoutMark(json: string, isUnfinished: boolean): string {
  // Most metadata lacks the member and need not be parsed.
  if (!isUnfinished || !json.startsWith("{") || !json.includes('"opik_edge_unfinished":')) return json;
  const { opik_edge_unfinished: _, ...rest } = JSON.parse(json);
  return JSON.stringify(rest);
}

/** A short text that only needs quotes to be JSON. This test takes a third of the time of JSON.stringify. */
const SIMPLE = /^[\w .:/-]{0,64}$/;

function write(scope: Writing, field: string, value: unknown, rules?: Redact): string {
  if (value === undefined) return "";
  if (typeof value === "string" && !rules && SIMPLE.test(value)) return `"${value}"`;
  try {
    if (!(value instanceof JsonText)) return toJson(value, field, scope, rules) ?? "";
    return rules ? write(scope, field, value.toJSON(), rules) : value.text;
  } catch (error) {
    return JSON.stringify(masked(field, error, scope.reporter));
  }
}

/** Masks a field whose redactor failed, because it is unknown which parts were to be hidden. */
export function masked(field: string, error: unknown, reporter: Reporter): string {
  reporter.once("redaction_failed", `${field} was masked whole: mend what \`redact\` does with it`, error, field);
  return REDACTED;
}

/** `error_info` of a row. */
interface Thrown {
  readonly type: string;
  readonly message: string;
  readonly traceback?: string | undefined;
}

/** Type, message and traceback of any thrown value. The core fills in missing parts. */
function describeThrown(given: unknown, scope: Writing): Thrown {
  try {
    const thrown = given instanceof ThrownNothing ? given.thrown : given;
    if (isError(thrown)) {
      const { name, message } = describeError(thrown);
      return { type: name || thrown.constructor.name, message, traceback: withCauses(thrown, scope) };
    }
    const type = typeof thrown === "object" && thrown !== null ? thrown.constructor?.name || "Object" : typeof thrown;
    return { type, message: textOf(thrown, scope) };
  } catch {
    return { type: "Error", message: "[unreadable error]" };
  }
}

function textOf(thrown: unknown, scope: Writing): string {
  const text = isError(thrown)
    ? (thrown.stack ?? `${thrown.name}: ${thrown.message}`)
    : typeof thrown === "string"
      ? thrown
      : (toJson(thrown, "error", scope, scope.settings.redact) ?? String(thrown));
  return hideQueries(text);
}

/** Maximum number of errors in a traceback. */
const MAX_CAUSES = 8;

/** The stacks of an error, of its causes, and of the errors that it combines. */
function withCauses(error: Error, scope: Writing): string {
  const found = new Set<unknown>([error]); // a cause may lead back to its effect
  const parts: string[] = [];
  for (const thrown of found) {
    try {
      if (parts.push(textOf(thrown, scope)) === MAX_CAUSES) break;
      const { cause, errors, error: last, suppressed } = describeError(thrown as Error);
      const members = Array.isArray(errors) ? errors.slice(0, MAX_CAUSES) : [];
      for (const one of [cause, ...members, last, suppressed]) if (one !== undefined) found.add(one);
    } catch {
      // An error that cannot be read, or a value without members.
    }
  }
  return parts.join("\nCaused by: ");
}
