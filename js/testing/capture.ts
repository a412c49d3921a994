// What a function records, wherever its spans would have gone: by the package's own functions, by clients that were made before,
// by wrapped handlers. While it runs each of their scopes has another in its place, which sends to memory.

import { currentStore, hasAsyncContext, prepareAsyncContext, runWith } from "../platform/context.js";
import { environment } from "../platform/env.js";
import { Scope } from "../record/scope.js";
import { InMemoryExporter } from "./exporter.js";
import { type Tree, treesOf } from "./tree.js";

/** The platform's timers as they were when this was loaded: a test runner may put others in their place. */
const { setTimeout, clearTimeout } = globalThis;

/** How long to wait for spans that are open when the function is done: of a server whose answer has just arrived. */
const OPEN_MS = 1000;
/** How long writing to memory may take: forever, as far as a test is concerned. */
const WRITE_MS = 60_000;

/** One call of `capture`. */
class Capture {
  readonly exporter: InMemoryExporter;
  readonly #scopes = new Map<Scope, Scope>();

  constructor(exporter: InMemoryExporter) {
    this.exporter = exporter;
  }

  /** Whether `scope` is in the place of another. */
  has(scope: unknown): boolean {
    return [...this.#scopes.values()].includes(scope as Scope);
  }

  /** What is in the place of `own`: with its settings, but for those that say what becomes of its rows. */
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
    // An invocation, since it ends.
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

/** What is current: in the function itself, or in a span of its. */
interface Store {
  readonly capture?: Capture;
  readonly trace?: { readonly scope: unknown };
}

function captureHere(): Capture | undefined {
  const captures = [...running];
  const store = currentStore() as Store | undefined;
  // A request that comes by a socket has nothing to do with who has made it.
  if (!store) return captures.length === 1 ? captures[0] : undefined;
  return captures.find((capture) => capture === store.capture || capture.has(store.trace?.scope));
}

function redirect<S extends object>(scope: S): S {
  if (!(scope instanceof Scope)) return scope; // another copy's
  if ([...running].some((capture) => capture.has(scope))) return scope;
  return (captureHere()?.inPlaceOf(scope) ?? scope) as S;
}

/**
 * The traces that `fn` records, as trees in the order in which they began, once it is done: those of `span`, `track` and the other
 * functions of the package, of clients wherever they were made, and of wrapped handlers and middleware that are called in it. They are
 * not sent, whatever `transport`, `disabled` and `sampleRate` say; other settings count. No API key is needed.
 *
 * What `fn` throws is thrown on. A span that is open a second after `fn` is done is recorded as unfinished, as of a response that
 * nobody has read. Of captures within captures the innermost has a trace. Several may run at once where there is AsyncLocalStorage;
 * elsewhere a second one throws. While there is one alone it also has what begins where nothing is current: the requests that a
 * server of this process gets by a socket.
 *
 * `exporter` also receives the scores and the requests, which the trees lack.
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
