// This package, as README.md shows it ("Without a Worker").

import { Opik } from "opik-edge";
import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS, type Work } from "../shapes.js";
import { done } from "../work.js";
import { readOpikRows } from "./opik-rows.js";

const opik = new Opik({ url: SINK_URL, apiKey: "key", projectName: "bench" });

export const contender: Contender = {
  async request({ root, children }) {
    await opik.span({ ...fieldsOf(root), parent: HEADERS }, async (rootSpan) => {
      for (const work of children) {
        await opik.span(fieldsOf(work), async (span) => {
          if (work.calls) span.headers();
          span.update({ output: await done(work), usage: work.usage });
        });
      }
      rootSpan.update({ output: await done(root) });
    });
    await opik.flush();
  },
  headers() {
    return opik.span({ name: "hop", parent: HEADERS }).headers();
  },
  read: readOpikRows,
};

function fieldsOf({ name, type, input, model, provider }: Work) {
  return { name, type, input, model, provider };
}
