// `opik-edge/ai-sdk` records calls of the Vercel AI SDK. It depends neither on `ai` nor on OpenTelemetry: `telemetry.ts` has the
// methods that AI SDK 7 calls, `tracer.ts` those that AI SDK 5 and 6 call.

export type { AiSdkOptions } from "./model-call.js";
export { type OpikTelemetry, opikTelemetry } from "./telemetry.js";
export { type OpikTracer, type OpikTracerSpan, opikTracer } from "./tracer.js";
