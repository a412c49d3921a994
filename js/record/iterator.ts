// Watches iterators, generators and async iterables in place: they stay the objects that they are.

import { isPlainPromise } from "../platform/promise.js";
import type { OnEnd } from "./ending.js";

/** Runs a step with the span current. */
export type Run = <T>(fn: () => T) => T;

type Method = (...args: unknown[]) => unknown;
type AnyIterator = { readonly next: Method };

/** Whether `value` is an iterator or generator, sync or async. An array or a `Map` is not. */
export function isIterator(value: object): value is AnyIterator {
  return (
    typeof (value as AnyIterator).next === "function" && (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}

/** Watches each step of `iterator`. */
export function watchIterator(iterator: object, run: Run, onEnd: OnEnd): void {
  const fail = (error: unknown): never => {
    onEnd({ how: "failed", error });
    throw error;
  };
  for (const name of ["next", "return", "throw"]) {
    const stepped = (step: unknown): unknown => {
      if (isDone(step)) onEnd({ how: name === "next" ? "done" : "stopped" });
      return step;
    };
    intercept(iterator, name, run, (call, args) => {
      let step: unknown;
      try {
        step = call(args);
      } catch (error) {
        return fail(error);
      }
      return isPlainPromise(step) ? step.then(stepped, fail) : stepped(step);
    });
  }
}

function isDone(step: unknown): boolean {
  try {
    return (step as IteratorResult<unknown>).done === true;
  } catch {
    return false; // no step at all, or a getter that throws: the host is to see that where it looks
  }
}

/** Watches the iterations of `iterable`; the first to end is what counts. `onBegin` is told of the iterator of each. */
export function watchAsyncIterable(
  iterable: object,
  run: Run,
  onEnd: OnEnd,
  onBegin: (iterator: object) => void,
): void {
  const watched = new WeakSet<object>(); // some give the same iterator each time
  intercept(iterable, Symbol.asyncIterator, run, (call, args) => {
    const iterator = call(args);
    try {
      if (!watched.has(iterator as object)) watchIterator(iterator as object, run, onEnd);
      watched.add(iterator as object);
      onBegin(iterator as object);
    } catch {
      onEnd({ how: "done" }); // one that is frozen, or none at all
    }
    return iterator;
  });
}

/**
 * Has `instead` called in place of a method of `object`, if there is one; `call` is the method, with the span current. It stays
 * the method that it is in all else, and no loop over the members meets it. Throws where that can not be.
 */
export function intercept(
  object: object,
  name: PropertyKey,
  run: Run,
  instead: (call: (args: unknown[]) => unknown, args: unknown[]) => unknown,
): void {
  const method: unknown = Reflect.get(object, name);
  if (typeof method !== "function") return;
  const value = new Proxy(method, {
    apply: (_, self, args) => instead((given) => run(() => Reflect.apply(method, self, given)), args),
  });
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
}
