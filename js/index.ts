// The public surface of `opik-edge`. Importing it does nothing: no clock, no randomness, no instance.

export { fetch, flush, getDistributedTraceHeaders, getTrackContext, score, span, trace, track } from "./ambient.js";
export type { InstrumentFetchOptions } from "./browser/instrument-fetch.js";
export type { TokenSource } from "./browser/relay-transport.js";
export { type TabThreadOptions, tabThreadId } from "./browser/tab-thread.js";
export type { Limits, OpikConfig, SampleRate, Signal } from "./config.js";
export { type CorsOptions, corsHeaders, handlePreflight } from "./cors.js";
export { type Drop, type OnDrop, type OnError, OpikError, type OpikErrorCode } from "./errors.js";
export type { FetchOptions, TracedRequestInit } from "./fetch.js";
export {
  type HeaderCarrier,
  type HeaderSpelling,
  type HeaderTarget,
  OPIK_PARENT_SPAN_ID_HEADER,
  OPIK_TOKEN_HEADER,
  OPIK_TRACE_ID_HEADER,
  type PropagateTo,
  type TargetMatch,
} from "./headers.js";
export { type DistributedHeadersOptions, Opik } from "./opik.js";
export type { RedactOptions } from "./redact.js";
export type { Dropped, FlushReport } from "./report.js";
export type { RowFields, SpanFields, SpanType, TraceFields } from "./row.js";
export type { FlushOptions } from "./scope.js";
export type { Score, TargetedScore } from "./score.js";
export { contextMeta, contextServerTiming, serverContext } from "./server-context.js";
export type { Span, SpanOptions } from "./span.js";
export type { Trace } from "./trace.js";
export type { TrackOptions } from "./track.js";
export type { Transport, TransportRequest } from "./transport.js";
