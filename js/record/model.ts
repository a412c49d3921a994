// Types of recorded data, both public and shared by the files of this folder. Only types, so that every file can import
// them.

// So that readers of the declarations need not add it to `lib`.
/// <reference lib="esnext.disposable" preserve="true" />

import type { Outbox } from "../deliver/model.js";
import type { FlushReport } from "../deliver/report.js";
import type { Reporter } from "../errors.js";
import type { RowFields, SpanFields } from "../fields.js";
import type { Row } from "../platform/model.js";
import type { CallEnding, Fetch, HeaderCarrier, HeaderSpelling, HeaderTarget, Settings } from "../settings.js";
import type { Endable } from "./ending.js";

/** Fields that only traces have. */
export interface TraceFields extends RowFields {
  /** Groups traces into a conversation (`thread_id`). */
  threadId?: string | undefined;
}

/** A feedback score. Of several scores with one name on a trace, span or thread, the last one counts. */
export interface Score {
  /** The name of the score, not blank: `helpful`, `hallucination`, … (`name`). */
  readonly name: string;
  /** -1e9 to 1e9 (`value`). */
  readonly value: number;
  /** The reason in words, at most 10,000 characters; longer texts are cut (`reason`). */
  readonly reason?: string | undefined;
  /** The name of the value, for scores that are categories (`category_name`). */
  readonly categoryName?: string | undefined;
}

/** A score and its target: a span, a trace or a thread. Of several ids the first in this order is the target. */
export interface TargetedScore extends Score {
  /** The UUIDv7 of a span. */
  readonly spanId?: string | undefined;
  /** The UUIDv7 of a trace. */
  readonly traceId?: string | undefined;
  /** The id of a conversation, as in `threadId` of its traces (`thread_id`). */
  readonly threadId?: string | undefined;
}

/** The kinds of scores, by their target. */
export type ScoreKind = "trace_scores" | "span_scores" | "thread_scores";

/** Options of `flush`. */
export interface FlushOptions {
  /** Longest wait in ms (default 10000). Rows that are not delivered by then are kept and sent later. */
  readonly timeoutMs?: number | undefined;
}

/** Options of a new span. */
export interface SpanOptions extends SpanFields {
  /**
   * The parent: a span, a trace, or incoming headers of any shape; `null` begins a new trace. By default the current span,
   * or a new trace if no span is current.
   */
  parent?: Span | Trace | HeaderCarrier | null | undefined;
  /** The conversation of its trace (`thread_id`). On a caller's trace it sets nothing and warns once. */
  threadId?: string | undefined;
}

/** One recorded operation. It cannot change after its end. */
export interface Span {
  /** Its UUIDv7. With tracing off: the caller's span, or "". */
  readonly id: string;
  /** The UUIDv7 of its trace. With tracing off: the caller's trace, or "". */
  readonly traceId: string;
  /** The UUIDv7 of its parent span; `undefined` at the root of a trace. */
  readonly parentSpanId: string | undefined;
  /** Its trace. */
  readonly trace: Trace;
  /** Opens a span under this one. */
  span(options?: SpanOptions): Span;
  /** Opens a span that is current inside `fn` and ends after it; errors are recorded and rethrown. */
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  /** Merges fields in: objects are merged, tags are added, other fields are replaced. */
  update(fields: SpanFields): void;
  /**
   * Scores the span, with the opinion of a user or the result of a check. Of several scores with one name, the last one
   * counts.
   */
  score(score: Score): void;
  /** Ends it and keeps its row for the next flush. */
  end(): void;
  /** The headers that let the next service open its spans under this one; `{}` without a context to pass on. */
  headers(options?: { spelling?: HeaderSpelling }): Record<string, string>;
  /** Sets these headers on `target`, in place; immutable `Headers` are copied. Returns the object that has them. */
  inject<T extends HeaderTarget>(target: T, options?: { spelling?: HeaderSpelling }): T;
  /** `fetch` with a child span for the call, and with these headers on it. The child ends when the body has been read. */
  fetch(input: string | URL | Request, init?: TracedRequestInit): Promise<Response>;
  /** `using span = …` ends it with the block. */
  [Symbol.dispose](): void;
}

/** A trace: the root of a tree of spans. */
export interface Trace {
  /** Its UUIDv7; "" when tracing is off and no caller named a trace. */
  readonly id: string;
  /** `true` if the trace began at the caller, which then writes its row. */
  readonly joined: boolean;
  /** Opens a span directly under the trace. In a joined trace, that is under the caller's span. */
  span(options?: SpanOptions): Span;
  /** Opens a span that is current inside `fn` and ends after it; errors are recorded and rethrown. */
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  /**
   * Scores the trace, with the opinion of a user or the result of a check. Of several scores with one name, the last one
   * counts.
   */
  score(score: Score): void;
  /** Changes the row. On a joined trace it warns once and sends nothing. */
  update(fields: TraceFields): void;
  /** Writes the row. A trace that a parentless span opened ends with that span. */
  end(): void;
  /** `using trace = …` ends it with the block. */
  [Symbol.dispose](): void;
}

/** The init of a traced `fetch`: the platform's members, and `opik`. */
export interface TracedRequestInit extends RequestInit {
  /** How this call is traced; the platform ignores it. */
  readonly opik?: FetchOptions | undefined;
}

/** The traced `fetch`. */
export type TracedFetch = Fetch<TracedRequestInit>;

/** How one call is traced. */
export interface FetchOptions {
  /** The parent of its span (default the span whose `fetch` is called, else the current span). */
  readonly parent?: Span | Trace | HeaderCarrier | null | undefined;
  /** The name of its span (default method, host and path). */
  readonly name?: string | undefined;
  /** Makes the call: a service binding or a Durable Object stub (default the platform's `fetch`). */
  readonly via?:
    | {
        /** Called like the platform's. */
        fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
      }
    | undefined;
  /** Overrides `propagateTo` for this call: `true`, `false`, or one spelling. */
  readonly propagate?: boolean | HeaderSpelling | undefined;
}

/** A span or a trace that may still be open when its invocation ends. */
export interface Open {
  readonly id: string;
  readonly startMs: number;
  /** Writes its row early, with the fields so far. */
  checkpoint(): void;
  /** Ends it and marks it unfinished. */
  close(): void;
  /** `true` if only the reader of a body can end it, and the body has no reader. */
  readonly isLeft?: boolean;
}

/** A scope as seen by the spans and traces recorded in it: scope.ts. */
export interface OpenScope {
  readonly settings: Settings;
  readonly reporter: Reporter;
  /** Objects of the invocation that must not be recorded, each with the text that replaces it. */
  readonly masks: ReadonlyMap<object, string> | undefined;
  /** Mints the ids of a page. */
  readonly outbox: Pick<Outbox, "mint" | "authorize"> | undefined;
  /** `true` if the scope does not end with an invocation. Lost spans then have to be closed individually. */
  readonly outlivesCalls: boolean;
  /** Keeps the row of an ended span or trace. Returns the size of its text in bytes. */
  append(row: Row): number;
  /** Keeps the row of an open span or trace, to be sent early. */
  appendCheckpoint(row: Row): void;
  /** Keeps a score of the span, trace or thread `id`. */
  score(kind: ScoreKind, id: unknown, score: Score): void;
  /** Keeps a score of the span, trace or thread that the score names. Never throws. */
  scoreById(score: TargetedScore): void;
  /** Runs `fn` as a part of `span`; with `frame`, which is then current. */
  within<T>(span: OpenSpan, fn: () => T, frame?: object): T;
  /** Notes that `item` is open. */
  opened(item: Open): void;
  /** Notes that `item` has ended. */
  ended(item: Open): void;
  /** Notes the end of an outermost span or trace. */
  outermostEnded(): void;
  /** Sends the rows that have ended. Never rejects, and does not wait for open spans. */
  flush(options?: FlushOptions): Promise<FlushReport>;
  /** Sends ended rows while the invocation goes on. */
  flushSoon(): void;
}

/** A span as seen by the code that runs in it or waits for its end: span.ts. */
export interface OpenSpan extends Span, Open, Endable {
  readonly trace: OpenTrace;
  /** The headers of a call in this span, which already has the headers `own`. Without a spelling the target gets none of our headers. */
  headersBeside(
    own: readonly (string | undefined)[] | undefined,
    spelling: HeaderSpelling | "" | undefined,
  ): Record<string, string>;
  /** Called once, when the span has ended. */
  onEnd: (() => void) | undefined;
  /** `true` if its row is written at its end. */
  readonly isRecorded: boolean;
  /** `true` if the span is not recorded and the current span already has its ids, so that running in it has no effect. */
  readonly isTransparent: boolean;
  /** Runs `fn` with this span current. */
  run<T>(fn: () => T): T;
  /** Leaves the end of the span to the consumer of `result`, or of its `body`. */
  endsWith<T extends object>(result: T, body?: ReadableStream | null): T;
  /**
   * Called before the span ends, while it still takes fields; `isUnfinished` if it is being closed. May return an earlier
   * end time, in ms.
   */
  beforeEnd: ((isUnfinished: boolean) => number | undefined) | undefined;
  /** Its row, for internal recorders; `undefined` if it is not recorded or has ended. */
  readonly openRow: { readonly fields: SpanFields; merge(given: SpanFields, givesWay?: boolean): void } | undefined;
}

/** A trace as seen by its spans: trace.ts. */
export interface OpenTrace extends Trace {
  /** The trusted `traceparent` and `tracestate` that came in, unchanged; or a `traceparent` that is not trusted, in third place. */
  readonly came: (string | undefined)[];
  /** The ids of a caller's span that is not Opik's, for the metadata of the outermost spans. */
  readonly metadata: Record<string, unknown> | undefined;
  readonly scope: OpenScope;
  /** The caller's span, or "". */
  readonly parentId: string;
  /** `false` when nothing is recorded. */
  readonly recording: boolean;
  /** When it began, in ms since 1970. */
  readonly startMs: number;
  /** `true` if the trace's request was aborted. Consumers that stop reading then count as cancelled. */
  readonly isBrokenOff: boolean;
  /** Marks the trace's request as aborted. */
  breakOff(): void;
  /** `true` if its rows are discarded. */
  readonly isSilent: boolean;
  /** Discards the rows of the trace. Has no effect once a span's row has been kept, since that row would lack its trace. */
  silence(): void;
  /** Bytes left for the next row, so that the trace stays within its limit. */
  readonly room: number;
  /** Added to the local clock, in ms: see `Transport.clockOffsetMs`. */
  readonly clockOffsetMs: number;
  /** The current time, with the clock offset that the trace began with. */
  now(): number;
  /** A new id for a span that begins at `startMs`. */
  mint(startMs: number): string;
  /** Leaves the end of the trace to its root span. */
  owned(): void;
  /** Keeps the row of a span or of the trace itself, and counts its bytes. */
  append(row: Row): void;
  /** Ends the trace with its root span, and mirrors the span's fields that the trace has not set. */
  endWith(root: RowFields, endMs: number, unfinished: boolean): void;
  /** Writes its row early, with the fields of its root span so far. */
  checkpointWith(root: RowFields): void;
}

/** A call that is about to be made, as its follower sees it: observed.ts. */
export interface BegunCall {
  readonly call: {
    readonly method: string;
    readonly url: URL | undefined;
    /** The arguments of the call. */
    args: Parameters<TracedFetch>;
    /** `true` if the host aborted the call. */
    isAborted(): boolean;
  };
  /** The host's name for the call, if any. */
  readonly name: string | undefined;
  readonly span: OpenSpan;
  /** The parent of its span, in any form that `parent` takes. */
  readonly above: unknown;
}

/** Follows a call. None of its methods throws. */
export interface CallFollower {
  /** Returns the targets of headers, given the targets that otherwise apply. */
  targets<P extends { readonly propagateTo: Settings["propagateTo"] }>(others: P): P;
  /** Gets the response. */
  answered(response: Response): void;
  /** Gets each chunk of the response, just before its consumer does. */
  readonly onChunk: (chunk: unknown) => void;
  /** Called when the consumer stops reading. */
  readonly onCancel: () => void;
  /** Called at the end, once or more often. Returns `true` if the observer has said everything about the end. */
  ended(how: CallEnding): boolean;
}
