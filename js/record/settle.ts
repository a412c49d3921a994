// Runs a function inside a span and ends the span when its result has come to its end. The host gets the result that it would
// get without us: only a response and a stream of the platform are handed on as copies. What ends when is the table in
// docs/guides/delivery-and-limits.md.

import { isObject } from "../errors.js";
import { keepCurrent } from "../platform/context.js";
import { isAsync, isPlainPromise } from "../platform/promise.js";
import type { Ending, OnEnd } from "./ending.js";
import { endSpan } from "./ending.js";
import { intercept, isIterator, type Run, watchAsyncIterable, watchIterator } from "./iterator.js";
import type { OpenSpan } from "./model.js";
import { hasWatchableBody, watchResponseBody, watchStream } from "./stream.js";

/** Told the result of a function, unless it is a stream or an iterator: those are not touched. */
export type OnResult = (result: unknown) => void;

/**
 * What `fn` returns, with `span` current inside. Sync in, sync out. What `fn` throws is recorded and rethrown untouched. With
 * `source` being the function whose result it is, where `fn` only calls it.
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
  // Nobody else has the promise of an async function, so one that follows it does as well.
  return (isAsync(source) && result instanceof Promise ? follow(result, settled, failed) : settled(result)) as T;
}

/** A promise with the outcome of another: what `onValue` makes of it, or its error, of which `onError` is told. */
function follow(promise: Promise<unknown>, onValue: (value: unknown) => unknown, onError: Tell): Promise<unknown> {
  return promise.then(onValue, (error) => {
    onError(error);
    throw error;
  });
}

/** Ends `span` when `result` has come to its end. Gives what the host gets: a copy only where it `mayReplace`. Never throws. */
function settle(span: OpenSpan, result: unknown, onResult: OnResult | undefined, mayReplace: boolean): unknown {
  try {
    const watched = (isObject(result) || isFunction(result)) && watch(span, result, onResult, mayReplace);
    if (watched) {
      span.endsWith(watched instanceof Response ? (watched.body ?? watched) : watched);
      return watched;
    }
    onResult?.(result);
  } catch {
    // A frozen object, a proxy that refuses: it can not be watched.
  }
  span.finish();
  return result;
}

const { then } = Promise.prototype;
/** In whose span what is watched in place is watched. */
const watchedBy = new WeakMap<object, OpenSpan>();

/** `result` or its copy where it is watched; `undefined` where there is nothing to wait for. */
function watch(
  span: OpenSpan,
  result: object,
  onResult: OnResult | undefined,
  mayReplace: boolean,
): object | undefined {
  const by = watchedBy.get(result);
  // It is given again and again: nothing may pile up on it.
  if (by && by.parentSpanId !== span.id) return undefined;
  const onEnd = (ending: Ending): void => endSpan(span, ending);
  const run: Run = (fn) => span.run(fn);
  // Where nothing is recorded nobody waits for an end; but what the host calls runs in its span.
  const isAwaited = span.isRecorded || span.onEnd !== undefined;
  // A copy has no members that the host has added, an iterator say; a stream that Node has made has one of its own.
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
    // Who waits for an outcome need not keep what it has asked: from then on the outcome comes, or nothing does.
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
    // Who iterates need not keep what it iterates.
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

/** What is awaited, and may be more: an SDK's promise with its helpers, a query that is sent when it is awaited. */
interface Thenable {
  readonly then: Callback;
}
type Callback = (...args: unknown[]) => unknown;
type Tell = (outcome: unknown) => void;

/** Looks on where the host asks `thenable` for its outcome, and asks for nothing itself. */
function watchThenable(thenable: Thenable, run: Run, onValue: Tell, onError: Tell): void {
  if (thenable instanceof Promise && thenable.then === then) {
    watchPromise(thenable, run, onValue, onError);
    return;
  }
  // What the host does with the outcome is not done inside the span.
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
      // It tells of what the host has no callback for.
      return isPlainPromise(outcome) ? follow(outcome, passedOn, onError) : outcome;
    });
  }
}

/** Neither `await` nor the language's own `then` calls a method of a promise; but they ask for its constructor. */
function watchPromise(promise: Promise<unknown>, run: Run, onValue: Tell, onError: Tell): void {
  const define = (descriptor: PropertyDescriptor): void => {
    Object.defineProperty(promise, "constructor", { configurable: true, ...descriptor });
  };
  const watchedBefore = Object.getOwnPropertyDescriptor(promise, "constructor")?.get;
  define({
    get() {
      watchedBefore?.();
      define({ value: Promise }); // what `then` makes for us is of no class of the host's
      run(() => promise.then(onValue, onError));
      Reflect.deleteProperty(promise, "constructor");
      return promise.constructor;
    },
  });
}

/** What is needed of an event emitter: a stream of Node, or one of an SDK. */
interface Emitter {
  on(event: string | symbol, listener: (value: unknown) => void): unknown;
  readonly closed?: boolean;
  readonly destroyed?: boolean;
  /** The error of Node's stream; an SDK says `true`. */
  readonly errored?: unknown;
  readonly aborted?: unknown;
  readonly readableEnded?: boolean;
  readonly writableFinished?: boolean;
}

function isEmitter(value: object): value is Emitter {
  return typeof (value as Partial<Emitter>).on === "function";
}

/** A listener of `data`, `readable` or `error` would change what the stream does; these two do not. */
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

/** Whether this is what an aborted signal makes an operation fail with. */
function isAbort(error: unknown): boolean {
  return (error as { name?: unknown } | null | undefined)?.name === "AbortError";
}

function isFunction(value: unknown): value is Callback {
  return typeof value === "function";
}
