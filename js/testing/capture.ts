// Captures the spans that a function records: through the package's functions, existing clients, or wrapped handlers. While the
// function runs, each of their scopes is replaced by a scope that writes to memory.

import { currentStore, hasAsyncContext, prepareAsyncContext, runWith } from "../platform/context.js";
import { environment } from "../platform/env.js";
import { Scope } from "../record/scope.js";
import { InMemoryExporter } from "./exporter.js";
import { type Tree, treesOf } from "./tree.js";

/** The platform's timers at load time, because a test runner may replace them later. */
const { setTimeout, clearTimeout } = globalThis;

/** Time to wait for spans that are still open when the function is done, as in a server whose answer has just arrived. */
const OPEN_MS = 1000;
/** Time for writing to memory: long enough for any test. */
const WRITE_MS = 60_000;

/** One call of `capture`. */
class Capture {
  readonly exporter: InMemoryExporter;
  readonly #scopes = new Map<Scope, Scope>();

  constructor(exporter: InMemoryExporter) {
    this.exporter = exporter;
  }

  /** `true` if `scope` replaces another scope. */
  has(scope: unknown): boolean {
    return [...this.#scopes.values()].includes(scope as Scope);
  }

  /** The replacement of `own`. It has the same settings, except for those that decide where rows go. */
  inPlaceOf(own: Scope): Scope {
    const known = this.#scopes.get(own);
    if (known) return known;
    const settings = {
      ...own.settings,
      transport: this.exporter,
      disabled: false,
      sampleRate: 1,
      background: false,
      isInsecure: false,
      unknown: [],
    };
    // Given masks, the scope acts as an invocation, which can be ended.
    const made = new Scope(settings, own.reporter, own.masks ?? new Map());
    this.#scopes.set(own, made);
    return made;
  }

  async end(): Promise<void> {
    let isLate = false;
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isLate = true;
        resolve();
      }, OPEN_MS);
    });
    for (const scope of this.#scopes.values()) {
      while (scope.hasOpen && !isLate) await Promise.race([scope.closed(), late]);
    }
    clearTimeout(timer as number);
    for (const scope of this.#scopes.values()) await scope.end(WRITE_MS);
  }
}

const running = new Set<Capture>();

/** The current store: of `capture` itself, or of a span within it. */
interface Store {
  readonly capture?: Capture;
  readonly trace?: { readonly scope: unknown };
}

function captureHere(): Capture | undefined {
  const captures = [...running];
  const store = currentStore() as Store | undefined;
  // A request through a socket does not carry the store of the function that sent it.
  if (!store) return captures.length === 1 ? captures[0] : undefined;
  return captures.find((capture) => capture === store.capture || capture.has(store.trace?.scope));
}

function redirect<S extends object>(scope: S): S {
  if (!(scope instanceof Scope)) return scope; // from another copy of the package
  if ([...running].some((capture) => capture.has(scope))) return scope;
  return (captureHere()?.inPlaceOf(scope) ?? scope) as S;
}

/**
 * Runs `fn` and returns the traces that it records, as trees in the order in which they began. It captures `span`, `track` and the
 * other functions of the package, all clients, and the wrapped handlers and middleware that `fn` calls. Nothing is sent, and no API
 * key is needed: `transport`, `disabled` and `sampleRate` are ignored. All other settings apply.
 *
 * An error from `fn` is rethrown. A span that is still open a second after `fn` is done is recorded as unfinished, for example if
 * nobody has read a response. With nested captures, a trace belongs to the innermost. Captures may run concurrently if
 * AsyncLocalStorage exists; otherwise a second capture throws. A capture that runs alone also receives spans that begin outside any
 * context, such as requests that a server of this process receives through a socket.
 *
 * `exporter` also receives the scores and the requests, which the trees do not contain.
 *
 * @example
 * ```ts
 * import { span } from "opik-edge";
 * import { assertTrees, capture } from "opik-edge/testing";
 *
 * const traces = await capture(() => span({ name: "search", type: "tool" }, () => ["a document"]));
 * assertTrees(traces, [{ name: "search", spans: [{ name: "search", type: "tool" }] }]);
 * ```
 */
export async function capture(
  fn: () => unknown,
  exporter: InMemoryExporter = new InMemoryExporter(),
): Promise<readonly Tree[]> {
  await prepareAsyncContext();
  if (running.size > 0 && !hasAsyncContext()) {
    throw new Error(
      "capture: one at a time, since there is no AsyncLocalStorage here: await the capture that is running",
    );
  }
  const own = new Capture(exporter);
  running.add(own);
  environment.redirect = redirect;
  try {
    await runWith({ capture: own }, fn);
  } finally {
    await own.end();
    running.delete(own);
    if (running.size === 0) delete environment.redirect;
  }
  return treesOf(exporter);
}
