// Runs a function inside a span and ends the span when its result has come to its end: at once, when a
// promise settles, or when a stream, a response or an iterator has been consumed.

import type { SpanHandle } from "./span.js";
import {
  type Ending,
  hasWatchableBody,
  isAsyncIterable,
  isIterator,
  isThenable,
  watchAsyncIterable,
  watchBytes,
  watchIterator,
  watchStream,
  withBody,
} from "./stream.js";

/** Told the result of a function, unless it is a stream or an iterator: those are not touched. */
export type OnResult = (result: unknown) => void;

/**
 * What `fn` returns, with `span` current inside. Sync in, sync out. What `fn` throws is recorded and
 * rethrown untouched.
 */
export function scoped<T>(span: SpanHandle, fn: (span: SpanHandle) => T, onResult?: OnResult): T {
  if (span.isTransparent) return fn(span);
  let result: T;
  try {
    result = span.run(() => fn(span));
  } catch (error) {
    span.fail(error);
    throw error;
  }
  return settle(span, result, onResult) as T;
}

function settle(span: SpanHandle, result: unknown, onResult: OnResult | undefined): unknown {
  if (isThenable(result)) {
    return result.then(
      (value) => settle(span, value, onResult),
      (error) => {
        span.fail(error);
        throw error;
      },
    );
  }
  try {
    return watch(span, result, onResult);
  } catch {
    span.finish(); // a frozen or locked object: it can not be watched, and is the user's as it is
    return result;
  }
}

function watch(span: SpanHandle, result: unknown, onResult: OnResult | undefined): unknown {
  const onEnd = (ending: Ending): void => endSpan(span, ending);
  const run = <T>(fn: () => T): T => span.run(fn);
  if (result instanceof Response) {
    onResult?.(result);
    if (hasWatchableBody(result)) return withBody(result, watchBytes(result.body, onEnd));
  } else if (result instanceof ReadableStream) {
    if (!result.locked) return watchStream(result, onEnd);
  } else if (isIterator(result)) {
    watchIterator(result, run, onEnd);
    return result;
  } else if (isAsyncIterable(result)) {
    watchAsyncIterable(result, run, onEnd);
    return result;
  } else {
    onResult?.(result);
  }
  span.finish();
  return result;
}

/** Ends `span` as its stream ended; a reader that went away is noted in the metadata. */
export function endSpan(span: SpanHandle, ending: Ending): void {
  if (ending.how === "failed") span.fail(ending.error);
  else if (ending.how === "cancelled") span.cancel();
  else span.finish();
}
