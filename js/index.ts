// The public surface of `opik-edge`. Importing it does nothing: no clock, no randomness, no instance.

export { type TabThreadOptions, tabThreadId } from "./browser/tab-thread.js";
export {
  fetch,
  flush,
  getDistributedTraceHeaders,
  getTrackContext,
  instrumentFetch,
  score,
  span,
  trace,
  track,
} from "./current.js";
export type { Dropped, FlushReport } from "./deliver/report.js";
export { type Drop, type DropReason, type OnDrop, type OnError, OpikError, type OpikErrorCode } from "./errors.js";
export type { RowFields, SpanFields, SpanType } from "./fields.js";
export { type DistributedHeadersOptions, Opik } from "./opik.js";
export { OPIK_PARENT_SPAN_ID_HEADER, OPIK_TOKEN_HEADER, OPIK_TRACE_ID_HEADER } from "./record/headers.js";
export type {
  FetchOptions,
  FlushOptions,
  Score,
  Span,
  SpanOptions,
  TargetedScore,
  Trace,
  TracedRequestInit,
  TraceFields,
} from "./record/model.js";
export { callObserver } from "./record/observed.js";
export type { TrackOptions } from "./record/track.js";
export { type CorsOptions, corsHeaders, handlePreflight } from "./server/cors.js";
export {
  type ContextMetaTag,
  contextMeta,
  contextMetaTags,
  contextServerTiming,
  serverContext,
} from "./server/server-context.js";
export type {
  CallEnding,
  CallObservation,
  CallObserver,
  CallRecord,
  HeaderCarrier,
  HeaderSpelling,
  HeaderTarget,
  InstrumentFetchOptions,
  Limits,
  ObservedAnswer,
  ObservedCall,
  OpikConfig,
  PropagateTo,
  RedactOptions,
  SampleRate,
  Signal,
  TargetMatch,
  TokenSource,
  TraceFormat,
  Transport,
  TransportRequest,
} from "./settings.js";
