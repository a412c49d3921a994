// Langfuse, as its documentation shows it: @langfuse/tracing over OpenTelemetry. The processor sends in batches; the
// mode "immediate", which it names for the edge, makes one request for each span, and does not help one flush.

import { LangfuseSpanProcessor } from "@langfuse/otel";
import { setLangfuseTracerProvider, startActiveObservation, startObservation } from "@langfuse/tracing";
import { context, propagation } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { type Contender, SINK_URL } from "../contender.js";
import { getter, readOtlp } from "../contenders/otlp.js";
import { HEADERS, type Work } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";

const processor = new LangfuseSpanProcessor({ publicKey: "public", secretKey: "secret", baseUrl: SINK_URL });
setLangfuseTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

export const contender: Contender = {
  async request({ root, children }) {
    const caller = propagation.extract(context.active(), HEADERS, getter);
    await context.with(caller, () =>
      startActiveObservation(root.name, async (rootSpan) => {
        rootSpan.update({ input: root.input });
        for (const work of children) await child(work);
        rootSpan.update({ output: await done(root) });
      }),
    );
    await processor.forceFlush();
  },
  headers() {
    const caller = propagation.extract(context.active(), HEADERS, getter);
    const carrier: Record<string, string> = {};
    context.with(caller, () => {
      const { traceId, id } = startObservation("hop");
      carrier["traceparent"] = `00-${traceId}-${id}-01`;
    });
    return carrier;
  },
  read: readOtlp("langfuse.observation.input", "langfuse.observation.output"),
};

/** An observation of any type. */
interface Observation {
  update(attributes: object): unknown;
  end(): void;
}

async function child(work: Work): Promise<void> {
  const open = (span: Observation): void => {
    span.update({ input: work.input, ...(work.model && { model: work.model }) });
    if (work.calls) propagation.inject(context.active(), {});
  };
  const report = (span: Observation, output: object): void => {
    span.update({ output, ...(work.usage && { usageDetails: { ...work.usage } }) });
  };
  // The calls are the same for all types, their declarations are not.
  const asType = (work.type === "llm" ? "generation" : "tool") as "generation";
  if (work.chunks) {
    const streamed = (span: Observation): AsyncGenerator<string> => {
      open(span);
      return streamOf(work, (output) => {
        report(span, output);
        span.end();
      });
    };
    await readAll(startActiveObservation(work.name, streamed, { asType, endOnExit: false }));
  } else {
    const traced = async (span: Observation): Promise<void> => {
      open(span);
      report(span, await done(work));
    };
    await startActiveObservation(work.name, traced, { asType });
  }
}
