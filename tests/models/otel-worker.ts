// A Worker with OpenTelemetry's SDK: its spans, ours, and the spans of its exporter outside of a request. otel.test.ts calls it.

import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { opikSpanProcessor } from "opik-edge/otel";

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const tracer = new BasicTracerProvider({ spanProcessors: [opikSpanProcessor()] }).getTracer("worker");

export default withOpik({
  async fetch(request: Request): Promise<Response> {
    const name = new URL(request.url).pathname;
    return tracer.startActiveSpan(`theirs ${name}`, async (theirs) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const text = await span({ name: `ours ${name}` }, async () => {
        await Promise.resolve();
        tracer.startSpan(`inner ${name}`, { attributes: { "gen_ai.operation.name": "chat" } }).end();
        return "hello";
      });
      theirs.end();
      return new Response(text);
    });
  },
});
