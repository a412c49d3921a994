// The current span: in AsyncLocalStorage where the runtime has one; otherwise only while a callback
// runs synchronously, never in a variable kept across an await, which would mix requests. What is current it does not look into.

import { builtin } from "./env.js";

/** What is current, as whoever keeps it here sees it: a frame of record/frame.ts, and what else is known of what runs here. */
export type Store = object;

interface AsyncLocalStorage {
  getStore(): Store | undefined;
  run<T>(store: Store | undefined, fn: () => T): T;
}
type AsyncHooks = { AsyncLocalStorage: new () => AsyncLocalStorage };

/**
 * Kept on globalThis so that two copies of the package agree on what is current. One copy then opens spans in what another has left
 * there: the number in `KEY` is raised with every change of what they see of each other, so that copies which differ in it pass for two
 * packages. That is this, `Frame` of record/frame.ts, and what `Scope`, `SpanHandle`, `TraceHandle` and `OpenRow` behind it have.
 */
interface Current {
  storage?: AsyncLocalStorage | undefined;
  /** That of the callback that runs right now, where there is no storage. */
  store?: Store | undefined;
  searched?: boolean;
}
const KEY = Symbol.for("opik-edge/2");

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
      // In a page elements may have these names.
    }
  }
  return found;
}

function findSync(): AsyncHooks["AsyncLocalStorage"] | undefined {
  const { AsyncLocalStorage } = globalThis as unknown as Partial<AsyncHooks>;
  return AsyncLocalStorage ?? builtin<AsyncHooks>("node:async_hooks")?.AsyncLocalStorage;
}

/**
 * Looks for AsyncLocalStorage where only an import finds it (Workers with `nodejs_als` alone).
 * `undefined` when there is nothing to wait for.
 */
export function prepareAsyncContext(): Promise<void> | undefined {
  const state = current();
  if (state.storage || state.searched) return undefined;
  // Requests that arrive meanwhile search too: a Worker should not wait for another request's promise.
  // Spelled so that no bundler tries to resolve it: where it is missing, the catch is the answer.
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

/** Whether a span stays current across an `await`. */
export function hasAsyncContext(): boolean {
  return current().storage !== undefined;
}

/** What is current here, if anything. */
export function currentStore(): Store | undefined {
  const state = current();
  return state.storage ? state.storage.getStore() : state.store;
}

/** `fn`, to be run with what is current now. */
export function keepCurrent(fn: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
  const store = currentStore();
  return function (this: unknown, ...args) {
    return runWith(store, () => fn.apply(this, args));
  };
}

/** Runs `fn` with `store` current: until it has settled with AsyncLocalStorage, else until it returns. */
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
