// Reads attributes of OpenTelemetry's spans. src/llm/attributes.rs has the table.

import { toJson } from "../record/json.js";
import type { OpenScope, SpanOptions } from "../record/model.js";
import { getReader } from "./reader.js";

/** The fields that attributes give. Where WebAssembly is blocked, there are no fields. */
export function attributeFields(attributes: object, scope: OpenScope): SpanOptions {
  try {
    const json = toJson(attributes, "metadata", scope) ?? "{}";
    const { total_estimated_cost, thread_id, trace_id, parent_span_id, id, ...fields } = readAttributes(json);
    return { ...fields, totalEstimatedCost: total_estimated_cost, threadId: thread_id };
  } catch (error) {
    scope.reporter.failure(error);
    return {};
  }
}

/** Members of a row, by the names that Opik's API has for them. Input, output and metadata are objects. */
export interface AttributeFields {
  readonly type: "general" | "llm" | "tool";
  readonly model?: string;
  readonly provider?: string;
  readonly usage?: Readonly<Record<string, number>>;
  readonly total_estimated_cost?: number;
  /** In ms. */
  readonly ttft?: number;
  readonly thread_id?: string;
  readonly tags?: readonly string[];
  /** Ids that the attributes state; each a UUIDv7. */
  readonly trace_id?: string;
  readonly parent_span_id?: string;
  readonly id?: string;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly output?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** The fields that attributes give, from their JSON `{name: value}`. Throws an `OpikError` where WebAssembly is blocked. */
export function readAttributes(json: string): AttributeFields {
  const reader = getReader();
  const [fields = ""] = reader.run((exports) => {
    reader.stage(json);
    exports.readAttributes();
    return reader.output();
  });
  return JSON.parse(fields);
}
