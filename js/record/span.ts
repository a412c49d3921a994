// One span: opened, updated, ended. It lives here while it is open; at its end its row goes to the buffer of its
// invocation. src/span.rs defines the row's format.

import { printAs, readOption } from "../errors.js";
import type { SpanFields } from "../fields.js";
import { type Names, tellUnknown } from "../names.js";
import { runWith } from "../platform/context.js";
import { SPAN_ROW } from "../platform/core.js";
import type { HeaderSpelling, HeaderTarget } from "../settings.js";
import { tracedFetch, untracedFetch } from "./fetch.js";
import { currentFrame } from "./frame.js";
import { type Incoming, injectInto, OPIK_NAMES, ofCaller, opikHeaders, readIncoming, traceContext } from "./headers.js";
import type { Open, OpenScope, OpenSpan, OpenTrace, Score, Span, SpanOptions, TracedFetch } from "./model.js";
import { OpenRow, ThrownNothing } from "./open-row.js";
import { scoped } from "./settle.js";

/** Opens a span in `trace` under `parentId` ("" is the root). With `fn`, the span is current inside it and ends after it. */
export function openSpan<T>(
  trace: OpenTrace,
  parentId: string,
  options: SpanOptions,
  fn: ((span: Span) => T) | undefined,
): SpanHandle | T {
  const span = new SpanHandle(trace, parentId, options);
  return fn ? scoped(span, fn) : span;
}

/** The beginning of a span, if another tracer decides it: otel/. */
export interface Begun {
  /** In ms since 1970, by the clock of the trace. */
  readonly startMs: number;
  /** `undefined` mints an id. */
  readonly id: string | undefined;
}

const HEADER_OPTIONS: Names<{ spelling?: HeaderSpelling }> = { spelling: 0 };

/** The only implementation of `Span`. */
export class SpanHandle implements OpenSpan, Open {
  readonly id: string;
  readonly parentSpanId: string | undefined;
  readonly trace: OpenTrace;
  /** Called once, when the span has ended. */
  onEnd: (() => void) | undefined;
  /**
   * Called before the span ends, while it still takes fields; `isUnfinished` if it is being closed. May return an earlier
   * end time, in ms.
   */
  beforeEnd: ((isUnfinished: boolean) => number | undefined) | undefined;
  readonly startMs: number;
  /** `undefined` if the span is not recorded. */
  readonly #row: OpenRow | undefined;
  #ended = false;
  /** In an invocation, the body whose reader ends the span. */
  #body: ReadableStream | null | undefined;
  readonly #isRoot: boolean;

  /** With `isRoot` the span opened the trace, which ends with it. `begun` is the beginning that another tracer decided. */
  constructor(trace: OpenTrace, parentId: string, options: SpanOptions, isRoot = false, begun?: Begun) {
    this.trace = trace;
    this.#isRoot = isRoot;
    this.startMs = begun?.startMs ?? (isRoot || !trace.recording ? trace.startMs : trace.now());
    const id = trace.recording ? (begun?.id ?? this.#mint()) : undefined;
    // A span without an id is transparent: its children hang under its parent.
    this.id = id ?? parentId;
    this.parentSpanId = parentId || undefined;
    if (id === undefined) return;
    this.#row = new OpenRow(SPAN_ROW, id, parentId, trace, this.startMs, options);
    this.#scope.opened(this);
    if (parentId === trace.parentId && trace.metadata) this.#row.merge({ metadata: trace.metadata }, true);
    if (isRoot) trace.owned();
    const threadId = readOption(options, "threadId") ?? undefined; // JavaScript callers may pass null
    if (threadId !== undefined) trace.update({ threadId });
  }

  get traceId(): string {
    return this.trace.id;
  }

  get #scope(): OpenScope {
    return this.trace.scope;
  }

  span(options?: SpanOptions): SpanHandle;
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  span<T>(options: SpanOptions = {}, fn?: (span: Span) => T): SpanHandle | T {
    this.#misusedAfterEnd("span.span");
    return openSpan(this.trace, this.id, options, fn);
  }

  update(fields: SpanFields): void {
    if (!this.#misusedAfterEnd("span.update")) this.#row?.merge(fields);
  }

  score(score: Score): void {
    if (this.#row) this.#scope.score("span_scores", this.id, score);
  }

  end(): void {
    if (!this.#misusedAfterEnd("span.end")) this.finish();
  }

  headers(options?: { spelling?: HeaderSpelling }): Record<string, string> {
    return this.#headersFor(undefined, options);
  }

  inject<T extends HeaderTarget>(target: T, options?: { spelling?: HeaderSpelling }): T {
    const { names } = this.#scope.settings;
    return injectInto(
      target,
      this.#headersFor(readIncoming(target, names.slice(OPIK_NAMES)), options),
      ofCaller(names),
    );
  }

  #headersFor(own: Incoming | undefined, options?: { spelling?: HeaderSpelling }): Record<string, string> {
    tellUnknown(this.#scope.reporter, options, "option of headers", HEADER_OPTIONS);
    return this.headersBeside(own, readOption(options, "spelling") ?? "both");
  }

  headersBeside(own: Incoming | undefined, spelling: HeaderSpelling | "" | undefined): Record<string, string> {
    const isOpik = spelling && this.#scope.settings.propagation.includes("opik");
    const opik = isOpik ? opikHeaders(this, spelling) : undefined;
    const context = traceContext(this, own, spelling);
    return context ? { ...opik, ...context } : (opik ?? {});
  }

  /** A bound function, so that it can be passed on alone: `new OpenAI({ fetch: span.fetch })`. */
  get fetch(): TracedFetch {
    const value: TracedFetch = (...args) => {
      if (!this.id && !this.trace.came[0]) return untracedFetch(...args); // tracing is off and there is nothing to forward
      return tracedFetch((options) => this.span(options), this.#scope.settings, args, undefined, this);
    };
    Object.defineProperty(this, "fetch", { value });
    return value;
  }

  /** Sets fields that give way to the host's, whether these are set before or after. */
  preset(fields: SpanFields): void {
    if (!this.#ended) this.#row?.merge(fields, true);
  }

  /** `undefined` if the span is not recorded or has ended. */
  get openRow(): OpenRow | undefined {
    return this.#ended ? undefined : this.#row;
  }

  /** Ends the span. A second call does nothing and does not warn, because results end independently of the host. */
  finish(unfinished = false): void {
    if (this.#ended) return;
    const endedMs = this.beforeEnd?.(unfinished);
    this.#ended = true;
    const row = this.#row;
    if (row) {
      const scope = this.#scope;
      const endMs = endedMs ?? this.trace.now();
      const isOpen = unfinished && endedMs === undefined;
      const mirrored = this.#isRoot && row.mirrored;
      scope.ended(this);
      scope.settings.host?.consumed(this);
      row.write(endMs, isOpen);
      if (mirrored) this.trace.endWith(mirrored, endMs, isOpen);
      else if (this.trace.joined && this.parentSpanId === this.trace.parentId) scope.outermostEnded();
    }
    this.onEnd?.();
  }

  /** Records the thrown value, and ends. */
  fail(error: unknown): void {
    if (!this.#ended) this.#row?.merge({ error: error ?? new ThrownNothing(error) });
    this.finish();
  }

  /** Ends because the work was aborted, and records that in the metadata. */
  cancel(): void {
    if (!this.#ended) this.#row?.merge({ metadata: { opik_edge_cancelled: true } });
    this.finish();
  }

  /** Ends because its consumer stopped reading after `bytes` bytes, and records that in the metadata. */
  stop(bytes: number | undefined): void {
    if (this.trace.isBrokenOff) this.cancel();
    if (!this.#ended) this.#row?.merge({ metadata: { opik_edge_stopped_reading: bytes ?? true } });
    this.finish();
  }

  /** Leaves the end of the span to the consumer of `result`, or of its `body`. */
  endsWith<T extends object>(result: T, body?: ReadableStream | null): T {
    if (!this.#ended && this.#row) {
      if (this.#scope.outlivesCalls) this.#scope.settings.host?.closeWhenLost(this, result);
      else this.#body = body;
    }
    return result;
  }

  /** `true` if only the reader of a body can end it, and the body has no reader. */
  get isLeft(): boolean {
    return this.#body?.locked === false;
  }

  /** `true` if its row is written at its end. */
  get isRecorded(): boolean {
    return this.#row !== undefined;
  }

  close(): void {
    this.finish(true);
  }

  checkpoint(): void {
    if (!this.#ended && this.#row?.writeEarly() && this.#isRoot) this.trace.checkpointWith(this.#row.mirrored);
  }

  /** `true` if the span is not recorded and the current span already has its ids, so that running in it has no effect. */
  get isTransparent(): boolean {
    if (this.#row || this.onEnd) return false;
    const frame = currentFrame();
    return frame?.trace === this.trace && frame.span?.id === this.id;
  }

  /** Runs `fn` with this span current. */
  run<T>(fn: () => T): T {
    const frame = { scope: this.#scope, trace: this.trace, span: this };
    return this.#scope.within(this, () => runWith(frame, fn), frame);
  }

  [Symbol.dispose](): void {
    this.finish();
  }

  static {
    printAs("span", SpanHandle.prototype);
  }

  #mint(): string | undefined {
    try {
      return this.trace.mint(this.startMs);
    } catch (error) {
      this.#scope.reporter.failure(error);
      return undefined;
    }
  }

  #misusedAfterEnd(what: string): boolean {
    if (this.#ended && this.#row) {
      this.#scope.reporter.once("already_ended", `${what} after the span has ended: do it before`);
    }
    return this.#ended;
  }
}
