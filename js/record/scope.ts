// One invocation, or a client outside any: whose settings apply, where its rows are kept, and which
// of its spans are still open. Concurrent requests share nothing but the WebAssembly instance.

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
import type { Masks } from "./json.js";
import type { FlushOptions, Open, OpenScope, Score, ScoreKind, TargetedScore } from "./model.js";
import { isOld, Noted, OldRows } from "./old-ids.js";
import { ScoreBuffer } from "./score.js";

/** How long a flush that the host waits for may take, unless it says otherwise. */
const TIMEOUT_MS = 10_000;
/** The longest: timers take no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** The same where a flush keeps the platform alive. */
const EARLY_TIMEOUT_MS = 30_000;
/** How long the host may take to call `flush` itself, before the platform is kept alive for ours. */
const OWN_FLUSH_MS = 100;
/** When a client outside any invocation flushes by itself: so long after its first row, */
const INTERVAL_MS = 2000;
/** or as soon as there is so much. */
const BACKGROUND_BYTES = 1024 * 1024;
/** How long a span has to be open before its row is written early, and how often an invocation looks. */
const CHECKPOINT_MS = 15_000;
/** How often an invocation writes early. */
const MAX_CHECKPOINTS = 3;

const FLUSH_OPTIONS: Names<FlushOptions> = { timeoutMs: 0 };

/** The id of a row: its text begins with it. */
function rowId({ text }: Row): string {
  return text.slice(0, 36);
}

/** Where spans are recorded: settings, reporter and rows of one invocation or one client. */
export class Scope implements OpenScope {
  // Private, since what is current leads here: from a timer that is printed, in Node.
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  readonly #masks: Masks | undefined;
  readonly #outbox: Outbox | undefined;
  readonly #rows: RowBuffer;
  /** What is still open and is to be written early, as soon as a request is free for it, */
  readonly #early = new Set<Open>();
  /** into this: its rows are accounted for apart. Made when there are any. */
  #checkpoints: RowBuffer | undefined;
  /** The ids of what is open and was written early: Opik has rows of them. */
  readonly #written = new Set<string>();
  /** Made when something ends that is too old. */
  #old: OldRows | undefined;
  /** Made with the first score. */
  #scores: ScoreBuffer | undefined;
  /** Made when there is something to deliver. */
  #delivery: Delivery | undefined;
  #autoFlush: AutoFlush | undefined;
  readonly #open: Set<Open> | undefined;
  /** What is open and may be written early: of an invocation all, of a client that lasts as much as there is room for. */
  readonly #watched: Set<Open> | Noted | undefined;
  /** How many are open. */
  #openCount = 0;
  #hasEnded = false;
  #onClosed: (() => void) | undefined;
  /** Called once, when the first row or score is kept, or the first span opened. */
  onFirstUse: (() => void) | undefined;
  /** When what has ended is sent, where the platform was asked to wait for that. */
  #sendsMs = 0;
  #checkpointsLeft = 0;
  #stopCheckpoints: (() => void) | undefined;

  /** A scope with `masks` is an invocation: it ends, and then closes what is still open. */
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
    if (outbox) this.#prepareDelivery(); // what earlier visits have left
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Whether it is a client that may be there for days, and can complete the rows of what has been open for so long. */
  get #lasts(): boolean {
    const { background, isServer, transport } = this.settings;
    return (background || isServer) && transport.appendsOnly !== true;
  }

  /** Where rows are kept beyond the client's life, if anywhere. */
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
      // A client at the top of a Worker is used by many requests.
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

  /** Whether it ends with nothing in particular: then what is lost to the host has to be closed one by one. */
  get outlivesCalls(): boolean {
    return this.#open === undefined;
  }

  /** Whether something of the invocation is still open. */
  get hasOpen(): boolean {
    return (this.#open?.size ?? 0) > 0;
  }

  /** Resolves when nothing of the invocation is open any more. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  /** Keeps the row of what has ended; gives how many bytes of its text. */
  append(row: Row): number {
    const isWritten = this.#written.size > 0 && this.#written.delete(rowId(row));
    const bytes = isOld(row, this.settings) ? this.#appendOld(row, isWritten) : this.#rows.append(row);
    if (bytes > 0) this.#kept(bytes);
    return bytes;
  }

  /** Opik takes no new row of its age. */
  #appendOld(row: Row, isWritten: boolean): number {
    if (!isWritten || this.settings.transport.appendsOnly === true) return this.#rows.drop("too_old");
    this.#old ??= new OldRows(this.reporter, this.settings);
    return this.#old.append(row);
  }

  /** Keeps a score of the trace or span that it names: of none, where that has no id, since it is not recorded. Never throws. */
  scoreById(score: TargetedScore): void {
    const scope: Scope = environment.redirect?.(this as Scope) ?? this;
    if (scope.settings.disabled) return;
    const spanId = readOption(score, "spanId") ?? undefined; // JavaScript may say null
    const id = spanId ?? readOption(score, "traceId");
    const kind = spanId === undefined ? "trace_scores" : "span_scores";
    if (id !== "") scope.score(kind, id, score);
  }

  /** Keeps a score of what has `id`. */
  score(kind: ScoreKind, id: unknown, score: Score): void {
    if (!this.#scores) {
      this.#scores = new ScoreBuffer(this.settings, this.reporter);
      if (this.#hasEnded) this.#scores.close();
    }
    const bytes = this.#scores.add(kind, id, score);
    if (bytes > 0) this.#kept(bytes);
  }

  /** Keeps the row of what is still open, to be sent early. */
  appendCheckpoint(row: Row): void {
    this.#checkpoints ??= new RowBuffer(this.reporter, this.settings.limits);
    this.#checkpoints.append(row);
  }

  /** Notes that `item` is open. A client outside any invocation holds a bounded number, so nothing can pile up (old-ids.ts). */
  opened(item: Open): void {
    this.#used();
    this.#openCount += 1;
    this.#watched?.add(item);
    if (this.#watched && !this.#stopCheckpoints) this.#watchLongSpans();
  }

  /** Notes that `item` has ended: its row comes next. */
  ended(item: Open): void {
    this.#openCount -= 1;
    this.#watched?.delete(item);
    if (this.#early.size > 0) this.#early.delete(item); // it is written whole
    if (this.#watched?.size !== 0) return;
    // In a process it stays: to set one for each request takes longer than to let it come in vain, twice a day.
    if (this.#open || !this.settings.isServer) this.#stopWatching();
    this.#onClosed?.();
  }

  /**
   * Notes that what has nothing of ours around it has ended. Outside an invocation that is what a runtime that freezes between
   * its requests waits for, where it can be asked to; a `flush` of the host's own comes first.
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

  /** Sends the rows that have ended. Never rejects, never waits for what is open. */
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

  /** Sends what has ended while the invocation goes on. */
  flushSoon(): void {
    this.#autoFlush?.soon();
  }

  /** Ends the invocation: closes what is open, sends the rest within `timeoutMs`, keeps nothing more. */
  async end(timeoutMs: number): Promise<FlushReport> {
    for (const item of [...(this.#open ?? [])].reverse()) item.close();
    this.#stopWatching();
    // What comes now comes too late, and is told so.
    this.#hasEnded = true;
    this.#autoFlush?.stop();
    this.#rows.close();
    this.#scores?.close();
    const report = await this.#flush({ timeoutMs, isLast: true });
    // A scope may be held long after, by what is current somewhere; what it has delivered need not be.
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

  /** About so many bytes have been added. */
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
      if (ms > 0) break; // of those that were not due yet the first is the oldest
      ms = this.#dueInMs(item);
    }
    if (ms > 0) this.#stopCheckpoints = environment.after(ms, () => this.#writeCheckpoints(), true);
  }

  #stopWatching(): void {
    this.#stopCheckpoints?.();
    this.#stopCheckpoints = undefined;
  }

  /** In how many ms an open span is to be written early: soon where its invocation may be killed, else while its id is young enough. */
  #dueInMs({ startMs }: Open): number {
    const leastMs = this.#checkpointsLeft > 0 ? CHECKPOINT_MS : this.settings.maxIdAgeMs / 2;
    return leastMs - (now() - startMs);
  }

  #writeCheckpoints(): void {
    this.#stopCheckpoints = undefined;
    const long = [...(this.#watched ?? [])].filter((item) => this.#dueInMs(item) <= 0);
    if (long.length > 0) {
      this.#checkpointsLeft -= 1;
      this.#delivery?.collect(); // what lies in the core for an hour is given up when another buffer is opened there
      for (const item of long) this.#early.add(item);
      if (this.#open) this.flushSoon();
      else this.#delivery?.wake();
    }
    this.#watchLongSpans();
  }
}
