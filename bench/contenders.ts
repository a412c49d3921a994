// The contenders, in the order of the tables.

import { CALLER } from "./shapes.js";

/** A contender: its file in contenders/, and what it is called. */
export interface Entry {
  readonly file: string;
  readonly name: string;
  /** The package whose version is shown, in bench/, or below it where it says `folder`. */
  readonly package?: string;
  readonly folder?: string;
  /** `true` if it hands headers on automatically. */
  readonly headers?: boolean;
  /** The caller's headers in its format; empty if nothing is to arrive. */
  readonly caller?: { readonly traceId: string; readonly spanId: string };
  /** The only shape that is measured, where there are others. */
  readonly only?: string;
  /** Flags without which it does not start in workerd; by default only `nodejs_als`, for AsyncLocalStorage. */
  readonly flags?: readonly string[];
}

const W3C = { traceId: CALLER.w3cTraceId, spanId: CALLER.w3cSpanId };
const COMPAT = ["nodejs_compat"];
const OPIK = { traceId: CALLER.traceId, spanId: CALLER.spanId };

/** The base of all ratios. */
export const FLOOR: Entry = { file: "floor", name: "the floor", headers: true, caller: OPIK };
/** This package, with spans in callbacks. */
export const OURS: Entry = { file: "opik-edge", name: "opik-edge", package: "opik-edge", headers: true, caller: OPIK };
/** The same without callbacks. */
export const BY_HAND: Entry = { file: "opik-edge-by-hand", name: "opik-edge, by hand", caller: OPIK };
/** The same as `OURS` around a handler. */
export const WRAPPED: Entry = { file: "with-opik", name: "opik-edge, `withOpik`", caller: OPIK };
/** The same as `OURS` with gzip, which a transport has to ask for: it makes a difference from 1 MB on. */
export const COMPRESSED: Entry = { file: "opik-edge-gzip", name: "opik-edge, gzip", caller: OPIK, only: "5mb" };

/** The other contenders. A contender with a callback interface is used with it by default. */
export const PEERS: readonly Entry[] = [
  {
    file: "opentelemetry",
    name: "OpenTelemetry JS",
    package: "@opentelemetry/sdk-trace",
    caller: W3C,
    flags: COMPAT,
  },
  { file: "opentelemetry-by-hand", name: "OpenTelemetry JS, by hand", headers: true, caller: W3C, flags: COMPAT },
  {
    file: "langfuse",
    name: "Langfuse",
    package: "@langfuse/otel",
    folder: "langfuse",
    headers: true,
    caller: W3C,
    flags: COMPAT,
  },
  { file: "langsmith", name: "LangSmith", package: "langsmith", headers: true, caller: OPIK, flags: COMPAT },
  { file: "sentry", name: "Sentry", package: "@sentry/core", headers: true, caller: W3C, flags: COMPAT },
  { file: "opik", name: "opik (official), by hand", package: "opik", caller: OPIK, flags: COMPAT },
];

export const CONTENDERS: readonly Entry[] = [FLOOR, OURS, BY_HAND, COMPRESSED, WRAPPED, ...PEERS];

/** Those that are measured by what they cost beyond the host alone. */
export const UNTRACED: Entry = { file: "untraced", name: "no tracing" };
export const UNTRACED_HANDLER: Entry = { file: "untraced-handler", name: "no tracing, a handler" };
export const QUIET: readonly { readonly entry: Entry; readonly beyond: Entry }[] = [
  { entry: { file: "opik-edge-disabled", name: "disabled" }, beyond: UNTRACED },
  { entry: { file: "opik-edge-unsampled", name: "unsampled" }, beyond: UNTRACED },
  { entry: { file: "with-opik-disabled", name: "disabled, `withOpik`" }, beyond: UNTRACED_HANDLER },
  { entry: { file: "with-opik-unsampled", name: "unsampled, `withOpik`" }, beyond: UNTRACED_HANDLER },
];

/** A model's streamed answer: that it passes, and that it is recorded in two ways. */
export const MODEL_PASSED: Entry = { file: "model-passed", name: "not looked into", caller: OPIK };
export const MODEL_READ: Entry = { file: "model-read", name: "`opik-edge/llm`", caller: OPIK };
export const MODEL_DECODED: Entry = { file: "model-decoded", name: "TextDecoder and `JSON.parse`", caller: OPIK };

/** These make the same call, of no shape. */
export const MODELS: readonly Entry[] = [MODEL_PASSED, MODEL_READ, MODEL_DECODED];

/** All there are. */
export const ENTRIES: readonly Entry[] = [
  ...CONTENDERS,
  ...MODELS,
  UNTRACED,
  UNTRACED_HANDLER,
  ...QUIET.map(({ entry }) => entry),
];
