// Reads the names and attributes of spans of AI SDK 5 and 6. src/llm/attributes.rs has the table of their attributes.

import { attributeFields } from "../llm/attributes.js";
import type { OpenScope, SpanOptions } from "../record/model.js";
import { textOf } from "./model-call.js";

/** Attributes by name. Their values are texts, numbers, lists of these, and JSON. */
export type Attributes = Readonly<Record<string, unknown>>;

/** The kinds of span: a call, a model call, a tool. */
export type Kind = "general" | "llm" | "tool";

/** The beginning of a span. */
export interface Begun {
  readonly kind: Kind;
  /** Its name; of a model call the operation. */
  readonly name: string;
}

/** Reads the beginning of a span. */
export function readBegun(name: string, attributes: Attributes): Begun {
  if (name === "ai.toolCall") return { kind: "tool", name: `${attributes["ai.toolCall.name"]}` };
  const [, operation] = /\.do([A-Z]\w*)$/.exec(name) ?? [];
  if (!operation) {
    return { kind: "general", name: textOf(attributes["ai.telemetry.functionId"]) ?? name.replace("ai.", "") };
  }
  return { kind: "llm", name: operation === "Embed" ? "embeddings" : operation === "Rerank" ? "rerank" : "chat" };
}

/** The fields of the row of a span, by all of its attributes so far. */
export function readFields(name: string, attributes: Attributes, scope: OpenScope): SpanOptions {
  return attributeFields({ "ai.operationId": name, ...attributes }, scope);
}
