// The client: settings, and the traces and spans that begin outside any invocation. current.ts works without a client.

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

/** Time after which `discard` aborts requests under way. */
const DISCARD_TIMEOUT_MS = 1000;

/** The scopes of clients, for the other entries of this package. */
const scopes = new WeakMap<object, Scope>();

/** The scope of a client of this copy of the package. */
export function scopeOf(client: object): Scope | undefined {
  return scopes.get(client);
}

const DISTRIBUTED_OPTIONS: Names<DistributedHeadersOptions> = { name: 0, flush: 0, span: 0 };
const INSTRUMENT_OPTIONS: Names<InstrumentFetchOptions> = { propagateTo: 0, ignore: 0 };

/** Options of `distributedHeaders`. */
export interface DistributedHeadersOptions {
  /** Name of the span (default `root`). */
  readonly name?: string | undefined;
  /** `true` flushes after the span; the result is then a promise (default `false`). */
  readonly flush?: boolean | undefined;
  /** `false` opens no span: spans in `fn` are children of the caller's span (default `true`). */
  readonly span?: boolean | undefined;
}

/**
 * A client of Opik. Rows that end outside any invocation are kept until `flush`, or sent in the background where the process
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

  /** Throws an `OpikError` (`invalid_config`) that names the wrong field. Later problems are reported, not thrown. */
  constructor(config: OpikConfig = {}) {
    try {
      const given = ownOf(config);
      const settings = resolveConfig(given);
      this.#scope = new Scope(settings, new Reporter(given), undefined, openOutbox(ownOf(given), settings));
    } catch (error) {
      if (error instanceof OpikError) throw error;
      throw new OpikError("invalid_config", `the configuration cannot be read: ${causeOf(error)}`, error);
    }
    scopes.set(this, this.#scope);
    printAs("client", this);
    // Each may be passed on alone: `new OpenAI({ fetch: opik.fetch })`.
    for (const name of Object.getOwnPropertyNames(Opik.prototype) as (keyof Opik)[]) {
      if ((name as string) === "constructor") continue;
      Object.defineProperty(this, name, { value: (this[name] as AnyFunction).bind(this) });
    }
  }

  /** Begins a trace. Its row is written once, at `end`. */
  trace(fields?: TraceFields): Trace {
    return openTrace(this.#scope, undefined, readOption(fields, "name"), fields);
  }

  /** Opens a span under `parent`, by default under the current span, else in a new trace. */
  span(options?: SpanOptions): Span;
  /** Opens a span that is current inside `fn` and ends after it. Errors are recorded and rethrown. */
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  span<T>(options: SpanOptions = {}, fn?: (span: Span) => T): Span | T {
    const span = this.#start(options);
    return fn ? scoped(span, fn) : span;
  }

  /** Wraps `fn` so that each call is a span: Opik's `@track`. `this`, the name and the signature stay. */
  track<F extends AnyFunction>(fn: F, options?: TrackOptions): F;
  /** The argument order of the official SDK. */
  track<F extends AnyFunction>(options: TrackOptions, fn: F): F;
  track<F extends AnyFunction>(first: F | TrackOptions, second?: TrackOptions | F): F {
    return trackEither(this.#start, first, second, this.#scope.reporter);
  }

  /**
   * Runs `fn` in a span under the caller's: Opik's `distributed_headers`. Without usable headers it begins a new trace, with
   * one warning.
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
    if (!trace.joined && trace.recording && !trace.metadata) {
      scope.reporter.once(
        "invalid_headers",
        "distributedHeaders found no usable headers, so a new trace begins: pass the headers of the caller's request",
      );
    }
    const span =
      readOption(options, "span") === false
        ? undefined
        : new SpanHandle(trace, trace.parentId, { name }, !trace.joined);
    const run = (): T => (span ? scoped(span, fn) : runWith({ scope, trace, span }, () => (fn as () => T)()));
    return readOption(options, "flush") ? this.#runThenFlush(run, span) : run();
  }

  /** Scores a trace, a span or a thread by its id, even of another process: a user's feedback. */
  score(score: TargetedScore): void {
    this.#scope.scoreById(score);
  }

  /** `fetch` in a span under the current span, else in a new trace, with trace headers: see `Span.fetch`. */
  fetch(input: string | URL | Request, init?: TracedRequestInit): Promise<Response>;
  fetch(...args: Parameters<TracedFetch>): Promise<Response> {
    return tracedFetch(this.#start, this.#scope.settings, args);
  }

  /**
   * Traces every `fetch` of this page. Returns a function that stops it; a second call has no effect in the meantime. The page's
   * own origin and the targets in `propagateTo` receive trace headers. Outside a page nothing happens.
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
   * Sends the rows that have ended outside any invocation, and reports the outcome. Never rejects, never waits for open spans.
   */
  flush(options?: FlushOptions): Promise<FlushReport> {
    return this.#scope.flush(options);
  }

  /**
   * Ends a user's visit to a page, as at a logout. Drops waiting rows (in memory, at rest and in the other tabs) and open spans,
   * and forgets the token. Reports the rows of this page as `discarded`. Never rejects. Outside a page, or without a relay,
   * nothing happens.
   */
  async discard(): Promise<FlushReport> {
    const { outbox } = this.#scope;
    await outbox?.discard();
    return outbox ? this.flush({ timeoutMs: DISCARD_TIMEOUT_MS }) : emptyReport();
  }

  async #runThenFlush<T>(run: () => T, span: SpanHandle | undefined): Promise<Awaited<T>> {
    let flushing: Promise<FlushReport> | undefined;
    // A returned stream outlives this call: its span ends, and the flush follows, when it has been read.
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

/** Opens a span under `options.parent`, by default under `frame`, which is current; else in a new trace in `scope`. */
export function startSpan(scope: OpenScope, options: SpanOptions, frame: Frame | undefined): SpanHandle {
  const parent = readOption(options, "parent");
  const above = parent === undefined ? (frame?.span ?? frame?.trace) : isSpanOrTrace(parent) ? parent : undefined;
  // The current span may have ended: work in `waitUntil` outlives the response.
  if (above instanceof SpanHandle && parent === undefined) return new SpanHandle(above.trace, above.id, options);
  // A child is recorded where its parent is, which may belong to another copy of this package.
  if (above) return above.span(options) as SpanHandle;
  const trace = openTrace(scope, parent, readOption(options, "name"));
  return new SpanHandle(trace, trace.parentId, options, !trace.joined);
}

function isSpanOrTrace(parent: unknown): parent is Span | Trace {
  try {
    const { span, end } = (parent ?? {}) as Partial<Span>;
    return typeof span === "function" && typeof end === "function";
  } catch {
    return false; // a revoked proxy, a throwing getter: readIncoming reports it too
  }
}
