// Delivers the rows of one invocation or one client: a bounded queue of uploads, and one flush of it at a time.
// Next in the flow: flush.ts.

import type { Settings } from "./config.js";
import { destinationOf } from "./destination.js";
import { now } from "./env.js";
import type { Reporter } from "./errors.js";
import {
  addCounts,
  type Dropped,
  emptyReport,
  Flush,
  type FlushMode,
  type FlushReport,
  type UploadQueue,
} from "./flush.js";
import type { Upload } from "./upload.js";

/** Where a `Delivery` gets its uploads from. */
export interface Source {
  /** Takes out everything that is there. */
  take(): Upload[];
  /** What was lost there since the last call. */
  takeDropped(): Dropped;
}

/** Uploads that are there already. */
export function sourceOf(uploads: Upload[]): Source {
  return { take: () => uploads.splice(0), takeDropped: () => ({}) };
}

/** Sends uploads: one flush at a time, so that there are two connections at most. */
export class Delivery {
  readonly #source: Source;
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  readonly #isShared: boolean;
  #queue: Upload[] = [];
  #queuedBytes = 0;
  #dropped: Dropped = {};
  /** The flush that runs, or else the latest of those that wait for it. */
  #last: Flush | undefined;

  /**
   * With `isShared` its flushes may be of different requests of a Worker, which must not wait for each other: then each
   * sends what it finds, and nothing else.
   */
  constructor(source: Source, settings: Settings, reporter: Reporter, isShared = false) {
    this.#source = source;
    this.#settings = settings;
    this.#reporter = reporter;
    this.#isShared = isShared;
  }

  /** Whether a flush is under way. It takes along what is collected meanwhile. */
  get isRunning(): boolean {
    return this.#last !== undefined;
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
    this.#last?.more();
  }

  /**
   * Sends what has been recorded. Never rejects. A flush that keeps what it can not send makes room for the next one; for
   * one that does not the next one waits, and leaves to it what is not sent by its own deadline.
   */
  flush(mode: FlushMode): Promise<FlushReport> {
    const before = this.#isShared ? undefined : this.#last;
    before?.handOver(mode.timeoutMs / 2);
    this.collect();
    if (!before && this.isEmpty) {
      // Nothing to wait for: mostly of what is not sampled.
      const dropped = this.#takeDropped();
      if (Object.keys(dropped).length === 0) return Promise.resolve(emptyReport());
      addCounts(this.#dropped, dropped);
    }
    const queue = this.#isShared ? ownQueue(this.#takeAll()) : this;
    const flush = new Flush(queue, this.#settings, this.#reporter, now() + mode.timeoutMs, mode, before);
    if (!this.#isShared) this.#last = flush;
    return this.#run(flush);
  }

  async #run(flush: Flush): Promise<FlushReport> {
    const report = await flush.run(() => this.#takeDropped());
    if (this.#last === flush) this.#last = undefined;
    return report;
  }

  /**
   * Takes the next upload out of the queue: the oldest, or on trial the oldest that was not sent before, since on that one the
   * backend may fail for good. Scores keep their order.
   */
  next(isTrial = false): Upload | undefined {
    const fresh = this.#queue.findIndex(({ wasSent, isOfScores }) => !isTrial || !(wasSent || isOfScores));
    const [upload] = this.#queue.splice(Math.max(0, fresh), 1);
    if (upload) this.#queuedBytes -= upload.body.byteLength;
    return upload;
  }

  /** Puts uploads back to the front of the queue. */
  putBack(uploads: readonly Upload[]): void {
    this.#enqueue(uploads, "unshift");
  }

  #takeAll(): Upload[] {
    this.#queuedBytes = 0;
    return this.#queue.splice(0);
  }

  #takeDropped(): Dropped {
    const dropped = this.#dropped;
    this.#dropped = {};
    addCounts(dropped, this.#source.takeDropped());
    return dropped;
  }

  #enqueue(uploads: readonly Upload[], how: "push" | "unshift"): void {
    this.#queue[how](...uploads);
    for (const { body } of uploads) this.#queuedBytes += body.byteLength;
  }
}

function ownQueue(uploads: Upload[]): UploadQueue {
  return { next: () => uploads.shift(), putBack: (more) => uploads.unshift(...more) };
}
