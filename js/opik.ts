// The client: settings, and the traces and spans that begin outside any invocation. Its functions for
// whatever is current, without a client at hand, are in current.ts.

import { emptyReport, type FlushReport } from "./deliver/report.js";
import { causeOf, OpikError, ownOf, printAs, Reporter, readOption } from "./errors.js";
import { type Names, tellUnknown } from "./names.js";
import { runWith } from "./platform/context.js";
import { tracedFetch } from "./record/fetch.js";
import { currentFrame, type Frame } from "./record/frame.js";
import type {
  FlushOptions,
  OpenScope,
  Span,
  SpanOptions,
  TargetedScore,
  Trace,
  TracedFetch,
  TracedRequestInit,
  TraceFields,
} from "./record/model.js";
import { Scope } from "./record/scope.js";
import { scoped } from "./record/settle.js";
import { SpanHandle } from "./record/span.js";
import { usableTargets } from "./record/targets.js";
import { openTrace } from "./record/trace.js";
import { type AnyFunction, type TrackOptions, trackEither } from "./record/track.js";
import { openOutbox, page, resolveConfig } from "./resolve-settings.js";
import type { Fetch, HeaderCarrier, InstrumentFetchOptions, OpikConfig } from "./settings.js";

/** How long a `discard` waits for requests that are under way, before it breaks them off. */
const DISCARD_TIMEOUT_MS = 1000;

const DISTRIBUTED_OPTIONS: Names<DistributedHeadersOptions> = { name: 0, flush: 0, span: 0 };
const INSTRUMENT_OPTIONS: Names<InstrumentFetchOptions> = { propagateTo: 0, ignore: 0 };

/** Options of `distributedHeaders`. */
export interface DistributedHeadersOptions {
  /** The name of the span it opens (default `root`). */
  readonly name?: string | undefined;
  /** Whether to flush once that span has ended (default `false`). The result is then a promise. */
  readonly flush?: boolean | undefined;
  /** `false` opens no span: what `fn` opens hangs under the caller's span itself (default `true`). */
  readonly span?: boolean | undefined;
}

/**
 * A client of Opik. What ends outside any invocation is kept until `flush`, or sent in the background where the process
 * outlives its requests: see the setting `background`.
 *
 * @example
 * ```ts
 * import { Opik } from "opik-edge";
 *
 * const opik = new Opik({ projectName: "shop" }); // everything else from the OPIK_* variables
 *
 * await opik.span({ name: "order", input: { items: 2 } }, async (order) => {
 *   await order.span({ name: "pay", type: "tool" }, async () => "paid");
 * });
 * await opik.flush();
 * ```
 */
export class Opik {
  readonly #scope: Scope;
  readonly #start = (options: SpanOptions): SpanHandle => startSpan(this.#scope, options, currentFrame());

  /** Throws an `OpikError` (`invalid_config`) that names the wrong field. Nothing after this throws. */
  constructor(config: OpikConfig = {}) {
    try {
      const given = ownOf(config);
      const settings = resolveConfig(given);
      this.#scope = new Scope(settings, new Reporter(given), undefined, openOutbox(ownOf(given), settings));
    } catch (error) {
      if (error instanceof OpikError) throw error;
      throw new OpikError("invalid_config", `the configuration can not be read: ${causeOf(error)}`, error);
    }
    printAs("client", this);
    // Each may be handed over by itself: `new OpenAI({ fetch: opik.fetch })`.
    for (const name of Object.getOwnPropertyNames(Opik.prototype) as (keyof Opik)[]) {
      if ((name as string) === "constructor") continue;
      Object.defineProperty(this, name, { value: (this[name] as AnyFunction).bind(this) });
    }
  }

  /** Begins a trace. Its row is written once, at its `end`. */
  trace(fields?: TraceFields): Trace {
    return openTrace(this.#scope, undefined, readOption(fields, "name"), fields);
  }

  /** Opens a span under `parent`, by default under the current span, else in a trace of its own. */
  span(options?: SpanOptions): Span;
  /** The same, current inside `fn` and ended after it; errors are recorded and rethrown. */
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  span<T>(options: SpanOptions = {}, fn?: (span: Span) => T): Span | T {
    const span = this.#start(options);
    return fn ? scoped(span, fn) : span;
  }

  /** `fn` with a span around each call: Opik's `@track`. `this`, the name and the signature stay. */
  track<F extends AnyFunction>(fn: F, options?: TrackOptions): F;
  /** The same, in the order of the official SDK. */
  track<F extends AnyFunction>(options: TrackOptions, fn: F): F;
  track<F extends AnyFunction>(first: F | TrackOptions, second?: TrackOptions | F): F {
    return trackEither(this.#start, first, second, this.#scope.reporter);
  }

  /**
   * Runs `fn` in a span under the caller's: Opik's `distributed_headers`. Without usable headers it begins a
   * new trace, with one warning.
   */
  distributedHeaders<T>(
    headers: HeaderCarrier,
    fn: () => T,
    options: DistributedHeadersOptions & { readonly span: false; readonly flush: true },
  ): Promise<Awaited<T>>;
  distributedHeaders<T>(
    headers: HeaderCarrier,
    fn: () => T,
    options: DistributedHeadersOptions & { readonly span: false },
  ): T;
  distributedHeaders<T>(
    headers: HeaderCarrier,
    fn: (span: Span) => T,
    options: DistributedHeadersOptions & { readonly flush: true },
  ): Promise<Awaited<T>>;
  distributedHeaders<T>(headers: HeaderCarrier, fn: (span: Span) => T, options?: DistributedHeadersOptions): T;
  distributedHeaders<T>(headers: HeaderCarrier, fn: (span: Span) => T, options?: DistributedHeadersOptions): unknown {
    const scope = this.#scope;
    tellUnknown(scope.reporter, options, "option of distributedHeaders", DISTRIBUTED_OPTIONS);
    const name = readOption(options, "name") ?? "root";
    const trace = openTrace(scope, headers, name);
    if (!trace.joined && trace.recording) {
      scope.reporter.once(
        "invalid_headers",
        "distributedHeaders found no usable headers, so a new trace begins: pass those of the caller's request",
      );
    }
    const span =
      readOption(options, "span") === false
        ? undefined
        : new SpanHandle(trace, trace.parentId, { name }, !trace.joined);
    const run = (): T => (span ? scoped(span, fn) : runWith({ scope, trace, span }, () => (fn as () => T)()));
    return readOption(options, "flush") ? this.#runThenFlush(run, span) : run();
  }

  /** Scores a trace or a span by its id, which need not be of this process: a user's feedback. */
  score(score: TargetedScore): void {
    this.#scope.scoreById(score);
  }

  /** `fetch` in a span under the current one, or in a trace of its own, with trace headers: see `Span.fetch`. */
  fetch(input: string | URL | Request, init?: TracedRequestInit): Promise<Response>;
  fetch(...args: Parameters<TracedFetch>): Promise<Response> {
    return tracedFetch(this.#start, this.#scope.settings, args);
  }

  /**
   * Traces every `fetch` of this page from now on; gives what ends that. While they are traced already nothing changes.
   * The page's own origin is given headers, and what `propagateTo` names. Off a page nothing happens.
   */
  instrumentFetch(options: InstrumentFetchOptions = {}): () => void {
    const client = page();
    if (!client) return () => {};
    const { settings, reporter } = this.#scope;
    tellUnknown(reporter, options, "option of instrumentFetch", INSTRUMENT_OPTIONS);
    const given = readOption(options, "propagateTo");
    const propagateTo = given ? usableTargets("propagateTo", given, reporter) : settings.propagateTo;
    const propagation = { url: settings.url, propagateTo };
    const traced = (original: Fetch, args: Parameters<TracedFetch>): Promise<Response> =>
      tracedFetch(this.#start, propagation, args, original);
    return client.instrumentFetch(traced, options ?? {});
  }

  /**
   * Sends the rows that have ended outside any invocation, and says what became of them. Never rejects,
   * never waits for open spans.
   */
  flush(options?: FlushOptions): Promise<FlushReport> {
    return this.#scope.flush(options);
  }

  /**
   * Ends a user's visit to a page, as at a logout: what waits to be sent is dropped, in memory, at rest and in the other tabs, as is
   * what is still open, and the token is forgotten. Gives what became of the rows of this page (`discarded`). Never rejects. Off a
   * page, or without a relay, nothing happens.
   */
  async discard(): Promise<FlushReport> {
    const { outbox } = this.#scope;
    await outbox?.discard();
    return outbox ? this.flush({ timeoutMs: DISCARD_TIMEOUT_MS }) : emptyReport();
  }

  async #runThenFlush<T>(run: () => T, span: SpanHandle | undefined): Promise<Awaited<T>> {
    let flushing: Promise<FlushReport> | undefined;
    // A returned stream outlives this call: its span ends, and the flush comes, when it has been read.
    if (span) {
      span.onEnd = () => {
        flushing = this.flush();
      };
    }
    try {
      return await run();
    } finally {
      await (span ? flushing : this.flush());
    }
  }
}

/** Opens a span where `options.parent` says, by default in `frame`, which is current; recorded in `scope` unless its parent is elsewhere. */
export function startSpan(scope: OpenScope, options: SpanOptions, frame: Frame | undefined): SpanHandle {
  const parent = readOption(options, "parent");
  const above = parent === undefined ? (frame?.span ?? frame?.trace) : isSpanOrTrace(parent) ? parent : undefined;
  // What is current may have ended: in `waitUntil` after the response that is how it is.
  if (above instanceof SpanHandle && parent === undefined) return new SpanHandle(above.trace, above.id, options);
  // A child is recorded where its parent is. It may be of another copy of this package, which then opens it.
  if (above) return above.span(options) as SpanHandle;
  const trace = openTrace(scope, parent, readOption(options, "name"));
  return new SpanHandle(trace, trace.parentId, options, !trace.joined);
}

function isSpanOrTrace(parent: unknown): parent is Span | Trace {
  try {
    const { span, end } = (parent ?? {}) as Partial<Span>;
    return typeof span === "function" && typeof end === "function";
  } catch {
    return false; // a revoked proxy, a throwing getter: readIncoming says so too
  }
}
