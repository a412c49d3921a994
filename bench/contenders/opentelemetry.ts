// OpenTelemetry JS: spans in callbacks.

import { context, propagation } from "@opentelemetry/api";
import type { Contender } from "../contender.js";
import { HEADERS } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { attributesOf, endWith, INPUT, OUTPUT, provider, tracer } from "./opentelemetry-setup.js";
import { getter, readOtlp } from "./otlp.js";

export const contender: Contender = {
  async request({ root, children }) {
    const caller = propagation.extract(context.active(), HEADERS, getter);
    await tracer.startActiveSpan(root.name, { attributes: attributesOf(root) }, caller, async (rootSpan) => {
      for (const work of children) {
        const options = { attributes: attributesOf(work) };
        if (work.chunks) {
          const answer = tracer.startActiveSpan(work.name, options, (span) => {
            if (work.calls) propagation.inject(context.active(), {});
            return streamOf(work, (output) => endWith(span, work, output));
          });
          await readAll(answer);
        } else {
          await tracer.startActiveSpan(work.name, options, async (span) => {
            if (work.calls) propagation.inject(context.active(), {});
            endWith(span, work, await done(work));
          });
        }
      }
      endWith(rootSpan, root, await done(root));
    });
    await provider.forceFlush();
  },
  read: readOtlp(INPUT, OUTPUT),
};
