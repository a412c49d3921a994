// Opik's official SDK, as its README shows it. It has no way to join a caller's trace: the closest is a trace with the caller's
// id, whose row then replaces the caller's.

import { Opik, OpikSpanType, setLoggerLevel } from "opik";
import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS, type Work } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { readOpikRows } from "./opik-rows.js";

setLoggerLevel("ERROR");
const client = new Opik({ apiUrl: SINK_URL, apiKey: "key", projectName: "bench", workspaceName: "default" });

const TYPES = { general: OpikSpanType.General, tool: OpikSpanType.Tool, llm: OpikSpanType.Llm };

function fieldsOf({ name, type, input, model, provider }: Work) {
  return { name, type: TYPES[type], input, ...(model && { model }), ...(provider && { provider }) } as never;
}

export const contender: Contender = {
  async request({ root, children }) {
    const trace = client.trace({ id: HEADERS.get("opik_trace_id")!, name: root.name });
    const rootSpan = trace.span({
      ...(fieldsOf(root) as { name: string }),
      parentSpanId: HEADERS.get("opik_parent_span_id")!,
    });
    for (const work of children) {
      const span = rootSpan.span(fieldsOf(work));
      if (work.calls) headersOf(span.data);
      const end = (output: object): void => {
        span.update({ output: output as never, ...(work.usage && { usage: work.usage }) });
        span.end();
      };
      if (work.chunks) await readAll(streamOf(work, end));
      else end(await done(work));
    }
    rootSpan.update({ output: (await done(root)) as never });
    rootSpan.end();
    trace.end();
    await client.flush();
  },
  read: readOpikRows,
};

/** Its own `getDistributedTraceHeaders` knows only the spans of `track`. */
function headersOf({ traceId, id }: { traceId?: string; id: string }) {
  return { opik_trace_id: traceId, opik_parent_span_id: id };
}
