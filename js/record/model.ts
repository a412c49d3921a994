// What is recorded, as the host has it and as the files here see one another: types alone, so that everybody may have them.

// Whoever reads the declarations need not have it in `lib`.
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

/** A feedback score. Of those with one name on one trace or span the last one counts. */
export interface Score {
  /** What is scored, not blank: `helpful`, `hallucination`, … (`name`). */
  readonly name: string;
  /** -1e9 to 1e9 (`value`). */
  readonly value: number;
  /** In words, at most 10,000 characters; what is longer is cut (`reason`). */
  readonly reason?: string | undefined;
  /** The value's name, for scores that are categories (`category_name`). */
  readonly categoryName?: string | undefined;
}

/** A score, and what is scored: a trace or a span, by its id. */
export interface TargetedScore extends Score {
  /** The UUIDv7 of a trace. */
  readonly traceId?: string | undefined;
  /** The UUIDv7 of a span; instead of `traceId`. */
  readonly spanId?: string | undefined;
}

/** What can be scored. */
export type ScoreKind = "trace_scores" | "span_scores";

/** Options of `flush`. */
export interface FlushOptions {
  /** How long to wait, in ms (default 10000). What is not delivered by then is kept, and sent later. */
  readonly timeoutMs?: number | undefined;
}

/** What a span is opened with. */
export interface SpanOptions extends SpanFields {
  /**
   * Under what it opens: a span, a trace, or incoming headers of any shape; `null` begins a new trace.
   * By default under the current span, or in a new trace where there is none.
   */
  parent?: Span | Trace | HeaderCarrier | null | undefined;
  /** The conversation of its trace (`thread_id`); on a caller's trace it warns once and sets nothing. */
  threadId?: string | undefined;
}

/** One recorded operation. After its end nothing about it can change. */
export interface Span {
  /** Its UUIDv7. When tracing is off: the caller's span, or "". */
  readonly id: string;
  /** The UUIDv7 of its trace. When tracing is off: the caller's, or "". */
  readonly traceId: string;
  /** The UUIDv7 of the span it is under; `undefined` at the root of a trace. */
  readonly parentSpanId: string | undefined;
  /** Its trace. */
  readonly trace: Trace;
  /** Opens a span under this one. */
  span(options?: SpanOptions): Span;
  /** The same, current inside `fn` and ended after it; errors are recorded and rethrown. */
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  /** Merges fields in: objects merge, tags add up, the rest is replaced. */
  update(fields: SpanFields): void;
  /** Scores it: what a user, or a check, thinks of it. Of those with one name the last one counts. */
  score(score: Score): void;
  /** Ends it and keeps its row for the next flush. */
  end(): void;
  /** The headers that let the next service open its spans under this one; `{}` when there is nothing to hand on. */
  headers(options?: { spelling?: HeaderSpelling }): Record<string, string>;
  /** Sets these headers on `target`, in place; immutable `Headers` are copied. Returns what was set. */
  inject<T extends HeaderTarget>(target: T, options?: { spelling?: HeaderSpelling }): T;
  /** `fetch` with a child span for the call and these headers on it. It ends when the body has been read. */
  fetch(input: string | URL | Request, init?: TracedRequestInit): Promise<Response>;
  /** `using span = …` ends it with the block. */
  [Symbol.dispose](): void;
}

/** A trace: the root of a tree of spans. */
export interface Trace {
  /** Its UUIDv7; "" when tracing is off and no caller named one. */
  readonly id: string;
  /** Whether it is the caller's: then its row is not ours to write. */
  readonly joined: boolean;
  /** Opens a span directly under the trace (under the caller's span, when joined). */
  span(options?: SpanOptions): Span;
  /** The same, current inside `fn` and ended after it; errors are recorded and rethrown. */
  span<T>(options: SpanOptions, fn: (span: Span) => T): T;
  /** Scores it: what a user, or a check, thinks of it. Of those with one name the last one counts. */
  score(score: Score): void;
  /** Changes the row. On a joined trace it warns once and sends nothing. */
  update(fields: TraceFields): void;
  /** Writes the row. A trace that a parentless span opened ends with that span. */
  end(): void;
  /** `using trace = …` ends it with the block. */
  [Symbol.dispose](): void;
}

/** What a traced `fetch` takes beside the platform's own. */
export interface TracedRequestInit extends RequestInit {
  /** How this call is traced; the platform takes no notice of it. */
  readonly opik?: FetchOptions | undefined;
}

/** `fetch` as it is traced. */
export type TracedFetch = Fetch<TracedRequestInit>;

/** How one call is traced. */
export interface FetchOptions {
  /** Under what its span opens (default the span whose `fetch` it is, else the current one). */
  readonly parent?: Span | Trace | HeaderCarrier | null | undefined;
  /** The name of its span (default method, host and path). */
  readonly name?: string | undefined;
  /** What makes the call: a service binding, a Durable Object's stub (default the platform's `fetch`). */
  readonly via?:
    | {
        /** Called as the platform's. */
        fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
      }
    | undefined;
  /** Whether its target is given headers, and in which spelling; instead of `propagateTo`. */
  readonly propagate?: boolean | HeaderSpelling | undefined;
}

/** Something that is still open when its invocation ends. */
export interface Open {
  readonly id: string;
  readonly startMs: number;
  /** Writes its row as far as it is known. */
  checkpoint(): void;
  /** Ends it and marks it unfinished. */
  close(): void;
}

/** A scope as what is recorded in it sees it: scope.ts. */
export interface OpenScope {
  readonly settings: Settings;
  readonly reporter: Reporter;
  /** Objects of the invocation that must not be recorded, and what is written for them. */
  readonly masks: ReadonlyMap<object, string> | undefined;
  /** What makes the ids of a page. */
  readonly outbox: Pick<Outbox, "mint" | "authorize"> | undefined;
  /** Whether it ends with nothing in particular: then what is lost to the host has to be closed one by one. */
  readonly outlivesCalls: boolean;
  /** Keeps the row of what has ended; gives how many bytes of its text. */
  append(row: Row): number;
  /** Keeps the row of what is still open, to be sent early. */
  appendCheckpoint(row: Row): void;
  /** Keeps a score of what has `id`. */
  score(kind: ScoreKind, id: unknown, score: Score): void;
  /** Keeps a score of the trace or span that it names. Never throws. */
  scoreById(score: TargetedScore): void;
  /** Notes that `item` is open. */
  opened(item: Open): void;
  /** Notes that `item` has ended. */
  ended(item: Open): void;
  /** Notes that what has nothing of ours around it has ended. */
  outermostEnded(): void;
  /** Sends the rows that have ended. Never rejects, never waits for what is open. */
  flush(options?: FlushOptions): Promise<FlushReport>;
  /** Sends what has ended while the invocation goes on. */
  flushSoon(): void;
}

/** A span as what runs in it, or waits for its end, sees it: span.ts. */
export interface OpenSpan extends Span, Open, Endable {
  readonly trace: OpenTrace;
  /** Called once, when the span has ended. */
  onEnd: (() => void) | undefined;
  /** Whether its row is written at its end. */
  readonly isRecorded: boolean;
  /** Whether it makes no difference: it is not recorded, and what is current has its ids already. */
  readonly isTransparent: boolean;
  /** Runs `fn` with this span current. */
  run<T>(fn: () => T): T;
  /** Leaves it to the consumer of `result` to end it. */
  endsWith<T extends object>(result: T): T;
  /** Called before it ends, while it still takes fields; `isUnfinished` where it is closed. Gives when it had ended, in ms, if it had. */
  beforeEnd: ((isUnfinished: boolean) => number | undefined) | undefined;
  /** Its row, for what records in it otherwise than the host does; `undefined` where it is not recorded, or has ended. */
  readonly openRow: { readonly fields: SpanFields; merge(given: SpanFields, givesWay?: boolean): void } | undefined;
}

/** A trace as its spans see it: trace.ts. */
export interface OpenTrace extends Trace {
  readonly scope: OpenScope;
  /** The caller's span, or "". */
  readonly parentId: string;
  /** `false` when nothing is recorded. */
  readonly recording: boolean;
  /** When it began, in ms since 1970. */
  readonly startMs: number;
  /** Whether the request that it is of was broken off: then what is read no further was not stopped by choice. */
  readonly isBrokenOff: boolean;
  /** Says that it was. */
  breakOff(): void;
  /** Whether nothing of it is kept. */
  readonly isSilent: boolean;
  /** Keeps nothing of it, unless a span of it has been kept already: that would be without its trace. */
  silence(): void;
  /** Bytes that may still be kept of a row, so that the trace stays within its limit. */
  readonly room: number;
  /** The time of now, by the clock that it began with. */
  now(): number;
  /** A new id for a span that begins at `startMs`. */
  mint(startMs: number): string;
  /** Leaves it to its root span to end it. */
  owned(): void;
  /** Keeps the row of a span of it, or its own, and counts its bytes. */
  append(row: Row): void;
  /** Ends the trace with the root span that opened it, whose fields it mirrors where it has none of its own. */
  endWith(root: RowFields, endMs: number, unfinished: boolean): void;
  /** Writes its row early, with what it has of its root span so far. */
  checkpointWith(root: RowFields): void;
}

/** A call that is about to be made, for what follows it: observed.ts. */
export interface BegunCall {
  readonly call: {
    readonly method: string;
    readonly url: URL | undefined;
    /** What it is made with. */
    args: Parameters<TracedFetch>;
    /** Whether the host has broken it off. */
    isAborted(): boolean;
  };
  /** What the host calls it, if anything. */
  readonly name: string | undefined;
  readonly span: OpenSpan;
  /** What its span is under: a span, or anything else that `parent` may be. */
  readonly above: unknown;
}

/** What follows a call. None of its methods throws. */
export interface CallFollower {
  /** Where headers go, given where they go otherwise. */
  targets<P extends { readonly propagateTo: Settings["propagateTo"] }>(others: P): P;
  /** Told of the answer. */
  answered(response: Response): void;
  /** Told of each chunk of the answer, just before its consumer has it. */
  readonly onChunk: (chunk: unknown) => void;
  /** Told that the consumer goes away. */
  readonly onCancel: () => void;
  /** Told of the end, once or more often; gives whether there is nothing more to be said of it. */
  ended(how: CallEnding): boolean;
}
