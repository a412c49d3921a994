// The functions that need no client at hand: what they do belongs to whatever is current, else to a
// client made from the OPIK_* variables.

import { clients } from "#host";
import type { FlushReport } from "./deliver/report.js";
import { Reporter, readOption } from "./errors.js";
import { startSpan } from "./opik.js";
import { replaceFetch } from "./platform/host-fetch.js";
import { tracedFetch, untracedFetch } from "./record/fetch.js";
import { currentFrame, type Frame } from "./record/frame.js";
import { OPIK_PARENT_SPAN_ID_HEADER, OPIK_TRACE_ID_HEADER } from "./record/headers.js";
import type {
  FlushOptions,
  OpenScope,
  Span,
  SpanOptions,
  TargetedScore,
  Trace,
  TracedFetch,
  TracedRequestInit,
  TraceFields,
} from "./record/model.js";
import { Scope } from "./record/scope.js";
import { scoped } from "./record/settle.js";
import type { SpanHandle } from "./record/span.js";
import { openTrace } from "./record/trace.js";
import { type AnyFunction, type TrackOptions, trackEither } from "./record/track.js";
import { resolveConfig } from "./resolve-settings.js";

/** Opens a span under `parent`, by default under the current span, else in a trace of its own. */
export function span(options?: SpanOptions): Span;
/** The same, current inside `fn` and ended after it; errors are recorded and rethrown. */
export function span<T>(options: SpanOptions, fn: (span: Span) => T): T;
export function span<T>(options: SpanOptions = {}, fn?: (span: Span) => T): Span | T {
  const opened = openHere(options);
  return fn ? scoped(opened, fn) : opened;
}

function openHere(options: SpanOptions): SpanHandle {
  const frame = currentFrame();
  return startSpan(currentScope(frame), options, frame);
}

/** Begins a trace in the current invocation. Its row is written once, at its `end`. */
export function trace(fields?: TraceFields): Trace {
  return openTrace(currentScope(currentFrame()), undefined, readOption(fields, "name"), fields);
}

/** `fn` with a span around each call, recorded where it is called: Opik's `@track`. */
export function track<F extends AnyFunction>(fn: F, options?: TrackOptions): F;
/** The same, in the order of the official SDK. */
export function track<F extends AnyFunction>(options: TrackOptions, fn: F): F;
export function track<F extends AnyFunction>(first: F | TrackOptions, second?: TrackOptions | F): F {
  return trackEither(openHere, first, second);
}

/** Scores a trace or a span by its id, which need not be of this process: a user's feedback. */
export function score(given: TargetedScore): void {
  currentScope(currentFrame()).scoreById(given);
}

/** `fetch` with a child span of the current span and trace headers: see `Span.fetch`. Without one it is the platform's. */
export function fetch(input: string | URL | Request, init?: TracedRequestInit): Promise<Response>;
export function fetch(...args: Parameters<TracedFetch>): Promise<Response> {
  const current = currentFrame()?.span;
  return current ? current.fetch(...(args as [string])) : untracedFetch(...args);
}

/**
 * Traces every `fetch` that is called while a span is current, with the settings of that span, and no other; gives what ends that.
 * While calls are traced already nothing changes. They may be anybody's, of an SDK say: of their targets only those that
 * `propagateTo` names are given headers, in a page its own origin too. A page's client has an `instrumentFetch` for all of its calls.
 */
export function instrumentFetch(): () => void {
  return replaceFetch((original) => (...args) => {
    const frame = currentFrame();
    if (!frame?.span?.id) return original(...args); // nothing to record, and nothing to hand on
    const { url, propagateTo = [] } = frame.scope.settings;
    const start = (options: SpanOptions): SpanHandle => startSpan(frame.scope, options, frame);
    return tracedFetch(start, { url, propagateTo }, args, original);
  });
}

/**
 * Sends what has ended in the current invocation, and in a process what has ended in any client. Never rejects, never waits for
 * `waitUntil` work.
 */
export function flush(options?: FlushOptions): Promise<FlushReport> {
  const frame = currentFrame();
  const isInvocation = frame?.scope.outlivesCalls === false;
  return (isInvocation ? undefined : clients?.flush(options, frame?.scope)) ?? currentScope(frame).flush(options);
}

/** The current span and its trace; `undefined` outside any. */
export function getTrackContext():
  | {
      /** The innermost span that is open here. */
      readonly span: Span;
      /** Its trace. */
      readonly trace: Trace;
    }
  | undefined {
  const { span: current, trace: its } = currentFrame() ?? {};
  return current && its ? { span: current, trace: its } : undefined;
}

/** The two official headers of the current span; `null` outside any. `Span.headers` gives both spellings. */
export function getDistributedTraceHeaders(): Record<
  typeof OPIK_TRACE_ID_HEADER | typeof OPIK_PARENT_SPAN_ID_HEADER,
  string
> | null {
  const current = currentFrame()?.span;
  if (!current?.id || !current.traceId) return null;
  return { [OPIK_TRACE_ID_HEADER]: current.traceId, [OPIK_PARENT_SPAN_ID_HEADER]: current.id };
}

let processScope: Scope | undefined;

function currentScope(frame: Frame | undefined): OpenScope {
  if (frame) return frame.scope;
  processScope ??= scopeFromVariables();
  return processScope;
}

function scopeFromVariables(): Scope {
  const reporter = new Reporter();
  try {
    return new Scope(resolveConfig({}), reporter);
  } catch (error) {
    reporter.failure(error);
    return new Scope(resolveConfig({ disabled: true }), reporter);
  }
}
