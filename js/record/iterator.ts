// Watches iterators, generators and async iterables in place, without replacing the objects.

import { isPlainPromise } from "../platform/promise.js";
import type { OnEnd } from "./ending.js";

/** Runs a step with the span current. */
export type Run = <T>(fn: () => T) => T;

type Method = (...args: unknown[]) => unknown;
type AnyIterator = { readonly next: Method };

/** `true` if `value` is an iterator or generator, sync or async. An array or a `Map` is not. */
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
    return false; // not a step object, or a getter that throws: the host gets that error when it reads the step
  }
}

/** Watches the iterations of `iterable`; the first one to end counts. `onBegin` gets the iterator of each. */
export function watchAsyncIterable(
  iterable: object,
  run: Run,
  onEnd: OnEnd,
  onBegin: (iterator: object) => void,
): void {
  const watched = new WeakSet<object>(); // some iterables return the same iterator each time
  intercept(iterable, Symbol.asyncIterator, run, (call, args) => {
    const iterator = call(args);
    try {
      if (!watched.has(iterator as object)) watchIterator(iterator as object, run, onEnd);
      watched.add(iterator as object);
      onBegin(iterator as object);
    } catch {
      onEnd({ how: "done" }); // a frozen iterator, or not an iterator
    }
    return iterator;
  });
}

/**
 * Calls `instead` in place of a method of `object`, if it has that method; `call` runs the method with the span current.
 * The replacement behaves like the method otherwise, and is not enumerable. Throws if the property cannot be defined.
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
