// The floor: what the request costs without a tracer. Ids from pooled random bytes, one JSON.stringify, one upload; nothing
// is checked, nothing can fail, nothing nests by itself.

import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS, type Work } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { readOpikRows } from "./opik-rows.js";

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const pool = new Uint8Array(2048);
let used = pool.length;

/** A UUIDv7. */
function mint(now: number): string {
  if (used + 10 > pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  const hex = (count: number): string => {
    let digits = "";
    for (let n = 0; n < count; n += 1) digits += HEX[pool[used++]!];
    return digits;
  };
  const time = now.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(2).slice(1)}-8${hex(2).slice(1)}-${hex(6)}`;
}

/** The caller's ids. */
function extract(): [traceId: string, spanId: string] {
  const traceId = HEADERS.get("opik_trace_id")!;
  const spanId = HEADERS.get("opik_parent_span_id")!;
  if (!ID.test(traceId) || !ID.test(spanId)) throw new Error("no ids");
  return [traceId, spanId];
}

/** In both spellings, as they have to be. */
function headersOf(traceId: string, spanId: string): Record<string, string> {
  return {
    opik_trace_id: traceId,
    opik_parent_span_id: spanId,
    "opik-trace-id": traceId,
    "opik-parent-span-id": spanId,
  };
}

export const contender: Contender = {
  async request({ root, children }) {
    const [traceId, callerId] = extract();
    const rows: object[] = [];
    const now = Date.now();
    const rootId = mint(now);
    const start_time = new Date(now).toISOString();
    const row = (id: string, parent_span_id: string, start: string, work: Work, output: object): void => {
      rows.push({
        id,
        trace_id: traceId,
        parent_span_id,
        project_name: "bench",
        name: work.name,
        type: work.type,
        start_time: start,
        end_time: new Date().toISOString(),
        input: work.input,
        output,
        model: work.model,
        provider: work.provider,
        usage: work.usage,
      });
    };
    for (const work of children) {
      const begun = Date.now();
      const id = mint(begun);
      if (work.calls) headersOf(traceId, id);
      const start = new Date(begun).toISOString();
      if (work.chunks) await readAll(streamOf(work, (output) => row(id, rootId, start, work, output)));
      else row(id, rootId, start, work, await done(work));
    }
    row(rootId, callerId, start_time, root, await done(root));
    await fetch(`${SINK_URL}/v1/private/spans/batch`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "key", "comet-workspace": "default" },
      body: JSON.stringify({ spans: rows }),
    });
  },
  headers() {
    const [traceId] = extract();
    return headersOf(traceId, mint(Date.now()));
  },
  read: readOpikRows,
};
