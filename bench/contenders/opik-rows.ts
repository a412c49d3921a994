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

/** The spans posted to `spans/batch`, with the changes that the official SDK sends in separate requests. */
export function readOpikRows(received: readonly Received[]): Delivered[] {
  const rows = new Map<string, SpanRow>();
  const later: [id: string, change: Partial<SpanRow>][] = [];
  for (const { url, body } of received) {
    const json = JSON.parse(new TextDecoder().decode(body));
    const changed = /\/spans\/([0-9a-f-]{36})$/.exec(url)?.[1];
    if (changed) later.push([changed, json]);
    else if (url.endsWith("/spans/batch")) for (const row of json.spans as SpanRow[]) rows.set(row.id, row);
  }
  for (const [id, change] of later) rows.set(id, { ...rows.get(id), ...change, id } as SpanRow);
  return [...rows.values()].map(({ id, trace_id, parent_span_id, name, input, output }) => ({
    id,
    traceId: trace_id,
    parentId: parent_span_id,
    name,
    input,
    output,
  }));
}
