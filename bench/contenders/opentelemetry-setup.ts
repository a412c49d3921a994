// OpenTelemetry JS: TracerProvider, BatchSpanProcessor, OTLP as JSON. Payloads are JSON texts, since an attribute
// cannot be an object; the names follow its conventions for generative AI.

import { context, propagation, type Span, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { SINK_URL } from "../contender.js";
import type { Work } from "../shapes.js";

const processor = new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${SINK_URL}/v1/traces` }) });
export const provider = new TracerProvider({ spanProcessors: [processor] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
export const tracer = trace.getTracer("bench");

export const INPUT = "gen_ai.input.messages";
export const OUTPUT = "gen_ai.output.messages";

/** Options of a new span. */
export function attributesOf({ type, input, model, provider: system }: Work) {
  return {
    "gen_ai.operation.name": type,
    [INPUT]: JSON.stringify(input),
    ...(model && { "gen_ai.request.model": model }),
    ...(system && { "gen_ai.provider.name": system }),
  };
}

/** Records the outcome. */
export function endWith(span: Span, work: Work, output: object): void {
  span.setAttribute(OUTPUT, JSON.stringify(output));
  if (work.usage) {
    span.setAttribute("gen_ai.usage.input_tokens", work.usage.prompt_tokens);
    span.setAttribute("gen_ai.usage.output_tokens", work.usage.completion_tokens);
  }
  span.end();
}
