// This package with spans that are ended by hand, without callbacks.

import { Opik } from "opik-edge";
import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { fieldsOf } from "./opik-edge.js";
import { readOpikRows } from "./opik-rows.js";

const opik = new Opik({ url: SINK_URL, apiKey: "key", projectName: "bench" });

export const contender: Contender = {
  async request({ root, children }) {
    const rootSpan = opik.span({ ...fieldsOf(root), parent: HEADERS });
    for (const work of children) {
      const span = rootSpan.span(fieldsOf(work));
      if (work.calls) span.headers();
      const end = (output: object): void => {
        span.update({ output, usage: work.usage });
        span.end();
      };
      if (work.chunks) await readAll(streamOf(work, end));
      else end(await done(work));
    }
    rootSpan.update({ output: await done(root) });
    rootSpan.end();
    await opik.flush();
  },
  read: readOpikRows,
};
