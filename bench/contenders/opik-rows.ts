// Opik's own format, which three contenders write.

import type { Delivered, Received } from "../contender.js";

interface SpanRow {
  readonly id: string;
  readonly trace_id: string;
  readonly parent_span_id?: string;
  readonly name: string;
  readonly input: unknown;
  readonly output: unknown;
}

/** The spans of what was posted to `spans/batch`. */
export function readOpikRows(received: readonly Received[]): Delivered[] {
  return received
    .filter(({ url }) => url.endsWith("/spans/batch"))
    .flatMap(({ body }) => (JSON.parse(new TextDecoder().decode(body)) as { spans: SpanRow[] }).spans)
    .map(({ id, trace_id, parent_span_id, name, input, output }) => ({
      id,
      traceId: trace_id,
      parentId: parent_span_id,
      name,
      input,
      output,
    }));
}
