// What the language itself gives: the functions and promises of which one may take another in their place.

const ASYNC: unknown = Object.getPrototypeOf(async () => {});

/** Whether `fn` makes a new promise for each call, as the language does it. */
export function isAsync(fn: object): boolean {
  return Object.getPrototypeOf(fn) === ASYNC;
}

/** Whether `value` is a promise of the language, and nothing more: no subclass, no member of its own. Never throws. */
export function isPlainPromise(value: unknown): value is Promise<unknown> {
  try {
    return Object.getPrototypeOf(value) === Promise.prototype && Object.getOwnPropertyNames(value).length === 0;
  } catch {
    return false; // nothing, or a proxy that refuses
  }
}
