// Runs a function inside a span and ends the span when the function's result has ended. The host gets the same result as
// without tracing; only platform responses and streams are replaced by copies. The table in
// docs/guides/delivery-and-limits.md lists when each result ends.

import { isObject } from "../errors.js";
import { keepCurrent } from "../platform/context.js";
import { isAsync, isPlainPromise } from "../platform/promise.js";
import type { Ending, OnEnd } from "./ending.js";
import { endSpan } from "./ending.js";
import { intercept, isIterator, type Run, watchAsyncIterable, watchIterator } from "./iterator.js";
import type { OpenSpan } from "./model.js";
import { hasWatchableBody, watchResponseBody, watchStream } from "./stream.js";

/** Gets the result of a function, unless it is a stream or an iterator: those are not recorded. */
export type OnResult = (result: unknown) => void;

/**
 * Runs `fn` with `span` current and returns its result; a sync function stays sync. An error is recorded and rethrown
 * unchanged. `source` is the function whose result `fn` returns, if `fn` only calls it.
 */
export function scoped<T>(span: OpenSpan, fn: (span: OpenSpan) => T, onResult?: OnResult, source: object = fn): T {
  if (span.isTransparent) return fn(span);
  const failed = (error: unknown): void => span.fail(error);
  let result: unknown;
  try {
    result = span.run(() => fn(span));
  } catch (error) {
    failed(error);
    throw error;
  }
  const settled = (value: unknown): unknown => settle(span, value, onResult, true);
  // Only this code holds the promise of an async function, so a derived promise can replace it.
  return (isAsync(source) && result instanceof Promise ? follow(result, settled, failed) : settled(result)) as T;
}

/**
 * A promise that follows another: resolves with the result of `onValue`, or rejects with the same error after calling
 * `onError`.
 */
function follow(promise: Promise<unknown>, onValue: (value: unknown) => unknown, onError: Tell): Promise<unknown> {
  return promise.then(onValue, (error) => {
    onError(error);
    throw error;
  });
}

/**
 * Ends `span` when `result` has ended. Returns the value for the host, which is a copy only if `mayReplace` is set. Never
 * throws.
 */
function settle(span: OpenSpan, result: unknown, onResult: OnResult | undefined, mayReplace: boolean): unknown {
  try {
    const watched = (isObject(result) || isFunction(result)) && watch(span, result, onResult, mayReplace);
    if (watched) {
      span.endsWith(watched instanceof Response ? (watched.body ?? watched) : watched);
      return watched;
    }
    onResult?.(result);
  } catch {
    // A frozen object or a proxy that refuses cannot be watched.
  }
  span.finish();
  return result;
}

const { then } = Promise.prototype;
/** The span of each result that is watched in place. */
const watchedBy = new WeakMap<object, OpenSpan>();

/** The watched result, or its copy; `undefined` if there is no end to wait for. */
function watch(
  span: OpenSpan,
  result: object,
  onResult: OnResult | undefined,
  mayReplace: boolean,
): object | undefined {
  const by = watchedBy.get(result);
  // A result that is returned repeatedly is watched once, so that listeners do not pile up.
  if (by && by.parentSpanId !== span.id) return undefined;
  const onEnd = (ending: Ending): void => endSpan(span, ending);
  const run: Run = (fn) => span.run(fn);
  // Without recording nobody waits for the end, but calls on the result still run in its span.
  const isAwaited = span.isRecorded || span.onEnd !== undefined;
  // A copy would lose members that the host has added, such as an iterator. Streams made by Node have their own.
  const mayCopy = mayReplace && isAwaited && Object.isExtensible(result) && !hasMembers(result);
  if (isFunction((result as Thenable).then)) {
    let isKnown = false;
    const once = (tell: (outcome: unknown) => unknown) => (outcome: unknown) => {
      if (!isKnown) tell(outcome);
      isKnown = true;
    };
    const onValue = once((value) => settle(span, value, onResult, false));
    const onError = once((error) => span.fail(error));
    if (isPlainPromise(result)) {
      void then.call(result, onValue, onError);
      return result;
    }
    // The consumer of an outcome need not hold the thenable, so its loss no longer closes the span.
    const asking: Run = (fn) => {
      span.trace.scope.settings.host?.consumed(span);
      return run(fn);
    };
    watchThenable(result as Thenable, asking, onValue, onError);
  } else if (result instanceof Response) {
    if (!mayCopy || !hasWatchableBody(result)) return undefined;
    onResult?.(result);
    return watchResponseBody(result, onEnd);
  } else if (result instanceof ReadableStream) {
    if (!mayCopy || Object.getPrototypeOf(result) !== ReadableStream.prototype || result.locked) return undefined;
    return watchStream(result, onEnd);
  } else if (isEmitter(result) && "pipe" in result) {
    if (!isAwaited || result.closed || result.destroyed) return undefined;
    watchNodeStream(result, onEnd);
  } else if (isIterator(result)) {
    watchIterator(result, run, onEnd);
  } else if (Symbol.asyncIterator in result && !("getReader" in result)) {
    if (isEmitter(result)) result.on("end", () => onEnd(endingOf(result, true)));
    // The consumer of an iterator need not hold the iterable.
    watchAsyncIterable(result, run, onEnd, (iterator) => span.endsWith(iterator));
  } else {
    return undefined;
  }
  watchedBy.set(result, span);
  return result;
}

function hasMembers(object: object): boolean {
  return Object.hasOwn(object, Symbol.asyncIterator) || Object.keys(object).some((name) => name !== "constructor");
}

/** Any thenable, possibly with further members: an SDK's promise with helpers, or a query that is sent when it is awaited. */
interface Thenable {
  readonly then: Callback;
}
type Callback = (...args: unknown[]) => unknown;
type Tell = (outcome: unknown) => void;

/** Observes the host's calls for the outcome of `thenable`, and never asks for the outcome itself. */
function watchThenable(thenable: Thenable, run: Run, onValue: Tell, onError: Tell): void {
  if (thenable instanceof Promise && thenable.then === then) {
    watchPromise(thenable, run, onValue, onError);
    return;
  }
  // The host's callbacks run outside the span.
  const noted = (callback: unknown, tell: Tell | undefined): unknown =>
    isFunction(callback)
      ? keepCurrent(function (this: unknown, ...outcome: unknown[]): unknown {
          tell?.(outcome[0]);
          return callback.apply(this, outcome);
        })
      : callback;
  const passedOn = (value: unknown): unknown => {
    onValue(value);
    return value;
  };
  for (const [name, ...tells] of [["then", onValue, onError], ["catch", onError], ["finally"]] as const) {
    intercept(thenable, name, run, (call, args) => {
      const outcome = call(args.map((callback, at) => noted(callback, tells[at])));
      // The derived promise reports outcomes for which the host passed no callback.
      return isPlainPromise(outcome) ? follow(outcome, passedOn, onError) : outcome;
    });
  }
}

/** `await` and the built-in `then` do not call a method of a promise, but they read its `constructor`. */
function watchPromise(promise: Promise<unknown>, run: Run, onValue: Tell, onError: Tell): void {
  const define = (descriptor: PropertyDescriptor): void => {
    Object.defineProperty(promise, "constructor", { configurable: true, ...descriptor });
  };
  const watchedBefore = Object.getOwnPropertyDescriptor(promise, "constructor")?.get;
  define({
    get() {
      watchedBefore?.();
      define({ value: Promise }); // so that our `then` does not create an instance of the host's class
      run(() => promise.then(onValue, onError));
      Reflect.deleteProperty(promise, "constructor");
      return promise.constructor;
    },
  });
}

/** The members used of an event emitter: a stream of Node or of an SDK. */
interface Emitter {
  on(event: string | symbol, listener: (value: unknown) => void): unknown;
  readonly closed?: boolean;
  readonly destroyed?: boolean;
  /** Node sets the error here; an SDK sets `true`. */
  readonly errored?: unknown;
  readonly aborted?: unknown;
  readonly readableEnded?: boolean;
  readonly writableFinished?: boolean;
}

function isEmitter(value: object): value is Emitter {
  return typeof (value as Partial<Emitter>).on === "function";
}

/** Listeners of `data`, `readable` or `error` would change the stream's behaviour; these two do not. */
function watchNodeStream(stream: Emitter, onEnd: OnEnd): void {
  const { errorMonitor } = stream.constructor as { errorMonitor?: symbol };
  stream.on("close", () =>
    onEnd(endingOf(stream, stream.readableEnded !== false && stream.writableFinished !== false)),
  );
  if (errorMonitor)
    stream.on(errorMonitor, (error) => onEnd(isAbort(error) ? { how: "cancelled" } : { how: "failed", error }));
}

function endingOf({ errored, aborted }: Emitter, isComplete: boolean): Ending {
  if (aborted || isAbort(errored)) return { how: "cancelled" };
  if (errored) return { how: "failed", error: errored === true ? new Error("the stream has failed") : errored };
  return isComplete ? { how: "done" } : { how: "cancelled" };
}

/** `true` if `error` is the error of an aborted operation. */
function isAbort(error: unknown): boolean {
  return (error as { name?: unknown } | null | undefined)?.name === "AbortError";
}

function isFunction(value: unknown): value is Callback {
  return typeof value === "function";
}
