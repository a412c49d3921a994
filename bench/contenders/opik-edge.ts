// This package, as README.md shows it ("Without a Worker"). Spans are opened under the one at hand, which works in every runtime.

import { type HeaderCarrier, Opik, type OpikConfig } from "opik-edge";
import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS, type Work } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { readOpikRows } from "./opik-rows.js";

/** A client with more settings, whose roots are opened under `parent`. */
export function withClient(config: OpikConfig, parent: HeaderCarrier | null): Contender {
  const opik = new Opik({ url: SINK_URL, apiKey: "key", projectName: "bench", ...config });
  return {
    async request({ root, children }) {
      await opik.span({ ...fieldsOf(root), parent }, async (rootSpan) => {
        for (const work of children) {
          if (work.chunks) {
            const answer = rootSpan.span(fieldsOf(work), (span) => {
              if (work.calls) span.headers();
              return streamOf(work, (output) => span.update({ output, usage: work.usage }));
            });
            await readAll(answer);
          } else {
            await rootSpan.span(fieldsOf(work), async (span) => {
              if (work.calls) span.headers();
              span.update({ output: await done(work), usage: work.usage });
            });
          }
        }
        rootSpan.update({ output: await done(root) });
      });
      await opik.flush();
    },
    headers() {
      return opik.span({ name: "hop", parent }).headers();
    },
    read: readOpikRows,
  };
}

export const contender: Contender = withClient({}, HEADERS);

/** Options of a new span. */
export function fieldsOf({ name, type, input, model, provider }: Work) {
  return { name, type, input, model, provider };
}
