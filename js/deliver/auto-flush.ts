// Flushes without being asked: when much has been recorded, and where the process outlives its requests also
// after a while, when it is about to exit, and, if the user wants it, on a signal.

import { environment } from "../platform/env.js";
import type { Flusher, Host, Signal } from "../settings.js";
import type { Outbox, Sender } from "./model.js";

/** Rows that are worth a request of their own: a full batch. */
const MAX_ROWS = 1000;
/** How often an invocation sends what has ended while it goes on: its requests are few. */
const PACE_MS = 1000;
/** How long a process that is about to exit is kept for it. */
const EXIT_TIMEOUT_MS = 5000;

/** When to flush. */
export interface AutoFlushOptions {
  /** As soon as so many bytes are recorded, or 1000 rows. */
  readonly bytes: number;
  /** So many ms after the first row, and at the process's exit; `undefined` where an invocation's end will do. */
  readonly intervalMs: number | undefined;
  /** Where a page keeps what it can not deliver: out of it what earlier visits have left is sent first. */
  readonly outbox?: Outbox | undefined;
  /** Whether timer and listeners stay for a while when there is nothing to send: a host may flush after each request. */
  readonly stays?: boolean;
  /** On these signals too, which are raised again afterwards. */
  readonly signals: readonly Signal[];
  readonly host?: Host | undefined;
}

/** Wakes one `Delivery`. What it can not deliver stays for the next time. */
export class AutoFlush implements Flusher {
  readonly #delivery: Sender;
  readonly #options: AutoFlushOptions;
  #rows = 0;
  #bytes = 0;
  #isStarting = false;
  /** Of the timer that is set, if there is one. */
  #timerMs = 0;
  #stopTimer: (() => void) | undefined;

  constructor(delivery: Sender, options: AutoFlushOptions) {
    this.#delivery = delivery;
    this.#options = options;
    // What is left may have to wait for the network.
    void options.outbox?.recover(() => {
      options.host?.watch(this);
      delivery.wake();
    });
  }

  get signals(): readonly Signal[] {
    return this.#options.signals;
  }

  /** A row of about so many bytes was recorded. */
  noted(bytes: number): void {
    this.#rows += 1;
    this.#bytes += bytes;
    if (this.#rows >= MAX_ROWS || this.#bytes >= this.#options.bytes) this.start();
    else if (this.#options.intervalMs !== undefined) this.#schedule(this.#options.intervalMs);
    if (this.#options.intervalMs !== undefined) this.#options.host?.watch(this);
  }

  /** Whatever there was is taken care of by a flush of somebody else. */
  reset(): void {
    this.#rows = 0;
    this.#bytes = 0;
  }

  /** The flush before the page is hidden or the process ends. Never rejects. */
  async flushAtExit(isLast = true): Promise<void> {
    this.reset();
    const isForGood = isLast && this.#options.outbox === undefined;
    this.#delivery.probe();
    await this.#delivery.flush({ timeoutMs: EXIT_TIMEOUT_MS, isLast: isForGood });
  }

  /** Nothing is under way any more: what was kept is tried again later, once the destination is no longer left alone. */
  rest(): void {
    const { intervalMs } = this.#options;
    if (intervalMs === undefined) return;
    if (!this.#delivery.isEmpty) this.#schedule(Math.max(intervalMs, this.#delivery.pauseMs));
    else if (this.#options.stays && this.#options.host?.isWatched(this)) this.#schedule(intervalMs);
    else this.stop();
  }

  /** Sends what has ended while an invocation goes on, or what has been added since in a moment. */
  soon(): void {
    if (this.#stopTimer) return;
    this.reset();
    this.#delivery.wake();
    this.#stopTimer = environment.after(PACE_MS, () => {
      this.#stopTimer = undefined;
      if (!this.#delivery.isEmpty) this.soon();
    });
  }

  /** Sets no timer, and listens to nothing, until the next row. */
  stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#options.host?.unwatch(this);
  }

  /** Sends what is there, but not in the midst of what the host is doing. */
  start(): void {
    this.reset();
    if (this.#isStarting) return;
    this.#isStarting = true;
    queueMicrotask(() => {
      this.#isStarting = false;
      this.#delivery.wake();
    });
  }

  /** Sends what is there within `ms`, or as soon as the destination is no longer left alone. */
  #schedule(ms: number): void {
    if (this.#stopTimer && (this.#timerMs <= ms || this.#delivery.pauseMs > 0)) return;
    this.#stopTimer?.();
    this.#timerMs = ms;
    // A timer that keeps no process alive: what is left when it ends is flushed then.
    this.#stopTimer = environment.after(ms, () => this.#onTimer(), true);
  }

  #onTimer(): void {
    this.#stopTimer = undefined;
    this.reset();
    if (!this.#delivery.isEmpty) this.#delivery.wake();
    else if (!this.#delivery.isRunning) this.stop();
  }
}
