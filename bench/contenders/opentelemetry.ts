// OpenTelemetry JS: BasicTracerProvider, BatchSpanProcessor, OTLP as JSON. Payloads are JSON texts, since an attribute is
// no object; the names are those of its conventions for generative AI.

import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS, type Work } from "../shapes.js";
import { done } from "../work.js";
import { getter, readOtlp } from "./otlp.js";

const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url: `${SINK_URL}/v1/traces` }));
const provider = new BasicTracerProvider({ spanProcessors: [processor] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const tracer = trace.getTracer("bench");

const INPUT = "gen_ai.input.messages";
const OUTPUT = "gen_ai.output.messages";

export const contender: Contender = {
  async request({ root, children }) {
    const caller = propagation.extract(context.active(), HEADERS, getter);
    await tracer.startActiveSpan(root.name, { attributes: attributesOf(root) }, caller, async (rootSpan) => {
      for (const work of children) {
        await tracer.startActiveSpan(work.name, { attributes: attributesOf(work) }, async (span) => {
          if (work.calls) propagation.inject(context.active(), {});
          span.setAttribute(OUTPUT, JSON.stringify(await done(work)));
          if (work.usage) {
            span.setAttribute("gen_ai.usage.input_tokens", work.usage.prompt_tokens);
            span.setAttribute("gen_ai.usage.output_tokens", work.usage.completion_tokens);
          }
          span.end();
        });
      }
      rootSpan.setAttribute(OUTPUT, JSON.stringify(await done(root)));
      rootSpan.end();
    });
    await provider.forceFlush();
  },
  headers() {
    const caller = propagation.extract(context.active(), HEADERS, getter);
    const carrier: Record<string, string> = {};
    propagation.inject(trace.setSpan(caller, tracer.startSpan("hop", {}, caller)), carrier);
    return carrier;
  },
  read: readOtlp(INPUT, OUTPUT),
};

function attributesOf({ type, input, model, provider: system }: Work) {
  return {
    "gen_ai.operation.name": type,
    [INPUT]: JSON.stringify(input),
    ...(model && { "gen_ai.request.model": model }),
    ...(system && { "gen_ai.provider.name": system }),
  };
}
