// Flushes automatically: when enough has been recorded and, where the process outlives its requests, also after an
// interval, before the process exits, and on signals that the user has chosen.

import { environment } from "../platform/env.js";
import type { Flusher, Host, Signal } from "../settings.js";
import type { Outbox, Sender } from "./model.js";

/** Number of rows that fill a batch and are sent at once. */
const MAX_ROWS = 1000;
/** Interval at which a running invocation sends ended rows. It is long because an invocation may make few requests. */
const PACE_MS = 1000;
/** Longest time that an exiting process is kept alive. */
const EXIT_TIMEOUT_MS = 5000;

/** The occasions for a flush. */
export interface AutoFlushOptions {
  /** Flushes as soon as this many bytes, or 1000 rows, are recorded. */
  readonly bytes: number;
  /** Flushes this many ms after the first row, and at the process's exit; `undefined` if the end of an invocation is enough. */
  readonly intervalMs: number | undefined;
  /** Keeps rows that a page cannot deliver. Rows of earlier visits are sent first. */
  readonly outbox?: Outbox | undefined;
  /** `true` if timer and listeners stay for a while without rows, because a host may flush after each request. */
  readonly stays?: boolean;
  /** Also flushes on these signals, and raises them again afterwards. */
  readonly signals: readonly Signal[];
  readonly host?: Host | undefined;
}

/** Wakes one `Delivery`. Rows that it cannot deliver wait for the next time. */
export class AutoFlush implements Flusher {
  readonly #delivery: Sender;
  readonly #options: AutoFlushOptions;
  #rows = 0;
  #bytes = 0;
  #isStarting = false;
  /** Delay of the current timer. */
  #timerMs = 0;
  #stopTimer: (() => void) | undefined;

  constructor(delivery: Sender, options: AutoFlushOptions) {
    this.#delivery = delivery;
    this.#options = options;
    // Rows of earlier visits may have to wait for the network.
    void options.outbox?.recover(() => {
      options.host?.watch(this);
      delivery.wake();
    });
  }

  get signals(): readonly Signal[] {
    return this.#options.signals;
  }

  /** Notes a recorded row of about `bytes` bytes. */
  noted(bytes: number): void {
    this.#rows += 1;
    this.#bytes += bytes;
    if (this.#rows >= MAX_ROWS || this.#bytes >= this.#options.bytes) this.start();
    else if (this.#options.intervalMs !== undefined) this.#schedule(this.#options.intervalMs);
    if (this.#options.intervalMs !== undefined) this.#options.host?.watch(this);
  }

  /** Forgets the rows so far, because another flush takes care of them. */
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

  /** Called when nothing is being sent. Kept rows are tried again later, after the destination's pause. */
  rest(): void {
    const { intervalMs } = this.#options;
    if (intervalMs === undefined) return;
    if (!this.#delivery.isEmpty) this.#schedule(Math.max(intervalMs, this.#delivery.pauseMs));
    else if (this.#options.stays && this.#options.host?.isWatched(this)) this.#schedule(intervalMs);
    else this.stop();
  }

  /** Sends ended rows of a running invocation, at most once per interval. */
  soon(): void {
    if (this.#stopTimer) return;
    this.reset();
    this.#delivery.wake();
    this.#stopTimer = environment.after(PACE_MS, () => {
      this.#stopTimer = undefined;
      if (!this.#delivery.isEmpty) this.soon();
    });
  }

  /** Clears the timer and the listeners until the next row. */
  stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#options.host?.unwatch(this);
  }

  /** Sends waiting rows, after the host's current synchronous code. */
  start(): void {
    this.reset();
    if (this.#isStarting) return;
    this.#isStarting = true;
    queueMicrotask(() => {
      this.#isStarting = false;
      this.#delivery.wake();
    });
  }

  /** Sends waiting rows within `ms`, or after the destination's pause. */
  #schedule(ms: number): void {
    if (this.#stopTimer && (this.#timerMs <= ms || this.#delivery.pauseMs > 0)) return;
    this.#stopTimer?.();
    this.#timerMs = ms;
    // The timer does not keep the process alive; remaining rows are flushed at the exit.
    this.#stopTimer = environment.after(ms, () => this.#onTimer(), true);
  }

  #onTimer(): void {
    this.#stopTimer = undefined;
    this.reset();
    if (!this.#delivery.isEmpty) this.#delivery.wake();
    else if (!this.#delivery.isRunning) this.stop();
  }
}
