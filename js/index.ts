// The public surface of `opik-edge`. Importing it does nothing: no clock, no randomness, no instance.

export { type TabThreadOptions, tabThreadId } from "./browser/tab-thread.js";
export { fetch, flush, getDistributedTraceHeaders, getTrackContext, score, span, trace, track } from "./current.js";
export type { Dropped, FlushReport } from "./deliver/report.js";
export { type Drop, type DropReason, type OnDrop, type OnError, OpikError, type OpikErrorCode } from "./errors.js";
export { type DistributedHeadersOptions, Opik } from "./opik.js";
export { OPIK_PARENT_SPAN_ID_HEADER, OPIK_TOKEN_HEADER, OPIK_TRACE_ID_HEADER } from "./record/headers.js";
export type {
  FetchOptions,
  FlushOptions,
  RowFields,
  Score,
  Span,
  SpanFields,
  SpanOptions,
  SpanType,
  TargetedScore,
  Trace,
  TracedRequestInit,
  TraceFields,
} from "./record/model.js";
export type { TrackOptions } from "./record/track.js";
export { type CorsOptions, corsHeaders, handlePreflight } from "./server/cors.js";
export { contextMeta, contextServerTiming, serverContext } from "./server/server-context.js";
export type {
  HeaderCarrier,
  HeaderSpelling,
  HeaderTarget,
  InstrumentFetchOptions,
  Limits,
  OpikConfig,
  PropagateTo,
  RedactOptions,
  SampleRate,
  Signal,
  TargetMatch,
  TokenSource,
  Transport,
  TransportRequest,
} from "./settings.js";
