// Sends what has been recorded: one loop per delivery, at most two requests at a time. A flush is a wait for it. Rows stay with
// their source until a request is free for them, so that few requests carry many rows; what failed waits here. Next in the flow:
// request.ts.

import { OpikError, type Reporter } from "../errors.js";
import { type Answer, getCore } from "../platform/core.js";
import { environment, now, randomBits } from "../platform/env.js";
import type { Settings } from "../settings.js";
import { type Destination, destinationOf } from "./destination.js";
import type { Source } from "./model.js";
import { Account, addCounts, type Dropped, emptyReport, type Failure, type FlushReport } from "./report.js";
import { noAnswer, post } from "./request.js";
import { gzip, isWorthCompressing } from "./transport.js";
import type { Outcome, Upload } from "./upload.js";

/** Uploads under way at once; Workers allow few connections. */
const MAX_CONNECTIONS = 2;
/** How long an attempt may take that nobody waits for. */
const ATTEMPT_MS = 30_000;
/** Requests of an invocation: a free Worker has 50 subrequests, and some are the host's. */
const MAX_REQUESTS = 40;
/** Of these the last flush has some left. */
const LAST_REQUESTS = 4;
/** The same where nobody counts: enough to find ten bad rows in a thousand, ten times over. */
const MAX_SERVER_REQUESTS = 2000;

/** Uploads that are there already. */
export function sourceOf(uploads: Upload[], takeDropped: () => Dropped = () => ({})): Source {
  return {
    take: (isEarly) => (isEarly ? undefined : uploads.shift()),
    mark: () => () => rowsOf(uploads),
    takeDropped,
  };
}

/** How rows are flushed. */
export interface FlushMode {
  /** How long it may take, in ms. */
  readonly timeoutMs: number;
  /** Whether it is the last one: then its deadline breaks off what is under way, and what is left is lost, and counted. */
  readonly isLast?: boolean;
  /** Whether one upload is tried even while the destination is left alone. */
  readonly probes?: boolean;
}

/** What a delivery is for. */
export interface DeliveryOptions {
  /** Whether its requests are counted together until it ends. */
  readonly isInvocation?: boolean;
  /**
   * Whether its flushes may be of different requests of a Worker, which must not wait for each other: then each sends what it
   * finds, and nothing else.
   */
  readonly isShared?: boolean;
  /** Whether what the last flush leaves stays in reach: in an outbox, or with whoever handed it over. */
  readonly keeps?: boolean;
  /** Told when nothing is under way any more. */
  readonly onIdle?: () => void;
}

/** Somebody who waits for what was there when the flush was called. */
interface Waiting {
  readonly account: Account;
  readonly mode: FlushMode;
  readonly untilMs: number;
  /** How many rows it waits for that no upload has taken. */
  readonly left: () => number;
  /** The number of the last upload with rows that it waits for; `undefined` while there are rows left. */
  last: number | undefined;
  readonly resolve: (report: FlushReport) => void;
  readonly stopTimer: () => void;
}

/** An upload under way: being sent, or waiting for its next attempt. */
interface Lane {
  /** Ends the attempt or the wait. */
  breakOff: (cause: Error) => void;
  /** Until when it may go on where nobody waits, */
  readonly untilMs: number;
  /** and whether that is over. */
  isOverdue: boolean;
}

/** Delivers the rows of one invocation or one client. */
export class Delivery {
  readonly #source: Source;
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  readonly #options: DeliveryOptions;
  readonly #destination: Destination;
  readonly #maxRequests: number;
  /** What was taken and is not under way, the oldest first. */
  #waiting: Upload[] = [];
  /** What was tried in vain since the last of these waits for the next. */
  #wakeUps = 0;
  readonly #lanes = new Map<Upload, Lane>();
  /** Those who wait, the oldest first. */
  readonly #flushes: Waiting[] = [];
  /** What nobody waits for. */
  #unclaimed = new Account();
  /** What it came to, for the next report. */
  #earlier = emptyReport();
  #requests = 0;
  /** The number of the last upload that was taken. */
  #taken = 0;
  /** How many rows are still with the source of those that were there at the last wake-up. */
  #due = (): number => 0;
  /** Whether the last flush's time is over. */
  #isOver = false;

  constructor(source: Source, settings: Settings, reporter: Reporter, options: DeliveryOptions = {}) {
    this.#source = source;
    this.#settings = settings;
    this.#reporter = reporter;
    this.#options = options;
    this.#destination = destinationOf(settings);
    this.#maxRequests = settings.isServer ? MAX_SERVER_REQUESTS : MAX_REQUESTS;
  }

  /** Whether an upload is under way, or somebody waits. */
  get isRunning(): boolean {
    return this.#lanes.size > 0 || this.#flushes.length > 0;
  }

  /** Whether there is nothing to send. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#source.mark()() === 0;
  }

  /** How long the destination is still to be left alone, in ms. */
  get pauseMs(): number {
    return this.#destination.pauseMs;
  }

  /** Takes over what there is no room for elsewhere. */
  collect(): void {
    this.#collect();
    this.#putBack();
    this.#send();
  }

  /** Puts back what could not be sent; when there is too much, the oldest is dropped. */
  #putBack(...uploads: Upload[]): void {
    const waiting = this.#waiting;
    waiting.push(...uploads);
    waiting.sort((one, other) => one.number - other.number);
    let bytes = waiting.reduce((sum, { body }) => sum + body.byteLength, 0);
    while (bytes > this.#settings.limits.bufferBytes && waiting.length > 1) {
      // A trace's row is worth more than those of its spans.
      const [oldest] = waiting.splice(
        Math.max(
          0,
          waiting.findIndex(({ kind }) => kind === "spans"),
        ),
        1,
      ) as [Upload];
      bytes -= oldest.body.byteLength;
      this.#account(oldest, { lost: "queue_full" });
    }
  }

  /** Sends what is there. */
  wake(): void {
    this.#due = this.#source.mark();
    this.#wakeUps += 1;
    for (const [{ envelope }, lane] of this.#lanes) if (envelope?.outcome()) lane.breakOff(new Error("discarded"));
    this.#send();
  }

  /** The same, and resolves when it is settled, or kept. Never rejects. Its requests are out before it returns. */
  flush(mode: FlushMode): Promise<FlushReport> {
    if (this.#options.isShared) return this.#flushApart(mode);
    const left = this.#source.mark();
    if (this.isEmpty && !this.isRunning) {
      // Nothing to wait for: mostly of what is not sampled.
      addCounts(this.#unclaimed.report.dropped, this.#source.takeDropped());
      return Promise.resolve(this.#closeUnclaimed());
    }
    if (mode.probes) this.#destination.probe();
    return new Promise((resolve) => {
      const stopTimer = environment.after(mode.timeoutMs, () => this.#expire(flush));
      const last = left() === 0 ? this.#taken : undefined;
      const untilMs = now() + mode.timeoutMs;
      const flush: Waiting = { account: new Account(), mode, untilMs, left, last, resolve, stopTimer };
      this.#flushes.push(flush);
      addCounts(flush.account.report.dropped, this.#source.takeDropped());
      if (mode.isLast) this.#prepareLast();
      this.wake();
    });
  }

  async #flushApart(mode: FlushMode): Promise<FlushReport> {
    const source = sourceOf(this.#takeRest(), () => this.#source.takeDropped());
    const own = new Delivery(source, this.#settings, this.#reporter, { keeps: true });
    const report = await own.flush({ ...mode, isLast: true });
    this.#putBack(...own.#takeRest());
    return report;
  }

  #takeRest(): Upload[] {
    this.#collect();
    return this.#waiting.splice(0);
  }

  /** For the last requests traces come first, then the latest uploads: a root ends after its children. */
  #prepareLast(): void {
    this.#collect();
    const rank = ({ kind, number }: Upload): number => (kind === "traces" ? Number.POSITIVE_INFINITY : number);
    if (this.#waiting.length > LAST_REQUESTS) this.#waiting.sort((one, other) => rank(other) - rank(one));
  }

  #collect(): void {
    for (let upload = this.#take(false); upload; upload = this.#take(false)) this.#waiting.push(upload);
  }

  #take(isEarly: boolean): Upload | undefined {
    const upload = this.#source.take(isEarly);
    if (upload) Object.assign(upload, { number: ++this.#taken, tried: -1 });
    for (const flush of this.#flushes) if (flush.last === undefined && flush.left() === 0) flush.last = this.#taken;
    return upload;
  }

  get #maySend(): boolean {
    const isEnding = this.#flushes.some(({ mode }) => mode.isLast);
    const reserved = this.#options.isInvocation && !isEnding ? LAST_REQUESTS : 0;
    return !this.#isOver && this.pauseMs === 0 && this.#requests < this.#maxRequests - reserved;
  }

  #send(): void {
    // What was left alone has to prove itself with one upload before the next follows.
    while (this.#lanes.size < (this.#destination.isOnTrial ? 1 : MAX_CONNECTIONS) && this.#maySend) {
      const upload = this.#next();
      if (!upload) break;
      void this.#deliver(upload);
    }
    this.#settle();
  }

  #next(): Upload | undefined {
    // Scores one after another: an earlier one that is tried again must not arrive after a later one.
    const sendsScores = [...this.#lanes.keys()].some(({ isOfScores }) => isOfScores);
    const mayGo = (upload: Upload): boolean => !(upload.isOfScores && sendsScores) && this.#isUntried(upload);
    const find = (which: (upload: Upload) => boolean): Upload | undefined => {
      const index = this.#waiting.findIndex((upload) => mayGo(upload) && which(upload));
      return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
    };
    // On trial one that was not sent before, since on the others the backend may fail for good. Scores keep their order.
    const { isOnTrial } = this.#destination;
    const found = find(({ wasSent, isOfScores }) => !isOnTrial || !(wasSent || isOfScores));
    if (found) return found;
    // What has come since waits for the next wake-up: with more of its kind it is one request.
    const isDue = this.#due() > 0 || this.#flushes.some(({ last }) => last === undefined);
    for (let upload = this.#take(!isDue); upload; upload = this.#take(!isDue)) {
      if (mayGo(upload)) return upload;
      this.#waiting.push(upload);
    }
    return find(() => true);
  }

  async #deliver(upload: Upload): Promise<void> {
    const lane: Lane = { breakOff: () => {}, untilMs: now() + ATTEMPT_MS, isOverdue: false };
    this.#lanes.set(upload, lane);
    let outcome: Outcome | "split" | undefined;
    try {
      for (let number = 1; outcome === undefined; number += 1) outcome = await this.#attempt(upload, number, lane);
    } catch (cause) {
      // The core died while it was asked: what became of the rows is not known.
      outcome = this.#keep(upload, cause instanceof OpikError ? cause.code : "wasm_trap", { cause });
    }
    this.#lanes.delete(upload);
    if (outcome !== "split") this.#account(upload, outcome);
    this.#send();
  }

  /** Sends it once. `undefined` when it is to be sent again. */
  async #attempt(upload: Upload, number: number, lane: Lane): Promise<Outcome | "split" | undefined> {
    const { envelope } = upload;
    const before = envelope?.outcome();
    if (before) return before;
    if (!this.#maySend) return "kept";
    if (this.#destination.compresses && !upload.compressed && isWorthCompressing(upload.body)) {
      upload.compressed = await gzip(upload.body);
    }
    if (upload.wasSent) upload.isRetry = true;
    upload.wasSent = true;
    const answer = await this.#post(upload, lane);
    const since = answer.status === 0 && envelope?.outcome();
    if (since) return since;
    const verdict = getCore().verdict(answer, {
      number,
      rows: upload.rows,
      nowMs: now(),
      deadlineMs: this.#deadlineMs(lane),
      // Only a wait is spread, and random bytes take longer than all the rest.
      random: answer.status >= 200 && answer.status < 300 ? 0 : randomBits(),
    });
    const { reason } = verdict;
    switch (verdict.what) {
      case "sent":
        this.#destination.succeeded();
        return "sent";
      case "retry":
        if (this.#mayRetry(upload, number)) return this.#pause(verdict.waitMs, lane);
        return this.#fail(upload, reason, answer);
      case "plain":
        this.#destination.compresses = false;
        return undefined;
      case "split": {
        const halves = upload.split();
        if (halves) this.#waiting.unshift(...halves);
        return halves ? "split" : this.#lose(upload, reason, answer);
      }
      case "drop":
        return this.#lose(upload, reason, answer);
      case "defer":
        return this.#fail(upload, reason, answer);
      case "stop":
        // A backend, or what stands before it, may know no scores; that says nothing of the rest.
        if (upload.isOfScores && reason === "not_found") return this.#lose(upload, reason, answer);
        // A page's token is that of some of its rows, and says nothing of the rest.
        if (answer.status === 401 && envelope?.refused()) {
          this.#lose(upload, reason, { ...answer, once: true });
          return undefined;
        }
        this.#destination.failed(true);
        return this.#keep(upload, reason, { ...answer, once: true });
    }
  }

  #mayRetry({ splitAt }: Upload, number: number): boolean {
    return !this.#isOver && !this.#destination.isOnTrial && (!splitAt || number === 1);
  }

  /** The backend has failed: on all that is sent to it, or on the rows of a stranger. */
  #fail(upload: Upload, reason: string, answer: Answer): Outcome {
    if (!upload.splitAt || answer.status < 500) this.#destination.failed(false);
    return this.#keep(upload, reason, answer);
  }

  #post(upload: Upload, lane: Lane): Promise<Answer> {
    const body = (this.#destination.compresses && upload.compressed) || upload.body;
    const { report } = this.#accountOf(upload);
    report.requests += 1;
    report.bytes += body.byteLength;
    this.#requests += 1;
    return new Promise((resolve) => {
      const controller = new AbortController();
      const done = (answer: Answer): void => {
        stop();
        resolve(answer);
      };
      // Also where a transport takes no notice of the signal.
      lane.breakOff = (cause) => {
        done(noAnswer(cause));
        controller.abort(cause);
      };
      const overdue = (): void => {
        lane.isOverdue = true;
        this.#breakOffOverdue();
      };
      const stop = environment.after(ATTEMPT_MS, overdue, true);
      lane.isOverdue = false;
      void post(this.#settings, upload, body, controller.signal).then(done);
    });
  }

  /** Waits before the next attempt. */
  async #pause(waitMs: number, lane: Lane): Promise<undefined> {
    await new Promise<void>((resolve) => {
      // Only a flush that is waited for keeps the process alive.
      const stop = environment.after(waitMs, resolve, this.#flushes.length === 0);
      lane.breakOff = () => {
        stop();
        resolve();
      };
    });
  }

  /** Until when an upload may be tried again: as long as somebody waits. */
  #deadlineMs({ untilMs }: Lane): number {
    if (this.#isOver) return now();
    return this.#flushes.length > 0 ? Math.max(...this.#flushes.map((flush) => flush.untilMs)) : untilMs;
  }

  #breakOffOverdue(): void {
    if (this.#flushes.length > 0 && !this.#isOver) return;
    for (const lane of this.#lanes.values()) {
      if (lane.isOverdue || this.#isOver) lane.breakOff(new Error("no response in time"));
    }
  }

  /** A flush's time is over. */
  #expire(flush: Waiting): void {
    if (flush.mode.isLast) {
      this.#isOver = true;
      this.#breakOffOverdue();
      this.#settle();
    } else {
      flush.account.failed("deadline", {});
      this.#resolve(flush);
      this.#breakOffOverdue();
    }
  }

  /** Ends the flushes that have nothing more to wait for. */
  #settle(): void {
    const maySend = this.#maySend;
    for (const flush of [...this.#flushes]) {
      const covers = (upload: Upload): boolean => isCovered(upload, flush);
      if ([...this.#lanes.keys()].some(covers)) continue;
      if (
        !maySend ||
        (flush.last !== undefined && !this.#waiting.some((upload) => covers(upload) && this.#isUntried(upload)))
      )
        this.#resolve(flush);
    }
    if (this.isRunning) return;
    if (!this.#options.isInvocation) this.#requests = 0;
    this.#earlier = this.#closeUnclaimed();
    this.#options.onIdle?.();
  }

  #resolve(flush: Waiting): void {
    if (flush.mode.isLast && !this.#options.keeps) this.#dropRest();
    flush.stopTimer();
    this.#flushes.splice(this.#flushes.indexOf(flush), 1);
    const open = [...this.#waiting, ...this.#lanes.keys()];
    const kept = open.filter((upload) => isCovered(upload, flush) && !upload.isCheckpoint);
    const { account } = flush;
    account.report.kept = rowsOf(kept) + flush.left();
    flush.resolve(account.close(this.#reporter, this.#earlier));
    this.#earlier = emptyReport();
    if (flush.mode.isLast) this.#isOver = false;
  }

  #dropRest(): void {
    const reason = this.pauseMs > 0 ? "circuit_open" : this.#isOver ? "deadline" : "too_many_requests";
    for (const upload of this.#takeRest())
      this.#account(upload, this.#lose(upload, upload.failure ?? reason, { once: reason === "circuit_open" }));
  }

  #closeUnclaimed(): FlushReport {
    const report = this.#unclaimed.close(this.#reporter, this.#earlier);
    this.#unclaimed = new Account();
    return report;
  }

  #lose(upload: Upload, reason: string, failure: Failure): Outcome {
    this.#accountOf(upload).failed(reason, failure);
    return { lost: reason };
  }

  #isUntried({ tried }: Upload): boolean {
    return tried < this.#wakeUps;
  }

  /** For the next wake-up. */
  #keep(upload: Upload, reason: string, failure: Failure): Outcome {
    this.#lose(upload, reason, failure);
    upload.failure = reason;
    return "kept";
  }

  #account(upload: Upload, outcome: Outcome): void {
    const { rows, isCheckpoint } = upload;
    const { report } = this.#accountOf(upload);
    if (outcome === "aside") return;
    if (outcome !== "kept") upload.onSettled?.(upload);
    // A row that was written early is written again: nothing is lost with it, and nothing gained by keeping it.
    if (isCheckpoint) report.checkpoints += outcome === "sent" ? rows : 0;
    else if (outcome === "kept") {
      upload.tried = this.#wakeUps;
      this.#putBack(upload);
    } else {
      if (upload.isRetry) report.retried += rows;
      if (outcome === "sent") report.sent += rows;
      else addCounts(report.dropped, { [outcome.lost]: rows });
    }
  }

  /** Whose report it is in: that of the first who waits for it. */
  #accountOf(upload: Upload): Account {
    return this.#flushes.find((flush) => isCovered(upload, flush))?.account ?? this.#unclaimed;
  }
}

/** Whether `flush` waits for it. */
function isCovered({ number }: Upload, { last }: Waiting): boolean {
  return last === undefined || number <= last;
}

function rowsOf(uploads: readonly Upload[]): number {
  return uploads.reduce((sum, { rows }) => sum + rows, 0);
}
