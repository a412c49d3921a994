// What the rows of spans and traces have in common: their fields, how an update merges into them, and
// the text in which they are handed to the core. The row itself is written in src/span.rs.

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

/** Between fields; JSON.stringify never leaves it unescaped (RFC 8259 §7). */
const SEPARATOR = "\u001f";

/** The text of a row as `src/span.rs` reads it: its fields in order, empty where there is none. */
export function rowText(ids: readonly [string, string, string], fields: AnyFields, scope: Scope): string {
  const { masks, reporter } = scope;
  const { redact, recordInputs, recordOutputs } = scope.settings;
  const write = (value: unknown, field: string, rules?: Redact): string => {
    if (value === undefined) return "";
    try {
      return toJson(value, masks, rules, field) ?? "";
    } catch (error) {
      return JSON.stringify(rules ? masked(field, error, reporter) : unserializable(field, error, reporter));
    }
  };
  /** What the user's rules apply to: everything that is not a number, or a name that the API knows. */
  const json = (value: unknown, field: string): string => write(value, field, redact);
  const [errorType, errorMessage, errorTraceback] =
    fields.error === undefined ? [] : describeThrown(fields.error, (value) => toJson(value, masks, redact, "error"));
  return [
    ...ids,
    json(fields.name, "name"),
    write(fields.type, "type"),
    recordInputs ? json(fields.input, "input") : "",
    recordOutputs ? json(fields.output, "output") : "",
    json(fields.metadata, "metadata"),
    json(fields.tags, "tags"),
    write(fields.model, "model"),
    write(fields.provider, "provider"),
    write(fields.usage, "usage"),
    write(fields.totalEstimatedCost, "totalEstimatedCost"),
    write(fields.ttft, "ttft"),
    json(errorType, "error"),
    json(errorMessage, "error"),
    json(errorTraceback, "error"),
    json(fields.threadId, "threadId"),
    scope.projectJson,
    scope.environmentJson,
  ].join(SEPARATOR);
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

/** Type, message and traceback of anything that can be thrown. The core fills in what is missing. */
function describeThrown(
  thrown: unknown,
  json: (value: unknown) => string | undefined,
): [type: string, message: string, traceback?: string | undefined] {
  try {
    if (thrown === UNDEFINED_THROWN) return ["undefined", "undefined"];
    if (thrown instanceof Error) {
      const type = thrown.name || thrown.constructor.name;
      return [type, thrown.message, withCauses(thrown)];
    }
    const type = typeof thrown === "object" && thrown !== null ? thrown.constructor?.name || "Object" : typeof thrown;
    return [type, typeof thrown === "string" ? thrown : (json(thrown) ?? String(thrown))];
  } catch {
    return ["Error", "[unreadable error]"];
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
