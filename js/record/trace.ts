// One trace, begun here or joined from the caller. Its row is written once, at its end, and never if it is the caller's:
// rows replace each other whole, so ours would overwrite theirs.

import { numberOr } from "../deliver/transport.js";
import { printAs } from "../errors.js";
import type { RowFields } from "../fields.js";
import { type Core, getCore, TRACE_ROW } from "../platform/core.js";
import { environment, now } from "../platform/env.js";
import type { Row } from "../platform/model.js";
import { contextIn, readClaim, readIncoming } from "./headers.js";
import type { Open, OpenScope, OpenTrace, Score, Span, SpanOptions, TraceFields } from "./model.js";
import { OpenRow } from "./open-row.js";
import { openSpan } from "./span.js";

/** The origin of a trace: begun here or joined. */
export interface TraceOrigin {
  readonly id: string;
  readonly joined: boolean;
  /** The caller's span, or "". */
  readonly parentId: string;
  /** An id for the first span, with the trace's start time. */
  readonly spanId?: string | undefined;
  /** The caller's W3C headers, to be passed on. */
  readonly came: (string | undefined)[];
  readonly metadata?: Record<string, unknown> | undefined;
  /** `false` when nothing is recorded: tracing is off, or the core cannot be loaded. */
  readonly recording: boolean;
  /** The start in ms since 1970, the time that its id carries. */
  readonly startMs: number;
  /** Added to the local clock to get the receiver's time, in ms. */
  readonly clockOffsetMs: number;
}

/**
 * Joins the trace in `carrier`, or begins a trace with a root called `name`. Never throws. Without the core it only passes
 * on the caller's trace.
 */
export function openTrace(own: OpenScope, carrier: unknown, name?: string, fields?: TraceFields): TraceHandle {
  const scope = environment.redirect?.(own) ?? own;
  return new TraceHandle(originOf(scope, carrier, name, now()), scope, fields);
}

/** The origin of a trace that begins at `beganMs`, in ms of the local clock. */
export function originOf(scope: OpenScope, carrier: unknown, name: string | undefined, beganMs: number): TraceOrigin {
  const { outbox } = scope;
  const { disabled, names, sampleRate, transport } = scope.settings;
  const clockOffsetMs = numberOr(transport.clockOffsetMs, 0);
  const startMs = beganMs + clockOffsetMs;
  const incoming = readIncoming(carrier, names);
  const came = contextIn(incoming);
  if (!disabled && (incoming || sampleRate !== 0)) {
    try {
      const core = getCore();
      const { traceId: claimed, parentId, spanId, joined, warning, link } = core.context(incoming, startMs);
      const traceId = joined || !outbox ? claimed : outbox.mint(startMs);
      if (warning) reportHeaders(scope, warning);
      if (link === "3") came.length = 1; // its tracestate is invalid
      const [, foreignTrace, foreignParent] = came[0]?.split("-") ?? [];
      const metadata = link === "1" ? { "w3c.trace_id": foreignTrace, "w3c.parent_id": foreignParent } : undefined;
      const recording = link < "2" && (joined || isSampled(scope, core, traceId, name));
      if (link === "0" && !recording) came.length = 0; // its traceparent is invalid
      // An unsampled trace has no ids, so that none are passed on.
      const id = recording ? traceId : "";
      return { id, joined, parentId, spanId, came, metadata, recording, startMs, clockOffsetMs };
    } catch (error) {
      scope.reporter.failure(error);
    }
  }
  const { traceId = "", spanId = "" } = readClaim(incoming, startMs) ?? {};
  const joined = traceId !== "";
  return { id: traceId, joined, parentId: spanId, came, recording: false, startMs, clockOffsetMs };
}

/** Sampling is decided only here. Everything under a trace follows its decision, in other services too. */
function isSampled({ settings, reporter }: OpenScope, core: Core, id: string, name = ""): boolean {
  const { sampleRate } = settings;
  if (typeof sampleRate === "number") return sampleRate === 1 || core.isSampled(id, sampleRate);
  let rate: unknown;
  let cause: unknown;
  try {
    rate = sampleRate(name);
  } catch (error) {
    cause = error;
  }
  if (isShare(rate)) return rate === 1 || core.isSampled(id, rate);
  reporter.once(
    "invalid_sample_rate",
    "sampleRate gave no number from 0 to 1, so the trace is recorded: return one",
    cause,
  );
  return true;
}

function isShare(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function reportHeaders({ reporter }: OpenScope, warning: string): void {
  if (warning === "conflicting_spellings") {
    reporter.once(
      "conflicting_headers",
      "the spellings of the trace headers differ, and the first was taken: send one trace",
    );
  } else {
    reporter.once(
      "invalid_headers",
      `incoming trace headers were refused: ${warning}: send a span's`,
      undefined,
      warning,
    );
  }
}

/** The only implementation of `Trace`. */
export class TraceHandle implements OpenTrace, Open {
  readonly id: string;
  readonly joined: boolean;
  readonly parentId: string;
  readonly recording: boolean;
  readonly came: (string | undefined)[];
  readonly metadata: Record<string, unknown> | undefined;
  readonly scope: OpenScope;
  readonly startMs: number;
  #isBrokenOff = false;
  #isOwned = false;
  #isSilent = false;
  readonly clockOffsetMs: number;
  /** `undefined` if the row is the caller's. */
  readonly #row: OpenRow | undefined;
  #spanId: string | undefined;
  #ended = false;
  /** Size of its rows so far, in bytes. */
  #bytes = 0;

  constructor(origin: TraceOrigin, scope: OpenScope, fields: TraceFields | undefined) {
    this.id = origin.id;
    this.joined = origin.joined;
    this.parentId = origin.parentId;
    this.recording = origin.recording;
    this.came = origin.came;
    this.metadata = origin.metadata;
    this.startMs = origin.startMs;
    this.#spanId = origin.spanId;
    this.clockOffsetMs = origin.clockOffsetMs;
    this.scope = scope;
    if (!this.recording || this.joined) return;
    this.#row = new OpenRow(TRACE_ROW, this.id, "", this, this.startMs, fields);
    const { threadId } = scope.settings;
    if (typeof threadId === "string") this.#row.merge({ threadId }, true);
    // A getter, so that `merge` handles an error of the function.
    else if (threadId)
      this.#row.merge(
        {
          get threadId() {
            return threadId();
          },
        },
        true,
      );
    scope.opened(this);
  }

  /** The current time, with the clock offset that the trace began with. */
  now(): number {
    return now() + this.clockOffsetMs;
  }

  span(options?: SpanOptions): Span;
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  span<T>(options: SpanOptions = {}, fn?: (span: Span) => T): Span | T {
    return openSpan(this, this.parentId, options, fn);
  }

  score(score: Score): void {
    if (this.recording) this.scope.score("trace_scores", this.id, score);
  }

  update(fields: TraceFields): void {
    if (!this.recording) return;
    const { reporter } = this.scope;
    if (this.joined) {
      reporter.once("joined_trace", "the trace is the caller's: update it where it began");
    } else if (this.#ended) {
      reporter.once("already_ended", "trace.update after the trace has ended: do it before");
    } else {
      this.#row?.merge(fields);
    }
  }

  end(): void {
    if (this.#ended && this.recording) {
      this.scope.reporter.once("already_ended", "trace.end was called twice: call it once");
      return;
    }
    this.#write(this.now(), false);
  }

  close(): void {
    this.#write(this.now(), true);
  }

  checkpoint(): void {
    if (!this.#ended) this.#row?.writeEarly();
  }

  /** A new id for a span that begins at `startMs`. */
  mint(startMs: number): string {
    const { outbox } = this.scope;
    if (outbox) return outbox.mint(startMs); // the outbox recognises the page's own ids
    const first = this.#spanId;
    this.#spanId = undefined;
    return (startMs === this.startMs && first) || getCore().mint(startMs);
  }

  /** Marks the trace's request as aborted. */
  breakOff(): void {
    this.#isBrokenOff = true;
  }

  /** `true` if the request was aborted. Consumers that stop reading then count as cancelled. */
  get isBrokenOff(): boolean {
    return this.#isBrokenOff;
  }

  /** Discards the rows of the trace. Has no effect once a span's row has been kept, since that row would lack its trace. */
  silence(): void {
    this.#isSilent = this.#bytes === 0;
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Leaves the end of the trace to its root span. */
  owned(): void {
    this.#isOwned = true;
    this.scope.ended(this);
  }

  /** Bytes left for the next row, so that the trace stays within its limit. */
  get room(): number {
    return Math.max(0, this.scope.settings.limits.traceBytes - this.#bytes);
  }

  /** Keeps the row of a span or of the trace itself, and counts its bytes. */
  append(row: Row): void {
    if (!this.#isSilent) this.#bytes += this.scope.append(row);
  }

  /** Writes its row early, with the fields of its root span so far. */
  checkpointWith(root: RowFields): void {
    if (!this.#ended) this.#row?.writeEarly(root);
  }

  /** Ends the trace with its root span, and mirrors the span's fields that the trace has not set. */
  endWith(root: RowFields, endMs: number, unfinished: boolean): void {
    this.#write(endMs, unfinished, root);
  }

  [Symbol.dispose](): void {
    if (!this.#ended) this.end();
  }

  static {
    printAs("trace", TraceHandle.prototype);
  }

  #write(endMs: number, unfinished: boolean, root?: RowFields): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#row) return;
    if (!this.#isOwned) this.scope.ended(this);
    this.#row.write(endMs, unfinished, root);
    this.scope.outermostEnded();
  }
}
