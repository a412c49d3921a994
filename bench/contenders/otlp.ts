// OTLP JSON, which OpenTelemetry and Langfuse write, and the W3C header that hands it on.

import type { Delivered, Received } from "../contender.js";

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}
interface OtlpBody {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[] }[];
}

/** Reads the request's `Headers` for a propagator. */
export const getter = {
  get: (headers: Headers, key: string): string | undefined => headers.get(key) ?? undefined,
  keys: (headers: Headers): string[] => [...headers.keys()],
};

/** Reads bodies whose spans have their payload in these attributes, as JSON. */
export function readOtlp(input: string, output: string): (received: readonly Received[]) => Delivered[] {
  return (received) =>
    received
      .flatMap(({ body }) => (JSON.parse(new TextDecoder().decode(body)) as OtlpBody).resourceSpans)
      .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      .map(({ traceId, spanId, parentSpanId, name, attributes }) => {
        const value = (key: string): unknown =>
          JSON.parse(attributes.find((attribute) => attribute.key === key)?.value.stringValue ?? "null");
        return { id: spanId, traceId, parentId: parentSpanId, name, input: value(input), output: value(output) };
      });
}
