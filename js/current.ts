// The functions that need no client. They record into the current one, else into one made from the OPIK_* variables.

import { clients } from "#host";
import type { FlushReport } from "./deliver/report.js";
import { Reporter, readOption } from "./errors.js";
import { tellOff } from "./names.js";
import { startSpan } from "./opik.js";
import { replaceFetch } from "./platform/host-fetch.js";
import { tracedFetch, untracedFetch } from "./record/fetch.js";
import { currentFrame, type Frame } from "./record/frame.js";
import { type OPIK_PARENT_SPAN_ID_HEADER, type OPIK_TRACE_ID_HEADER, opikHeaders } from "./record/headers.js";
import type {
  FlushOptions,
  OpenScope,
  OpenTrace,
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
import { offSettings, resolveConfig } from "./resolve-settings.js";

/**
 * Opens a span under `parent`, by default under the current span, else in a new trace.
 *
 * @example
 * ```ts
 * import { span } from "opik-edge";
 *
 * export function answer(question: string): Promise<string> {
 *   return span({ name: "answer", input: { question } }, async (current) => {
 *     const text = `You asked: ${question}`;
 *     current.update({ output: { text } });
 *     return text;
 *   });
 * }
 * ```
 */
export function span(options?: SpanOptions): Span;
/** Opens a span that is current inside `fn` and ends after it. Errors are recorded and rethrown. */
export function span<T>(options: SpanOptions, fn: (span: Span) => T): T;
export function span<T>(options: SpanOptions = {}, fn?: (span: Span) => T): Span | T {
  const opened = openHere(options);
  return fn ? scoped(opened, fn) : opened;
}

function openHere(options: SpanOptions): SpanHandle {
  const frame = currentFrame();
  return startSpan(currentScope(frame), options, frame);
}

/**
 * Begins a trace in the current invocation. Its row is written once, at `end`.
 *
 * @example
 * ```ts
 * import { trace } from "opik-edge";
 *
 * const job = trace({ name: "import", tags: ["nightly"] });
 * job.span({ name: "read" }, (read) => read.update({ output: { rows: 12 } }));
 * job.end();
 * ```
 */
export function trace(fields?: TraceFields): Trace {
  return openTrace(currentScope(currentFrame()), undefined, readOption(fields, "name"), fields);
}

/**
 * Wraps `fn` so that each call is a span, recorded where it is called: Opik's `@track`.
 *
 * @example
 * ```ts
 * import { track } from "opik-edge";
 *
 * export const summarise = track(async (text: string) => text.slice(0, 20), { name: "summarise" });
 * ```
 */
export function track<F extends AnyFunction>(fn: F, options?: TrackOptions): F;
/** The argument order of the official SDK. */
export function track<F extends AnyFunction>(options: TrackOptions, fn: F): F;
export function track<F extends AnyFunction>(first: F | TrackOptions, second?: TrackOptions | F): F {
  return trackEither(openHere, first, second);
}

/**
 * Scores a trace, a span or a thread by its id, even of another process: a user's feedback.
 *
 * @example
 * ```ts
 * import { score } from "opik-edge";
 *
 * export function rate(traceId: string, isHelpful: boolean) {
 *   score({ traceId, name: "helpful", value: isHelpful ? 1 : 0 });
 * }
 * ```
 */
export function score(given: TargetedScore): void {
  currentScope(currentFrame()).scoreById(given);
}

/**
 * `fetch` with a child span of the current span and trace headers: see `Span.fetch`. Without a current span it is untraced.
 *
 * @example
 * ```ts
 * import { fetch, span } from "opik-edge";
 *
 * export function price(product: string) {
 *   return span({ name: "price" }, async () => {
 *     const response = await fetch(`https://prices.example.com/${product}`); // a child span, and trace headers
 *     return response.json();
 *   });
 * }
 * ```
 */
export function fetch(input: string | URL | Request, init?: TracedRequestInit): Promise<Response>;
export function fetch(...args: Parameters<TracedFetch>): Promise<Response> {
  const current = currentFrame()?.span;
  return current ? current.fetch(...(args as [string])) : untracedFetch(...args);
}

/**
 * Traces every `fetch` that is called while a span is current, with the settings of that span. Returns a function that stops it.
 * A second call has no effect in the meantime. Since any library may make these calls, only targets in `propagateTo` receive
 * trace headers, and in a page its own origin. `Opik.instrumentFetch` traces all calls of a page.
 *
 * @example
 * ```ts
 * import { instrumentFetch, span } from "opik-edge";
 *
 * const stop = instrumentFetch();
 * await span({ name: "sync" }, async () => {
 *   const response = await fetch("https://items.example.com/all"); // the global fetch: a child span
 *   await response.text();
 * });
 * stop();
 * ```
 */
export function instrumentFetch(): () => void {
  return replaceFetch((original) => (...args) => {
    const frame = currentFrame();
    if (!frame || !(frame.span?.id || (frame.trace as OpenTrace | undefined)?.came[0])) return original(...args); // nothing to record or pass on
    const { url, propagateTo = [] } = frame.scope.settings;
    const start = (options: SpanOptions): SpanHandle => startSpan(frame.scope, options, frame);
    return tracedFetch(start, { url, propagateTo }, args, original);
  });
}

/**
 * Sends the ended rows of the current invocation; in a process, of every client. Never rejects and never waits for `waitUntil`
 * work.
 *
 * @example
 * ```ts
 * import { flush, span } from "opik-edge";
 *
 * span({ name: "job" }, () => {});
 * export const report = await flush({ timeoutMs: 5000 });
 * if (report.kept > 0) console.error(`${report.kept} rows are still to be sent`);
 * ```
 */
export function flush(options?: FlushOptions): Promise<FlushReport> {
  const frame = currentFrame();
  const isInvocation = frame?.scope.outlivesCalls === false;
  return (isInvocation ? undefined : clients?.flush(options, frame?.scope)) ?? currentScope(frame).flush(options);
}

/**
 * The current span and its trace; `undefined` outside a span.
 *
 * @example
 * ```ts
 * import { getTrackContext, span } from "opik-edge";
 *
 * function log(text: string): string {
 *   return `${getTrackContext()?.trace.id ?? "no trace"}: ${text}`;
 * }
 *
 * export const inside = span({ name: "work" }, () => log("begun"));
 * export const outside = log("done"); // "no trace: done"
 * ```
 */
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

/**
 * The two official headers of the current span; `null` outside a span. `Span.headers` gives both spellings.
 *
 * @example
 * ```ts
 * import { getDistributedTraceHeaders, span } from "opik-edge";
 *
 * export const job = span({ name: "enqueue" }, () => ({ id: 7, headers: getDistributedTraceHeaders() }));
 * ```
 */
export function getDistributedTraceHeaders(): Record<
  typeof OPIK_TRACE_ID_HEADER | typeof OPIK_PARENT_SPAN_ID_HEADER,
  string
> | null {
  return (opikHeaders(currentFrame()?.span, "underscore") as ReturnType<typeof getDistributedTraceHeaders>) ?? null;
}

let processScope: Scope | undefined;

/** The scope of `frame`, else a scope made from the `OPIK_*` variables. */
export function currentScope(frame: Frame | undefined): OpenScope {
  if (frame) return frame.scope;
  processScope ??= scopeFromVariables();
  return processScope;
}

function scopeFromVariables(): Scope {
  const reporter = new Reporter();
  try {
    return new Scope(resolveConfig({}), reporter);
  } catch (error) {
    tellOff(error);
    return new Scope(offSettings(), reporter);
  }
}
