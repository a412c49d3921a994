// The current span: in AsyncLocalStorage if the runtime has it, otherwise only while a callback runs synchronously. A
// variable that is kept across an await would mix requests. This file does not look into the values that it stores.

import { builtin } from "./env.js";

/** A stored context: a frame of record/frame.ts, and what else is known about the running code. */
export type Store = object;

interface AsyncLocalStorage {
  getStore(): Store | undefined;
  run<T>(store: Store | undefined, fn: () => T): T;
}
type AsyncHooks = { AsyncLocalStorage: new () => AsyncLocalStorage };

/**
 * Kept on globalThis so that two copies of the package share the current span. One copy may then open spans in the frame of
 * another, so they must agree on this interface, on `Frame` of record/frame.ts, and on the members of the `Scope`,
 * `SpanHandle`, `TraceHandle` and `OpenRow` behind it. Every change of these raises the number in `KEY`, and copies with
 * different numbers ignore each other.
 */
interface Current {
  storage?: AsyncLocalStorage | undefined;
  /** The context of the running callback, if there is no storage. */
  store?: Store | undefined;
  searched?: boolean;
  /** Finds the context where there is neither a storage nor a running callback: cloudflare/native.ts. */
  find?: () => Store | undefined;
}
const KEY = Symbol.for("opik-edge/3");

let found: Current | undefined;

function current(): Current {
  if (found?.storage || found?.searched) return found;
  const holder = globalThis as { [KEY]?: Current };
  holder[KEY] ??= {};
  found = holder[KEY];
  if (!found.storage && !found.searched) {
    try {
      const Storage = findSync();
      if (Storage) found.storage = new Storage();
    } catch {
      // In a page, elements may have these names.
    }
  }
  return found;
}

function findSync(): AsyncHooks["AsyncLocalStorage"] | undefined {
  const { AsyncLocalStorage } = globalThis as unknown as Partial<AsyncHooks>;
  return AsyncLocalStorage ?? builtin<AsyncHooks>("node:async_hooks")?.AsyncLocalStorage;
}

/**
 * Looks for AsyncLocalStorage where only an import finds it (Workers with only `nodejs_als`). `undefined` if there is
 * nothing to wait for.
 */
export function prepareAsyncContext(): Promise<void> | undefined {
  const state = current();
  if (state.storage || state.searched) return undefined;
  // Concurrent requests search too, since a Worker should not wait for another request's promise. The name is split so that
  // no bundler resolves it; if the module is missing, the rejection handler notes that.
  const name = ["node", "async_hooks"].join(":");
  return (import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Promise<AsyncHooks>).then(
    ({ AsyncLocalStorage }) => {
      state.storage ??= new AsyncLocalStorage();
    },
    () => {
      state.searched = true;
    },
  );
}

/** `true` if a span stays current across an `await`. */
export function hasAsyncContext(): boolean {
  return current().storage !== undefined;
}

/** The current context, or `undefined`. */
export function currentStore(): Store | undefined {
  const state = current();
  return state.storage ? state.storage.getStore() : (state.store ?? state.find?.());
}

/** Without AsyncLocalStorage, has `find` tell the context after an `await`. */
export function findContextBy(find: () => Store | undefined): void {
  current().find = find;
}

/** Wraps `fn` so that it runs with the context that is current now. */
export function keepCurrent(fn: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
  const store = currentStore();
  return function (this: unknown, ...args) {
    return runWith(store, () => fn.apply(this, args));
  };
}

/** Runs `fn` with `store` as the context: with AsyncLocalStorage until `fn` has settled, otherwise until it returns. */
export function runWith<T>(store: Store | undefined, fn: () => T): T {
  const state = current();
  if (state.storage) return state.storage.run(store, fn);
  const before = state.store;
  state.store = store;
  try {
    return fn();
  } finally {
    state.store = before;
  }
}
