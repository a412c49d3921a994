// The fields of spans and traces, and the text in which they are handed to the core. How they come together is open-row.ts; the row
// itself is written in src/span.rs.

import type { Reporter } from "../errors.js";
import type { RowText } from "../platform/model.js";
import type { Redact } from "../settings.js";
import { describeError, hideQueries, isError, REDACTED, toJson, type Writing } from "./json.js";
import type { SpanFields, TraceFields } from "./model.js";

/** Fields of any row. */
export type AnyFields = SpanFields & TraceFields;

/** Stands among fields for what was thrown where it is `undefined` or `null`, which mean there that nothing was. */
export class ThrownNothing {
  constructor(readonly thrown: undefined | null) {}
}

/** Between fields; JSON.stringify never leaves it unescaped (RFC 8259 §7). */
const SEPARATOR = "\u001f";

/** The text of a row as `src/span.rs` reads it: its ids and its fields in order, empty where there is none. */
export function rowText(
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
    withoutMark(write(scope, "metadata", fields.metadata, redact), isUnfinished),
    recordInputs ? write(scope, "input", fields.input, redact) : "",
    output,
  ].join(SEPARATOR);
  return { text, outputAt: text.length - output.length };
}

/** Metadata without the member that the core adds where the span is unfinished. */
function withoutMark(json: string, isUnfinished: boolean): string {
  // Most have no such member, and need not be parsed.
  if (!isUnfinished || !json.startsWith("{") || !json.includes('"opik_edge_unfinished":')) return json;
  const { opik_edge_unfinished: _, ...rest } = JSON.parse(json);
  return JSON.stringify(rest);
}

function write(scope: Writing, field: string, value: unknown, rules?: Redact): string {
  if (value === undefined) return "";
  try {
    return toJson(value, field, scope, rules) ?? "";
  } catch (error) {
    return JSON.stringify(masked(field, error, scope.reporter));
  }
}

/** A field that a redactor failed on: what it would have hidden is not known, so nothing is shown. */
export function masked(field: string, error: unknown, reporter: Reporter): string {
  reporter.once("redaction_failed", `${field} was masked whole, since it could not be redacted`, error, field);
  return REDACTED;
}

/** `error_info` of a row. */
interface Thrown {
  readonly type: string;
  readonly message: string;
  readonly traceback?: string | undefined;
}

/** Type, message and traceback of anything that can be thrown. The core fills in what is missing. */
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

/** How many errors a traceback is made of. */
const MAX_CAUSES = 8;

/** The stacks of an error, of its causes, and of the errors that it stands for. */
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
      // One that can not be read, or has no members.
    }
  }
  return parts.join("\nCaused by: ");
}
