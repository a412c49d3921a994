// Built-in async functions and promises, which a derived promise can replace unnoticed.

const ASYNC: unknown = Object.getPrototypeOf(async () => {});

/** `true` if `fn` is a built-in async function, which returns a new promise for each call. */
export function isAsync(fn: object): boolean {
  return Object.getPrototypeOf(fn) === ASYNC;
}

/** `true` if `value` is a plain promise: not a subclass, and without own members. Never throws. */
export function isPlainPromise(value: unknown): value is Promise<unknown> {
  try {
    return Object.getPrototypeOf(value) === Promise.prototype && Object.getOwnPropertyNames(value).length === 0;
  } catch {
    return false; // not an object, or a proxy that refuses
  }
}
