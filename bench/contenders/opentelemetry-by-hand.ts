// OpenTelemetry JS: spans that are ended by hand, with contexts that are handed on by hand.

import { propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import type { Contender } from "../contender.js";
import { HEADERS } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { attributesOf, endWith, INPUT, OUTPUT, provider, tracer } from "./opentelemetry-setup.js";
import { getter, readOtlp } from "./otlp.js";

export const contender: Contender = {
  async request({ root, children }) {
    const caller = propagation.extract(ROOT_CONTEXT, HEADERS, getter);
    const rootSpan = tracer.startSpan(root.name, { attributes: attributesOf(root) }, caller);
    const below = trace.setSpan(caller, rootSpan);
    for (const work of children) {
      const span = tracer.startSpan(work.name, { attributes: attributesOf(work) }, below);
      if (work.calls) propagation.inject(trace.setSpan(below, span), {});
      if (work.chunks) await readAll(streamOf(work, (output) => endWith(span, work, output)));
      else endWith(span, work, await done(work));
    }
    endWith(rootSpan, root, await done(root));
    await provider.forceFlush();
  },
  headers() {
    const caller = propagation.extract(ROOT_CONTEXT, HEADERS, getter);
    const carrier: Record<string, string> = {};
    propagation.inject(trace.setSpan(caller, tracer.startSpan("hop", {}, caller)), carrier);
    return carrier;
  },
  read: readOtlp(INPUT, OUTPUT),
};
