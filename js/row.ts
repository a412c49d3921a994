// What the rows of spans and traces have in common: their fields, how an update merges into them, and
// the text in which they are handed to the core. The row itself is written in src/span.rs.

import type { RowText } from "./core.js";
import type { Reporter } from "./errors.js";
import { toJson } from "./json.js";
import { REDACTED, type Redact } from "./redact.js";
import type { Scope } from "./scope.js";

/** Fields of every row. Values are read when the span ends: what is changed until then is recorded changed. */
export interface RowFields {
  /** What is shown in the list (`name`). */
  name?: string | undefined;
  /** Any value; what is not an object is sent as `{ input: value }` (`input`). Objects merge on update. */
  input?: unknown;
  /** Any value; what is not an object is sent as `{ output: value }` (`output`). Objects merge on update. */
  output?: unknown;
  /** Merges on update (`metadata`). */
  metadata?: Record<string, unknown> | undefined;
  /** Added to those already there; each once (`tags`). */
  tags?: readonly string[] | undefined;
  /** What was thrown, of any type (`error_info`: its class, its message, its stack). */
  error?: unknown;
}

/** Fields that only spans have. */
export interface SpanFields extends RowFields {
  /** `general` by default (`type`). */
  type?: SpanType | undefined;
  /** The model called, for `llm` spans (`model`). */
  model?: string | undefined;
  /** Its provider: `openai`, `anthropic`, `google_ai`, … (`provider`). */
  provider?: string | undefined;
  /** Token counts, int32; nested objects are flattened with dots. Merges on update (`usage`). */
  usage?: object | undefined;
  /** In US dollars, ≥ 0 (`total_estimated_cost`). */
  totalEstimatedCost?: number | undefined;
  /** Milliseconds to the first token, ≥ 0 (`ttft`). */
  ttft?: number | undefined;
}

/** The kinds of span that Opik knows (`type` of `Span_Write`). */
export type SpanType = "general" | "tool" | "llm" | "guardrail";

/** Fields that only traces have. */
export interface TraceFields extends RowFields {
  /** Groups traces into a conversation (`thread_id`). */
  threadId?: string | undefined;
}

type AnyFields = SpanFields & TraceFields;

/** Stands for `throw undefined` among fields, where `undefined` means that there is none. */
export const UNDEFINED_THROWN: unique symbol = Symbol("undefined");

/**
 * Merges `update` into `fields`, in place, as Opik's Python SDK does: objects merge, tags add up, the rest is
 * replaced; `undefined` leaves a field as it is, and so does a value that can not be read (a getter that throws).
 */
export function mergeFields<T extends RowFields>(fields: T, update: T, reporter: Reporter): T {
  const merged = fields as Record<string, unknown>;
  for (const key of Object.keys(update ?? {})) {
    try {
      const value = (update as Record<string, unknown>)[key];
      if (value !== undefined) merged[key] = mergeValues(key, merged[key], value);
    } catch (error) {
      unserializable(key, error, reporter);
    }
  }
  return fields;
}

function mergeValues(key: string, before: unknown, value: unknown): unknown {
  if (key === "tags" && Array.isArray(before) && Array.isArray(value)) return [...before, ...value];
  return isPlainObject(before) && isPlainObject(value) ? { ...before, ...value } : value;
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Fields of an object of our own. Each is named: engines copy objects of one shape several times as fast. */
export function copySpanFields(given: SpanFields | undefined): SpanFields {
  const { type, model, provider, usage, totalEstimatedCost, ttft } = given ?? {}; // JavaScript may say null
  return { ...copyRowFields(given ?? {}), type, model, provider, usage, totalEstimatedCost, ttft };
}

/** What the row of a trace takes over from its root span (Python's `@track`). */
export function copyRowFields({ name, input, output, metadata, tags, error }: RowFields): TraceFields {
  return { name, input, output, metadata, tags, error };
}

/** Between fields; JSON.stringify never leaves it unescaped (RFC 8259 §7). */
const SEPARATOR = "\u001f";

/** The text of a row as `src/span.rs` reads it: its ids and its fields in order, empty where there is none. */
export function rowText(id: string, traceId: string, parentId: string, fields: AnyFields, scope: Scope): RowText {
  const { redact, recordInputs, recordOutputs, projectJson, environmentJson } = scope.settings;
  const thrown = fields.error === undefined ? undefined : describeThrown(fields.error, scope);
  const output = recordOutputs ? write(scope, "output", fields.output, redact) : "";
  // What the user's rules apply to is everything that is not a number, or a name that the API knows.
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
    write(scope, "metadata", fields.metadata, redact),
    recordInputs ? write(scope, "input", fields.input, redact) : "",
    output,
  ].join(SEPARATOR);
  return { text, outputAt: text.length - output.length };
}

function write({ masks, reporter }: Scope, field: string, value: unknown, rules?: Redact): string {
  if (value === undefined) return "";
  try {
    return toJson(value, masks, rules, field) ?? "";
  } catch (error) {
    return JSON.stringify(rules ? masked(field, error, reporter) : unserializable(field, error, reporter));
  }
}

/** A field that a redactor failed on: what it would have hidden is not known, so nothing is shown. */
function masked(field: string, error: unknown, reporter: Reporter): string {
  reporter.once("redaction_failed", `${field} was masked whole, since it could not be redacted`, error, field);
  return REDACTED;
}

function unserializable(field: string, error: unknown, reporter: Reporter): string {
  const message = error instanceof Error ? error.message : String(error);
  reporter.once("unserializable", `${field} could not be written as JSON: ${message}`, error, field);
  return `[unserializable: ${message}]`;
}

/** `error_info` of a row. */
interface Thrown {
  readonly type: string;
  readonly message: string;
  readonly traceback?: string | undefined;
}

/** Type, message and traceback of anything that can be thrown. The core fills in what is missing. */
function describeThrown(thrown: unknown, { masks, settings }: Scope): Thrown {
  try {
    if (thrown === UNDEFINED_THROWN) return { type: "undefined", message: "undefined" };
    if (thrown instanceof Error) {
      return { type: thrown.name || thrown.constructor.name, message: thrown.message, traceback: withCauses(thrown) };
    }
    const type = typeof thrown === "object" && thrown !== null ? thrown.constructor?.name || "Object" : typeof thrown;
    if (typeof thrown === "string") return { type, message: thrown };
    return { type, message: toJson(thrown, masks, settings.redact, "error") ?? String(thrown) };
  } catch {
    return { type: "Error", message: "[unreadable error]" };
  }
}

function withCauses(error: Error): string | undefined {
  const parts: string[] = [];
  // Bounded: a cause may lead back to its effect.
  for (let cause: unknown = error; cause instanceof Error && parts.length < 8; cause = cause.cause) {
    parts.push(cause.stack ?? `${cause.name}: ${cause.message}`);
  }
  return parts.join("\nCaused by: ");
}
