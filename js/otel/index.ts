// `opik-edge/otel` joins Opik and OpenTelemetry, without a dependency on it: processor.ts records the spans of its SDK, and
// otlp.ts sends ours to its collectors.

export type { OtelSpan, OtelSpanContext } from "./model.js";
export { type OtlpOptions, otlp } from "./otlp.js";
export {
  type OpikSpanExporter,
  type OpikSpanProcessor,
  type OtelOptions,
  opikSpanExporter,
  opikSpanProcessor,
} from "./processor.js";
