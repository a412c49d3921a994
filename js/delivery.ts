// Delivers the rows of one invocation or one client: a bounded queue of uploads, and one flush of it at a time.
// Next in the flow: flush.ts.

import type { Settings } from "./config.js";
import { destinationOf } from "./destination.js";
import { now, within } from "./env.js";
import type { Reporter } from "./errors.js";
import { addCounts, type Dropped, Flush, type FlushMode, type FlushReport } from "./flush.js";
import type { Upload } from "./upload.js";

/** Where a `Delivery` gets its uploads from. */
export interface Source {
  /** Takes out everything that is there. */
  take(): Upload[];
  /** What was lost there since the last call. */
  takeDropped(): Dropped;
}

/** Sends uploads, one flush at a time. */
export class Delivery {
  readonly #source: Source;
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  #queue: Upload[] = [];
  #queuedBytes = 0;
  #dropped: Dropped = {};
  #running: Promise<unknown> | undefined;
  /** Makes the flush that runs leave what it has not sent to the next one, if it may. */
  #handOver = (): void => {};

  constructor(source: Source, settings: Settings, reporter: Reporter) {
    this.#source = source;
    this.#settings = settings;
    this.#reporter = reporter;
  }

  /** Whether a flush is under way. It takes along what is collected meanwhile. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Whether nothing has been collected that is not sent. */
  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** How long the destination is still to be left alone, in ms. */
  get pauseMs(): number {
    return destinationOf(this.#settings).pauseMs;
  }

  /** Moves what has been recorded into the queue, out of which the oldest is dropped when it is too long. */
  collect(): void {
    this.#enqueue(this.#source.take(), "push");
    while (this.#queuedBytes > this.#settings.limits.bufferBytes && this.#queue.length > 1) {
      const oldest = this.next() as Upload;
      if (!oldest.isCheckpoint) addCounts(this.#dropped, { queue_full: oldest.rows });
    }
  }

  /** Sends what has been recorded. Never rejects. */
  flush(mode: FlushMode): Promise<FlushReport> {
    this.collect();
    const deadlineMs = now() + mode.timeoutMs;
    const before = this.#running;
    this.#handOver();
    const run = async (): Promise<FlushReport> => {
      if (before) await within(mode.timeoutMs, before);
      const dropped = this.#dropped;
      this.#dropped = {};
      addCounts(dropped, this.#source.takeDropped());
      const flush = new Flush(this, this.#settings, this.#reporter, deadlineMs, mode, dropped);
      this.#handOver = () => flush.handOver();
      return flush.run();
    };
    const running = run().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  /** Takes the next upload out of the queue. */
  next(): Upload | undefined {
    const upload = this.#queue.shift();
    if (upload) this.#queuedBytes -= upload.body.byteLength;
    return upload;
  }

  /** Puts uploads back to the front of the queue. */
  putBack(uploads: readonly Upload[]): void {
    this.#enqueue(uploads, "unshift");
  }

  #enqueue(uploads: readonly Upload[], how: "push" | "unshift"): void {
    this.#queue[how](...uploads);
    for (const { body } of uploads) this.#queuedBytes += body.byteLength;
  }
}
