// The scope of one invocation, or of a client outside any: its settings, its rows, and its open spans. Concurrent requests
// share only the WebAssembly instance.

import { AutoFlush } from "../deliver/auto-flush.js";
import { RowBuffer } from "../deliver/buffer.js";
import { Delivery } from "../deliver/delivery.js";
import { warnOfSettings } from "../deliver/destination.js";
import type { FlushMode, Outbox } from "../deliver/model.js";
import { addCounts, type Dropped, emptyReport, type FlushReport } from "../deliver/report.js";
import { idOf, type Upload } from "../deliver/upload.js";
import { numberFrom, type Reporter, readOption } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { environment, now, within } from "../platform/env.js";
import type { Row } from "../platform/model.js";
import { prepareWaitUntil, whileKeptAlive } from "../platform/wait-until.js";
import type { Settings } from "../settings.js";
import type { Frame } from "./frame.js";
import type { Masks } from "./json.js";
import type { FlushOptions, Open, OpenScope, OpenSpan, Score, ScoreKind, TargetedScore } from "./model.js";
import { isOld, Noted, OldRows } from "./old-ids.js";
import { ScoreBuffer } from "./score.js";

/** The names of a score's target, the most exact first. */
const TARGETS = ["spanId", "traceId", "threadId"] as const;

/** Default timeout of a flush that the host waits for. */
const TIMEOUT_MS = 10_000;
/** Longest delay that timers accept. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** Timeout of a flush that keeps the platform alive. */
const EARLY_TIMEOUT_MS = 30_000;
/** Time that the host has to call `flush` itself before our flush begins. */
const OWN_FLUSH_MS = 100;
/** Delay between the first row of a client outside any invocation and its flush. */
const INTERVAL_MS = 2000;
/** Size of rows at which such a client flushes at once, in bytes. */
const BACKGROUND_BYTES = 1024 * 1024;
/** A span that is open for this long is written early; an invocation checks at this interval. */
const CHECKPOINT_MS = 15_000;
/** Maximum number of early writes per invocation. */
const MAX_CHECKPOINTS = 3;

const FLUSH_OPTIONS: Names<FlushOptions> = { timeoutMs: 0 };

/** The id of a row, at the start of its text. */
function rowId({ text }: Row): string {
  return text.slice(0, 36);
}

/** Records spans of one invocation or one client: holds their settings, reporter and rows. */
export class Scope implements OpenScope {
  /** `true` if a span stays current across an `await` without AsyncLocalStorage. */
  declare readonly keepsContext?: boolean;
  // Private, because Node prints the current scope with every timer.
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  readonly #masks: Masks | undefined;
  readonly #outbox: Outbox | undefined;
  readonly #rows: RowBuffer;
  /** Open spans and traces to write early, as soon as a request is free for them. */
  readonly #early = new Set<Open>();
  /** Rows written early, which are counted separately. Created on demand. */
  #checkpoints: RowBuffer | undefined;
  /** Ids of open spans and traces that were written early, so that Opik has rows of them. */
  readonly #written = new Set<string>();
  /** Rows that ended too late to be sent as new rows. Created on demand. */
  #old: OldRows | undefined;
  /** Created with the first score. */
  #scores: ScoreBuffer | undefined;
  /** Created on first use. */
  #delivery: Delivery | undefined;
  #autoFlush: AutoFlush | undefined;
  readonly #open: Set<Open> | undefined;
  /** Open spans and traces that may be written early: all of an invocation, a bounded number of a long-lived client. */
  readonly #watched: Set<Open> | Noted | undefined;
  /** Number of open spans and traces. */
  #openCount = 0;
  #hasEnded = false;
  #onClosed: (() => void) | undefined;
  /** Called once, when the first row or score is kept or the first span is opened. */
  onFirstUse: (() => void) | undefined;
  /** The time of the next send, if the platform was asked to stay alive for it. */
  #sendsMs = 0;
  #checkpointsLeft = 0;
  #stopCheckpoints: (() => void) | undefined;

  /** A scope with `masks` is an invocation: at its end it closes the spans that are still open. */
  constructor(settings: Settings, reporter: Reporter, masks?: Masks, outbox?: Outbox) {
    this.#settings = settings;
    this.#reporter = reporter;
    this.#masks = masks;
    this.#outbox = outbox;
    this.#rows = new RowBuffer(reporter, settings.limits, () => {
      this.#delivery?.collect();
      this.#autoFlush?.start();
    });
    warnOfSettings(settings, reporter);
    this.#open = masks && new Set();
    this.#watched = this.#open ?? (this.#lasts ? new Noted() : undefined);
    if (masks) this.#checkpointsLeft = MAX_CHECKPOINTS;
    else void prepareWaitUntil();
    if (!masks) settings.enlist?.(this);
    if (outbox) this.#prepareDelivery(); // sends the rows that earlier visits left
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** `true` for a client that may live for days, and whose transport can complete rows that were written early. */
  get #lasts(): boolean {
    const { background, isServer, transport } = this.settings;
    return (background || isServer) && transport.appendsOnly !== true;
  }

  /** Keeps rows beyond the client's life; only a page has an outbox. */
  get outbox(): Outbox | undefined {
    return this.#outbox;
  }

  get reporter(): Reporter {
    return this.#reporter;
  }

  /** Objects of the invocation that must not be recorded: `env`, `ctx`. */
  get masks(): Masks | undefined {
    return this.#masks;
  }

  #prepareDelivery(): Delivery {
    if (this.#delivery) return this.#delivery;
    const outbox = this.#outbox;
    const { limits, background, isServer, signals, host } = this.settings;
    const source = {
      take: (isEarly: boolean) => this.#takeEarly() ?? (isEarly ? undefined : this.#take()),
      mark: () => this.#mark(),
      takeDropped: () => this.#takeDropped(),
    };
    const delivery = new Delivery(source, this.settings, this.reporter, {
      isInvocation: this.masks !== undefined,
      // Many requests share a client at the top of a Worker.
      isShared: !this.masks && !background && !isServer && !outbox,
      keeps: outbox !== undefined,
      onIdle: () => this.#autoFlush?.rest(),
    });
    this.#delivery = delivery;
    if (this.masks) {
      const options = { bytes: limits.batchBytes, intervalMs: undefined, signals: [] };
      this.#autoFlush = new AutoFlush(delivery, options);
    } else if (background) {
      const options = { bytes: BACKGROUND_BYTES, intervalMs: INTERVAL_MS, stays: isServer, signals, outbox, host };
      this.#autoFlush = new AutoFlush(delivery, options);
    }
    return delivery;
  }

  /** Runs `fn` as a part of `span`. */
  within<T>(_span: OpenSpan, fn: () => T, _frame?: Frame): T {
    return fn();
  }

  /** `true` if the scope does not end with an invocation. Lost spans then have to be closed individually. */
  get outlivesCalls(): boolean {
    return this.#open === undefined;
  }

  /** Closes the calls of the invocation whose answers nobody reads. */
  closeLeft(): void {
    for (const item of [...(this.#open ?? [])]) if (item.isLeft) item.close();
  }

  /** `true` if a span of the invocation is still open. */
  get hasOpen(): boolean {
    return (this.#open?.size ?? 0) > 0;
  }

  /** Resolves when every span of the invocation has ended. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** Keeps the row of an ended span or trace. Returns the size of its text in bytes. */
  append(row: Row): number {
    const isWritten = this.#written.size > 0 && this.#written.delete(rowId(row));
    const bytes = isOld(row, this.settings) ? this.#appendOld(row, isWritten) : this.#rows.append(row);
    if (bytes > 0) this.#kept(bytes);
    return bytes;
  }

  /** Completes the row that Opik has, since Opik accepts no new row of this age. Without such a row it is dropped. */
  #appendOld(row: Row, isWritten: boolean): number {
    if (!isWritten || this.settings.transport.appendsOnly === true) return this.#rows.drop("too_old");
    this.#old ??= new OldRows(this.reporter, this.settings);
    return this.#old.append(row);
  }

  /**
   * Keeps a score of the span, trace or thread that it names. The empty id of a span or trace that is not recorded is
   * ignored. Never throws.
   */
  scoreById(score: TargetedScore): void {
    const scope: Scope = environment.redirect?.(this as Scope) ?? this;
    if (scope.settings.disabled) return;
    const target = TARGETS.find((name) => (readOption(score, name) ?? undefined) !== undefined) ?? "traceId"; // JavaScript callers may pass null
    const id = readOption(score, target);
    if (id !== "" || target === "threadId") scope.score(`${target.slice(0, -2)}_scores` as ScoreKind, id, score);
  }

  /** Keeps a score of the span, trace or thread `id`. */
  score(kind: ScoreKind, id: unknown, score: Score): void {
    if (!this.#scores) {
      this.#scores = new ScoreBuffer(this.settings, this.reporter);
      if (this.#hasEnded) this.#scores.close();
    }
    const bytes = this.#scores.add(kind, id, score);
    if (bytes > 0) this.#kept(bytes);
  }

  /** Keeps the row of an open span or trace, to be sent early. */
  appendCheckpoint(row: Row): void {
    this.#checkpoints ??= new RowBuffer(this.reporter, this.settings.limits);
    this.#checkpoints.append(row);
  }

  /** Notes that `item` is open. A client outside any invocation holds a bounded number of them (old-ids.ts). */
  opened(item: Open): void {
    this.#used();
    this.#openCount += 1;
    this.#watched?.add(item);
    if (this.#watched && !this.#stopCheckpoints) this.#watchLongSpans();
  }

  /** Notes that `item` has ended. Its row is appended next. */
  ended(item: Open): void {
    this.#openCount -= 1;
    this.#watched?.delete(item);
    if (this.#early.size > 0) this.#early.delete(item); // its complete row follows
    if (this.#watched?.size !== 0) return;
    // A process keeps its timer: setting one for each request costs more than letting it fire twice a day.
    if (this.#open || !this.settings.isServer) this.#stopWatching();
    this.#onClosed?.();
  }

  /**
   * Notes the end of an outermost span or trace. Outside an invocation, a runtime that freezes between requests is then
   * asked to stay alive while the rows are sent. The host can call `flush` itself before that.
   */
  outermostEnded(): void {
    if (this.#open || this.#outbox || now() < this.#sendsMs) return;
    whileKeptAlive(() => {
      const sent = new Promise<void>((resolve) => {
        environment.after(OWN_FLUSH_MS, resolve);
      }).then(() => this.#flush({ timeoutMs: EARLY_TIMEOUT_MS - OWN_FLUSH_MS }));
      this.#sendsMs = now() + OWN_FLUSH_MS;
      return sent;
    });
  }

  /** Sends the rows that have ended. Never rejects, and does not wait for open spans. */
  flush(options?: FlushOptions): Promise<FlushReport> {
    tellUnknown(this.#reporter, options, "option of flush", FLUSH_OPTIONS);
    const given = readOption(options, "timeoutMs");
    let timeoutMs = TIMEOUT_MS;
    try {
      const ms = numberFrom("timeoutMs", given ?? TIMEOUT_MS, 0, Number.MAX_VALUE, Number.isFinite);
      timeoutMs = Math.min(ms, MAX_TIMEOUT_MS);
    } catch (error) {
      this.#reporter.failure(error);
    }
    const send = (): Promise<FlushReport> => {
      this.#delivery?.probe();
      return this.#flush({ timeoutMs }).then((report) => Object.assign(report, { open: this.#openCount }));
    };
    const ready = this.#outbox?.ready();
    return ready ? within(timeoutMs, ready).then(send) : send();
  }

  /** Sends ended rows while the invocation goes on. */
  flushSoon(): void {
    this.#autoFlush?.soon();
  }

  /** Ends the invocation: closes open spans, sends the remaining rows within `timeoutMs`, and rejects rows from then on. */
  async end(timeoutMs: number): Promise<FlushReport> {
    for (const item of [...(this.#open ?? [])].reverse()) item.close();
    this.#stopWatching();
    // Rows added from here on are rejected and reported.
    this.#hasEnded = true;
    this.#autoFlush?.stop();
    this.#rows.close();
    this.#scores?.close();
    const report = await this.#flush({ timeoutMs, isLast: true });
    // A context may hold a scope for a long time; it should not hold the delivered rows.
    this.#delivery = undefined;
    this.#autoFlush = undefined;
    return report;
  }

  #flush(mode: FlushMode): Promise<FlushReport> {
    if (!this.#delivery) return Promise.resolve(emptyReport());
    this.#autoFlush?.reset();
    return this.#delivery.flush(mode);
  }

  #used(): void {
    if (this.#hasEnded) return;
    this.#prepareDelivery();
    const { onFirstUse } = this;
    this.onFirstUse = undefined;
    onFirstUse?.();
  }

  /** Notes that about `bytes` bytes have been added. */
  #kept(bytes: number): void {
    this.#used();
    const outbox = this.#outbox;
    if (outbox) for (let upload = this.#takeEnded(); upload; upload = this.#takeEnded()) outbox.add(upload);
    this.#autoFlush?.noted(bytes);
  }

  #take(): Upload | undefined {
    return this.#outbox?.take(false) ?? this.#takeEnded();
  }

  #takeEnded(): Upload | undefined {
    return this.#rows.take() ?? this.#scores?.take() ?? this.#old?.source.take(false);
  }

  #takeEarly(): Upload | undefined {
    for (const item of this.#early) item.checkpoint();
    this.#early.clear();
    const upload = this.#checkpoints?.take();
    if (!upload) return undefined;
    upload.isCheckpoint = true;
    upload.onSettled = (part, wasSent) => {
      if (wasSent) for (const row of part.rowBytes()) this.#written.add(idOf(row));
    };
    return upload;
  }

  #mark(): () => number {
    const rows = this.#rows.mark();
    if (!(this.#scores || this.#outbox || this.#old)) return rows;
    const others = [this.#scores, this.#outbox, this.#old?.source].filter((source) => source !== undefined);
    const marks = [rows, ...others.map((source) => source.mark())];
    return () => marks.reduce((sum, left) => sum + left(), 0);
  }

  #takeDropped(): Dropped {
    this.#checkpoints?.takeDropped(); // their spans are written again
    const dropped = this.#rows.takeDropped();
    if (this.#scores) addCounts(dropped, this.#scores.takeDropped());
    if (this.#outbox) addCounts(dropped, this.#outbox.takeDropped());
    if (this.#old) addCounts(dropped, this.#old.source.takeDropped());
    return dropped;
  }

  #watchLongSpans(): void {
    if (this.#hasEnded) return;
    let ms = this.#checkpointsLeft > 0 ? CHECKPOINT_MS : 0;
    for (const item of this.#watched ?? []) {
      if (ms > 0) break; // the first item that is not due yet is the oldest of those items
      ms = this.#dueInMs(item);
    }
    if (ms > 0) this.#stopCheckpoints = environment.after(ms, () => this.#writeCheckpoints(), true);
  }

  #stopWatching(): void {
    this.#stopCheckpoints?.();
    this.#stopCheckpoints = undefined;
  }

  /**
   * Time in ms until an open span is written early: soon in an invocation that may be killed, otherwise while its id is
   * young enough.
   */
  #dueInMs({ startMs }: Open): number {
    const leastMs = this.#checkpointsLeft > 0 ? CHECKPOINT_MS : this.settings.maxIdAgeMs / 2;
    return leastMs - (now() - startMs);
  }

  #writeCheckpoints(): void {
    this.#stopCheckpoints = undefined;
    const long = [...(this.#watched ?? [])].filter((item) => this.#dueInMs(item) <= 0);
    if (long.length > 0) {
      this.#checkpointsLeft -= 1;
      this.#delivery?.collect(); // the core gives up a buffer that is untouched for an hour when another buffer is opened
      for (const item of long) this.#early.add(item);
      if (this.#open) this.flushSoon();
      else this.#delivery?.wake();
    }
    this.#watchLongSpans();
  }
}
