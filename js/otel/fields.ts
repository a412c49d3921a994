// The fields of a row from a span of OpenTelemetry: its attributes (src/llm/attributes.rs), its events and its status.

import { namedError } from "../errors.js";
import { attributeFields } from "../llm/attributes.js";
import { hasSeenIn } from "../llm/reader.js";
import type { OpenScope, SpanOptions } from "../record/model.js";
import type { OtelSpan } from "./model.js";

/** Events whose attributes belong to the span: the AI SDK's events, and the conventions' details of a call. */
const DETAILS = /^(ai\.|gen_ai\.client\.)/;
/** The name that Opik's endpoint gives to events in metadata. Their time is a text here, because JavaScript cannot count so far. */
const EVENTS = "opentelemetry.events";

/** The fields of the row of `span`, which belongs to `given`. */
export function fieldsOf(given: OtelSpan, span: object, scope: OpenScope): SpanOptions {
  const attributes: Record<string, unknown> = { ...given.attributes };
  const events: object[] = [];
  const { code, message = "" } = given.status;
  let error = code === 2 ? namedError("Error", message) : undefined;
  for (const event of given.events) {
    const { name, time, attributes: its = {} } = event;
    if (name === "exception") error = errorOf(its);
    else if (DETAILS.test(name)) Object.assign(attributes, its);
    else events.push({ name, time_unix_nano: `${time[0]}${`${time[1]}`.padStart(9, "0")}`, attributes: its });
  }
  const { recordInputs, recordOutputs } = scope.settings;
  // Events may repeat messages.
  if (events.length > 0 && recordInputs && recordOutputs) attributes[EVENTS] = events;
  const fields = attributeFields(attributes, scope);
  return {
    ...fields,
    name: given.name,
    // Tokens stand once: an observer has recorded them in the span of the call.
    usage: hasSeenIn(span) ? undefined : fields.usage,
    error,
  };
}

/** The error that an event of the name `exception` describes. */
function errorOf(attributes: Readonly<Record<string, unknown>>): Error {
  const {
    "exception.type": type = "Error",
    "exception.message": message = "",
    "exception.stacktrace": stack,
  } = attributes;
  return Object.assign(namedError(`${type}`, `${message}`), { stack });
}
