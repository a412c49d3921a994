// Reads attributes of OpenTelemetry's spans. src/llm/attributes.rs has the table.

import { getReader } from "./reader.js";

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
