// One invocation, or a client outside any: whose settings apply, where its rows are kept, and which
// of its spans are still open. Concurrent requests share nothing but the WebAssembly instance.

import { AutoFlush } from "./auto-flush.js";
import { type Row, RowBuffer } from "./buffer.js";
import type { Settings } from "./config.js";
import { Delivery } from "./delivery.js";
import { environment, isServer, now } from "./env.js";
import type { Reporter } from "./errors.js";
import { addCounts, type Dropped, type FlushMode, type FlushReport } from "./flush.js";
import type { Masks } from "./json.js";
import { type Score, ScoreBuffer, type ScoreKind, type TargetedScore } from "./score.js";
import type { Upload } from "./upload.js";
import { prepareWaitUntil, whileKeptAlive } from "./wait-until.js";

/** How long a flush that the host waits for may take, unless it says otherwise. */
const TIMEOUT_MS = 10_000;
/** The longest: timers take no more. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** How long one may take that nobody waits for. */
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

/** Something that is still open when its invocation ends. */
export interface Open {
  readonly startMs: number;
  /** Writes its row as far as it is known. */
  checkpoint(): void;
  /** Ends it and marks it unfinished. */
  close(): void;
}

/** Options of `flush`. */
export interface FlushOptions {
  /** How long it may take, in ms (default 10000). What is not delivered by then is lost, and counted. */
  readonly timeoutMs?: number | undefined;
}

/** Where spans are recorded: settings, reporter and rows of one invocation or one client. */
export class Scope {
  readonly settings: Settings;
  readonly reporter: Reporter;
  /** Objects of the invocation that must not be recorded: `env`, `ctx`. */
  readonly masks: Masks | undefined;
  /** The same in every row, so written once. */
  readonly projectJson: string;
  readonly environmentJson: string;
  readonly #rows: RowBuffer;
  /** Rows of what is still open, which are sent beside the others and accounted for apart. */
  readonly #checkpoints: RowBuffer;
  readonly #scores: ScoreBuffer;
  readonly #delivery: Delivery;
  readonly #autoFlush: AutoFlush | undefined;
  readonly #open: Set<Open> | undefined;
  /** Called once, when the first row or score is kept, or the first span opened. */
  onFirstUse: (() => void) | undefined;
  /** When what has ended is sent, where the platform was asked to wait for that. */
  #sendsMs = 0;
  #checkpointsLeft = MAX_CHECKPOINTS;
  #stopCheckpoints: (() => void) | undefined;

  /** A scope with `masks` is an invocation: it ends, and then closes what is still open. */
  constructor(settings: Settings, reporter: Reporter, masks?: Masks) {
    const { projectName, environment, limits, background, signals, outbox } = settings;
    this.settings = settings;
    this.reporter = reporter;
    this.masks = masks;
    this.projectJson = projectName === undefined ? "" : JSON.stringify(projectName);
    this.environmentJson = environment === undefined ? "" : JSON.stringify(environment);
    this.#rows = new RowBuffer(reporter, limits);
    this.#checkpoints = new RowBuffer(reporter, limits);
    this.#scores = new ScoreBuffer(settings, reporter);
    const source = { take: () => this.#take(), takeDropped: () => this.#takeDropped() };
    // A client at the top of a Worker is used by many requests, none of which may wait for another.
    const isShared = !masks && !background && !isServer();
    this.#delivery = new Delivery(source, settings, reporter, isShared);
    this.#open = masks && new Set();
    if (!masks) void prepareWaitUntil();
    if (masks) {
      this.#autoFlush = new AutoFlush(this.#delivery, { bytes: limits.batchBytes, intervalMs: undefined, signals: [] });
    } else if (background) {
      this.#autoFlush = new AutoFlush(this.#delivery, {
        bytes: BACKGROUND_BYTES,
        intervalMs: INTERVAL_MS,
        signals,
        outbox,
      });
    }
  }

  /** Keeps the row of what has ended. */
  append(row: Row): void {
    if (this.#rows.append(row)) this.#kept(row.text.length);
  }

  /** Keeps a score of the trace or span that it names: of none, where that has no id, since it is not recorded. Never throws. */
  scoreById(score: TargetedScore): void {
    if (this.settings.disabled) return;
    let id: unknown;
    let kind: ScoreKind = "trace_scores";
    try {
      const { traceId, spanId } = score;
      if (spanId !== undefined && spanId !== null) kind = "span_scores"; // JavaScript may say null
      id = spanId ?? traceId;
    } catch {
      // A getter that throws: it is refused as one without an id.
    }
    if (id !== "") this.score(kind, id, score);
  }

  /** Keeps a score of what has `id`. */
  score(kind: ScoreKind, id: unknown, score: Score): void {
    const bytes = this.#scores.add(kind, id, score);
    if (bytes > 0) this.#kept(bytes);
  }

  /** Keeps the row of what is still open, to be sent early. */
  appendCheckpoint(row: Row): void {
    this.#checkpoints.append(row);
  }

  /** Notes that `item` is open. Outside an invocation nothing is noted, so nothing can pile up. */
  opened(item: Open): void {
    this.#used();
    if (!this.#open) return;
    this.#open.add(item);
    if (this.#open.size === 1) this.#watchLongSpans();
  }

  /** Notes that `item` has ended. */
  ended(item: Open): void {
    this.#open?.delete(item);
    if (this.#open?.size === 0) this.#stopCheckpoints?.();
  }

  /**
   * Notes that what has nothing of ours around it has ended. Outside an invocation that is what a runtime that freezes between
   * its requests waits for, where it can be asked to; a `flush` of the host's own comes first.
   */
  outermostEnded(): void {
    if (this.#open || this.settings.outbox || now() < this.#sendsMs) return;
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
    const given = options?.timeoutMs;
    const timeoutMs = typeof given === "number" && given >= 0 ? Math.min(given, MAX_TIMEOUT_MS) : TIMEOUT_MS;
    // What a page can not deliver now is kept for its next visit.
    const keep = this.settings.outbox !== undefined;
    return this.#flush({ timeoutMs, probe: true, keep });
  }

  /** The same while the invocation goes on: what can not be delivered now is kept for its end. */
  flushEarly(): Promise<FlushReport> {
    return this.#flush({ timeoutMs: EARLY_TIMEOUT_MS, keep: true });
  }

  /** Ends the invocation: closes what is open, sends the rest within `timeoutMs`, keeps nothing more. */
  end(timeoutMs: number): Promise<FlushReport> {
    this.#checkpointsLeft = 0;
    for (const item of [...(this.#open ?? [])].reverse()) item.close();
    this.#stopCheckpoints?.();
    this.#delivery.collect();
    // What comes now comes too late, and is told so.
    this.#rows.close();
    this.#checkpoints.close();
    this.#scores.close();
    return this.#flush({ timeoutMs });
  }

  async #flush(mode: FlushMode): Promise<FlushReport> {
    this.#autoFlush?.reset();
    const report = await this.#delivery.flush(mode);
    this.#autoFlush?.settled();
    return report;
  }

  #used(): void {
    const { onFirstUse } = this;
    this.onFirstUse = undefined;
    onFirstUse?.();
  }

  /** About so many bytes have been added. */
  #kept(bytes: number): void {
    this.#used();
    const { outbox } = this.settings;
    if (outbox) for (const upload of this.#takeEnded()) outbox.add(upload);
    this.#autoFlush?.noted(bytes);
  }

  #take(): Upload[] {
    const early = this.#checkpoints.takeAll();
    for (const upload of early) upload.isCheckpoint = true;
    return [...early, ...(this.settings.outbox?.take() ?? this.#takeEnded())];
  }

  #takeEnded(): Upload[] {
    return [...this.#rows.takeAll(), ...this.#scores.takeAll()];
  }

  #takeDropped(): Dropped {
    this.#checkpoints.takeDropped(); // their spans are written again
    const dropped = this.#rows.takeDropped();
    addCounts(dropped, this.#scores.takeDropped());
    return dropped;
  }

  #watchLongSpans(): void {
    this.#stopCheckpoints?.();
    if (this.#checkpointsLeft === 0) return;
    this.#stopCheckpoints = environment.after(CHECKPOINT_MS, () => this.#writeCheckpoints(), true);
  }

  #writeCheckpoints(): void {
    const long = [...(this.#open ?? [])].filter(({ startMs }) => now() - startMs >= CHECKPOINT_MS);
    if (long.length > 0) {
      this.#checkpointsLeft -= 1;
      for (const item of long) item.checkpoint();
      void this.flushEarly();
    }
    this.#watchLongSpans();
  }
}
