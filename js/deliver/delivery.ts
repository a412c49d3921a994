// Sends recorded rows: one loop per delivery, with at most two concurrent requests. A flush waits for that loop. Rows stay
// with their source until a request is free, so that few requests carry many rows; failed uploads wait here. Next in the
// flow: request.ts.

import { type DropReason, OpikError, type Reporter } from "../errors.js";
import { getCore } from "../platform/core.js";
import { environment, now, randomBits } from "../platform/env.js";
import { idTime } from "../platform/ids.js";
import type { Answer } from "../platform/model.js";
import type { Settings } from "../settings.js";
import { type Destination, destinationOf } from "./destination.js";
import type { DeliveryOptions, FlushMode, Sender, Source } from "./model.js";
import { Account, addCounts, type Failure, type FlushReport, failureText } from "./report.js";
import { noAnswer, post } from "./request.js";
import { sourceOf } from "./source.js";
import { gzip, isWorthCompressing, numberOr } from "./transport.js";
import { idOf, type Outcome, type Upload } from "./upload.js";

/** Concurrent uploads. Workers allow few connections. */
const MAX_CONNECTIONS = 2;
/** Longest attempt while no flush waits. */
const ATTEMPT_MS = 30_000;
/** Requests of an invocation. A free Worker has 50 subrequests, and the host needs some of them. */
const MAX_REQUESTS = 40;
/** Requests reserved for the last flush. */
const RESERVED_REQUESTS = 4;
/** The limit in a process (Node, Deno, Bun). Finding one bad row among a thousand takes about twenty requests. */
const MAX_SERVER_REQUESTS = 2000;

/** A running flush. It waits for the rows that existed when it was called. */
interface Flush {
  readonly account: Account;
  readonly mode: FlushMode;
  readonly untilMs: number;
  /** The number of its rows that are not in an upload yet. */
  readonly left: () => number;
  /** The number of the last upload that it waits for; `undefined` while rows are left. */
  lastUpload: number | undefined;
  readonly resolve: (report: FlushReport) => void;
  readonly stopTimer: () => void;
}

const none = (): void => {};

/** Sends one upload, which is either in a request or waits for its next attempt. */
class Lane {
  readonly upload: Upload;
  /** Deadline for further attempts while no flush waits. */
  readonly untilMs: number;
  /** Deadline of the current attempt; 0 between attempts. */
  attemptUntilMs = 0;
  /** Number of attempts so far. */
  attempts = 0;
  /** Aborts the attempt, or ends the wait. */
  breakOff: (cause: Error) => void = none;
  /** Clears the timer that ends an attempt while no flush waits. */
  stopTimer: () => void = none;

  constructor(upload: Upload) {
    this.upload = upload;
    this.untilMs = now() + ATTEMPT_MS;
  }
}

/** Delivers the rows of one invocation or one client. */
export class Delivery implements Sender {
  readonly #source: Source;
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  readonly #options: DeliveryOptions;
  readonly #destination: Destination;
  readonly #maxRequests: number;
  /** Uploads to send, oldest first. */
  #queue: Upload[] = [];
  /** Uploads that have failed since the last wake-up. */
  #failed: Upload[] = [];
  readonly #lanes = new Set<Lane>();
  /** Oldest first. */
  readonly #flushes: Flush[] = [];
  /** Results that no flush waited for. The next flush reports them. */
  #unclaimed = new Account();
  #requests = 0;
  /** The number of the last upload that was taken. */
  #taken = 0;
  /** The number of rows left in the source of those that existed at the last wake-up. */
  #dueRows = (): number => 0;
  /** `true` if the last flush has timed out. */
  #isOver = false;
  #isSending = false;

  constructor(source: Source, settings: Settings, reporter: Reporter, options: DeliveryOptions = {}) {
    this.#source = source;
    this.#settings = settings;
    this.#reporter = reporter;
    this.#options = options;
    this.#destination = destinationOf(settings);
    this.#maxRequests = settings.isServer ? MAX_SERVER_REQUESTS : MAX_REQUESTS;
  }

  /** `true` while an upload is being sent or a flush waits. */
  get isRunning(): boolean {
    return this.#lanes.size > 0 || this.#flushes.length > 0;
  }

  /** `true` if no row waits to be sent. */
  get isEmpty(): boolean {
    return this.#queue.length + this.#failed.length === 0 && this.#source.mark()() === 0;
  }

  /** Remaining pause of the destination, in ms. */
  get pauseMs(): number {
    return this.#destination.pauseMs;
  }

  /** Ends the destination's pause, to try one upload. */
  probe(): void {
    this.#destination.probe();
  }

  /** Takes uploads over from a source that is full. */
  collect(): void {
    this.#takeAll();
    this.#dropExcess();
  }

  /** Sends all waiting rows. */
  wake(): void {
    this.#wake(this.#source.mark());
  }

  #wake(dueRows: () => number): void {
    this.#dueRows = dueRows;
    if (this.#failed.length > 0) {
      this.#queue.push(...this.#failed.splice(0));
      this.#queue.sort((one, other) => one.number - other.number);
    }
    this.#breakOff("discarded", ({ upload }) => upload.envelope?.outcome() !== undefined);
    this.#send();
  }

  /**
   * Sends all waiting rows, and resolves when each is settled or kept. Never rejects. Its requests are made before it
   * returns.
   */
  flush(mode: FlushMode): Promise<FlushReport> {
    if (this.#options.isShared) return this.#flushApart(mode);
    const account = this.#unclaimed;
    this.#unclaimed = new Account();
    addCounts(account.report.dropped, this.#source.takeDropped());
    const left = this.#source.mark();
    const rows = left();
    // Usually a flush of unsampled traces.
    if (rows + this.#queue.length + this.#failed.length === 0 && !this.isRunning) {
      return Promise.resolve(account.close(this.#reporter, this.#settings));
    }
    return new Promise((resolve) => {
      const lastUpload = rows === 0 ? this.#taken : undefined;
      const stopTimer = environment.after(mode.timeoutMs, () => this.#expire(flush));
      const untilMs = now() + mode.timeoutMs;
      const flush: Flush = { account, mode, untilMs, left, lastUpload, resolve, stopTimer };
      this.#flushes.push(flush);
      if (mode.isLast) this.#takeAll();
      this.#wake(left);
    });
  }

  async #flushApart(mode: FlushMode): Promise<FlushReport> {
    const source = sourceOf(this.#takeRest(), () => this.#source.takeDropped());
    const own = new Delivery(source, this.#settings, this.#reporter, { keeps: true });
    own.#unclaimed = this.#unclaimed;
    this.#unclaimed = new Account();
    const report = await own.flush({ ...mode, isLast: true });
    this.#failed.push(...own.#takeRest());
    this.#dropExcess();
    return report;
  }

  #takeRest(): Upload[] {
    this.#takeAll();
    return [...this.#failed.splice(0), ...this.#queue.splice(0)];
  }

  #takeAll(): void {
    for (let upload = this.#take(false); upload; upload = this.#take(false)) this.#queue.push(upload);
  }

  #take(isEarly: boolean): Upload | undefined {
    const upload = this.#source.take(isEarly);
    if (upload) upload.number = ++this.#taken;
    for (const flush of this.#flushes) if (flush.left() === 0) flush.lastUpload ??= this.#taken;
    return upload;
  }

  /** Drops the least valuable uploads while the waiting ones exceed their limit. */
  #dropExcess(): void {
    const waiting = [...this.#failed, ...this.#queue].sort(byWorth);
    let bytes = waiting.reduce((sum, { body }) => sum + body.byteLength, 0);
    while (bytes > this.#settings.limits.bufferBytes && waiting.length > 1) {
      const upload = waiting.pop() as Upload;
      bytes -= upload.body.byteLength;
      remove(this.#failed, upload);
      remove(this.#queue, upload);
      this.#settled(upload, { lost: "queue_full" });
    }
  }

  /** `true` at the end of an invocation. */
  get #isEnding(): boolean {
    return this.#options.isInvocation === true && this.#flushes.some(({ mode }) => mode.isLast);
  }

  /** The number of requests that may still be made. */
  get #requestsLeft(): number {
    const reserved = this.#options.isInvocation && !this.#isEnding ? RESERVED_REQUESTS : 0;
    return this.#isOver || this.pauseMs > 0 ? 0 : this.#maxRequests - reserved - this.#requests;
  }

  /** Fills the lanes. Called after every change; also resolves the flushes that have nothing left to wait for. */
  #send(): void {
    if (this.#isSending) return; // a lane that is freed meanwhile is filled by the loop
    this.#isSending = true;
    // After a pause, the destination must accept one upload before others follow.
    while (this.#lanes.size < (this.#destination.isOnTrial ? 1 : MAX_CONNECTIONS) && this.#requestsLeft > 0) {
      const upload = this.#next();
      if (!upload) break;
      const lane = new Lane(upload);
      this.#lanes.add(lane);
      this.#attempt(lane);
    }
    this.#isSending = false;
    this.#settle();
  }

  #next(): Upload | undefined {
    // Uploads of scores are sent one at a time, so that a retried upload does not overtake a later one.
    const mayGo = ({ isOfScores }: Upload): boolean =>
      !(isOfScores && this.#underWay().some((other) => other.isOfScores));
    // After a pause, an upload that was never sent goes first, since the backend may always fail on the others. Scores keep
    // their order.
    const { isOnTrial } = this.#destination;
    const first = this.#pick((upload) => mayGo(upload) && !(isOnTrial && (upload.wasSent || upload.isOfScores)));
    if (first) return first;
    // Rows added since the last wake-up wait for the next one, to fill a request with others of their kind.
    const isDue = this.#dueRows() > 0 || this.#flushes.some(({ lastUpload }) => lastUpload === undefined);
    for (let upload = this.#take(!isDue); upload; upload = this.#take(!isDue)) {
      if (mayGo(upload)) return upload;
      this.#queue.push(upload);
    }
    return this.#pick(mayGo);
  }

  /**
   * Takes the oldest matching upload out of the queue. At the end of an invocation, or when requests are scarce, it takes
   * the most valuable one.
   */
  #pick(which: (upload: Upload) => boolean): Upload | undefined {
    if (this.#queue.length === 0) return undefined;
    const found = this.#queue.filter(which);
    if (this.#isEnding || this.#requestsLeft < this.#queue.length) found.sort(byWorth);
    const [upload] = found;
    if (upload) remove(this.#queue, upload);
    return upload;
  }

  /** Sends the upload once. */
  #attempt(lane: Lane): void {
    this.#step(lane, () => {
      const { upload } = lane;
      const outcome = upload.envelope?.outcome();
      if (outcome) return outcome;
      if (this.#requestsLeft <= 0) return "kept";
      if (this.#destination.compresses && !upload.compressed && isWorthCompressing(upload.body)) {
        void gzip(upload.body).then((compressed) => {
          upload.compressed = compressed;
          this.#attempt(lane);
        });
      } else this.#post(lane);
      return undefined;
    });
  }

  #post(lane: Lane): void {
    const { upload } = lane;
    const body = (this.#destination.compresses && upload.compressed) || upload.body;
    const { report } = this.#accountOf(upload);
    report.requests += 1;
    report.bytes += body.byteLength;
    this.#requests += 1;
    if (upload.wasSent) upload.isRetry = true;
    upload.wasSent = true;
    lane.attempts += 1;
    let controller: AbortController | undefined;
    let brokenOffBy: Error | undefined;
    const signal = (): AbortSignal => {
      controller ??= new AbortController();
      if (brokenOffBy) controller.abort(brokenOffBy);
      return controller.signal;
    };
    const done = (answer: Answer): void => {
      if (lane.breakOff !== breakOff) return; // it was aborted
      lane.breakOff = none;
      lane.attemptUntilMs = 0;
      lane.stopTimer();
      this.#step(lane, () => this.#outcomeOf(lane, answer));
    };
    // Settles the attempt even if the transport ignores the signal.
    const breakOff = (cause: Error): void => {
      brokenOffBy = cause;
      done(noAnswer(cause));
      controller?.abort(cause);
    };
    lane.breakOff = breakOff;
    lane.attemptUntilMs = now() + ATTEMPT_MS;
    this.#bound(lane);
    post(this.#settings, upload, body, signal, done);
  }

  /** Limits the current attempt, which may take longer only while a flush waits. */
  #bound(lane: Lane): void {
    if (this.#flushes.length > 0 || lane.attemptUntilMs === 0) return;
    lane.stopTimer();
    const onTimer = (): void => {
      if (this.#flushes.length === 0) lane.breakOff(new Error("no response in time"));
    };
    lane.stopTimer = environment.after(Math.max(0, lane.attemptUntilMs - now()), onTimer, true);
  }

  /**
   * Takes one step, which returns `undefined` if the lane continues later. If the step throws, the upload is kept: the core
   * has died or timers are missing, and the fate of the rows is unknown.
   */
  #step(lane: Lane, step: () => Outcome | "split" | "again" | undefined): void {
    let outcome: ReturnType<typeof step>;
    try {
      outcome = step();
    } catch (cause) {
      const reason = cause instanceof OpikError ? (cause.code as DropReason) : "wasm_trap";
      outcome = this.#keep(lane.upload, reason, { cause });
    }
    if (outcome === "again") this.#attempt(lane);
    else if (outcome) this.#done(lane, outcome);
  }

  #done(lane: Lane, outcome: Outcome | "split"): void {
    const { upload } = lane;
    this.#lanes.delete(lane);
    if (outcome !== "split") this.#settled(upload, outcome);
    this.#send();
  }

  /** The outcome of an attempt; `again` to resend at once, `undefined` to resend after a wait. */
  #outcomeOf(lane: Lane, answer: Answer): Outcome | "split" | "again" | undefined {
    const { upload, attempts, untilMs } = lane;
    const { envelope } = upload;
    if (answer.status === 0) {
      const since = envelope?.outcome();
      if (since) return since;
      // An aborted request says nothing about the destination.
      if (this.#isOver) return this.#keep(upload, upload.failure ?? "deadline", answer);
    }
    const { what, reason, waitMs } = getCore().verdict(answer.isForeign ? { ...answer, status: 404 } : answer, {
      number: attempts,
      rows: upload.rows,
      nowMs: now(),
      // Deadline for another attempt.
      deadlineMs: this.#isOver ? now() : this.#latestMs || untilMs,
      // Only the wait of a retry is randomised. Successful answers skip this, because random bytes take longer than the
      // rest of the step.
      random: answer.status >= 200 && answer.status < 300 ? 0 : randomBits(),
    });
    if (what === "sent") {
      this.#destination.succeeded();
      return "sent";
    }
    if (what === "plain") {
      this.#destination.compresses = false;
      return "again";
    }
    if (what === "retry" && this.#mayRetry(upload, attempts)) {
      this.#tellOfRetry(reason, answer);
      return this.#pause(lane, waitMs);
    }
    if (what === "retry" || what === "defer") {
      // A server error on the rows of strangers may be caused by these rows, so it does not count against the destination.
      if (!upload.splitAt || answer.status < 500) this.#destination.failed(false);
      return this.#keep(upload, reason, answer);
    }
    if (what === "split" || what === "drop") {
      const parts = this.#partsOf(upload, answer) ?? (what === "split" ? upload.split() : undefined);
      if (parts) this.#queue.unshift(...parts);
      return parts ? "split" : this.#lose(upload, reason, answer);
    }
    // Some backends and proxies lack scores or PATCH; that says nothing about other uploads.
    if (upload.method !== "POST" && reason === "not_found") return this.#lose(upload, reason, answer);
    const failure = { ...answer, once: true };
    // A page's token belongs to some of its rows, so its refusal says nothing about the others.
    if (answer.status === 401 && envelope?.refused()) {
      this.#accountOf(upload).failed(reason, failure);
      return "again";
    }
    this.#destination.failed(true);
    return this.#keep(upload, reason, failure);
  }

  /**
   * The remaining uploads after a refusal because of old or future ids; `undefined` if the upload was refused for another
   * reason.
   */
  #partsOf(upload: Upload, answer: Answer): Upload[] | undefined {
    const { maxIdAgeMs, transport } = this.#settings;
    const shifted = upload.envelope?.shifted(upload, answer, numberOr(transport.clockOffsetMs, 0));
    if (shifted) return [shifted];
    const windowMs = getCore().refusedWindow(answer, maxIdAgeMs);
    if (windowMs === 0) return undefined;
    const reasons = upload.rowBytes().map((row) => {
      const ageMs = now() - (idTime(idOf(row)) ?? now());
      return ageMs > windowMs ? "too_old" : -ageMs > windowMs ? "too_far_future" : undefined;
    });
    const found = new Set(reasons);
    if (found.size === 1 && found.has(undefined)) return undefined; // by our clock, each id is valid
    return [...found].flatMap((reason) => {
      const part = upload.pick((row) => reasons[row] === reason);
      if (reason) this.#settled(part, this.#lose(part, reason, answer));
      return reason ? [] : [part];
    });
  }

  #mayRetry({ splitAt }: Upload, number: number): boolean {
    return !this.#isOver && !this.#destination.isOnTrial && (!splitAt || number === 1);
  }

  /**
   * Reports the first failure at once, and only once, since a Worker may retry for half a minute. Lost rows are reported at
   * the end.
   */
  #tellOfRetry(reason: DropReason, answer: Answer): void {
    const text = `rows wait to be sent again: ${failureText(reason, answer, this.#settings)}`;
    this.#reporter.once("delivery_failed", text, answer.cause, reason);
  }

  /** Waits before the next attempt. */
  #pause(lane: Lane, waitMs: number): undefined {
    const goOn = (): void => {
      lane.breakOff = none;
      stopTimer();
      this.#attempt(lane);
    };
    // Only a flush that somebody waits for keeps the process alive.
    const stopTimer = environment.after(waitMs, goOn, this.#flushes.length === 0);
    lane.breakOff = goOn;
  }

  /** Aborts matching requests and waits. The caller then calls `#send`, which continues with the results. */
  #breakOff(why: string, which: (lane: Lane) => boolean): void {
    const wasSending = this.#isSending;
    this.#isSending = true;
    for (const lane of [...this.#lanes]) if (which(lane)) lane.breakOff(new Error(why));
    this.#isSending = wasSending;
  }

  /** The latest deadline of the running flushes; 0 without a flush. */
  get #latestMs(): number {
    let latestMs = 0;
    for (const { untilMs } of this.#flushes) latestMs = Math.max(latestMs, untilMs);
    return latestMs;
  }

  /** Ends a flush that has timed out. */
  #expire(flush: Flush): void {
    if (flush.mode.isLast) {
      this.#isOver = true;
      this.#breakOff("no response in time", () => true);
    } else {
      flush.account.failed("deadline", {});
      this.#resolve(flush);
    }
    this.#send();
  }

  #underWay(): Upload[] {
    const uploads: Upload[] = [];
    for (const { upload } of this.#lanes) uploads.push(upload);
    return uploads;
  }

  /** Resolves each flush whose uploads are neither in a request nor going to be sent. */
  #settle(): void {
    const maySend = this.#requestsLeft > 0;
    for (const flush of [...this.#flushes]) {
      const isWaiting = maySend && (flush.lastUpload === undefined || covers(flush, this.#queue));
      if (!isWaiting && !covers(flush, this.#underWay())) this.#resolve(flush);
    }
    if (this.isRunning) return;
    if (!this.#options.isInvocation) this.#requests = 0;
    this.#unclaimed.close(this.#reporter, this.#settings);
    this.#options.onIdle?.();
  }

  #resolve(flush: Flush): void {
    const { account, mode } = flush;
    if (mode.isLast && !this.#options.keeps) this.#dropRest();
    flush.stopTimer();
    remove(this.#flushes, flush);
    let kept = flush.left();
    for (const uploads of [this.#queue, this.#failed, this.#underWay()]) {
      for (const upload of uploads) if (isCovered(upload, flush) && !upload.isCheckpoint) kept += upload.rows;
    }
    account.report.kept = kept;
    for (const lane of this.#lanes) this.#bound(lane);
    // Another flush may follow the last flush of a process.
    if (mode.isLast) this.#isOver = false;
    flush.resolve(account.close(this.#reporter, this.#settings));
  }

  #dropRest(): void {
    const reason = this.pauseMs > 0 ? "circuit_open" : this.#isOver ? "deadline" : "too_many_requests";
    for (const upload of this.#takeRest())
      this.#settled(upload, this.#lose(upload, upload.failure ?? reason, { once: reason === "circuit_open" }));
  }

  #lose(upload: Upload, reason: DropReason, failure: Failure): Outcome {
    this.#accountOf(upload).failed(reason, failure);
    return { lost: reason };
  }

  /** Keeps the upload for the next wake-up. */
  #keep(upload: Upload, reason: DropReason, failure: Failure): Outcome {
    this.#accountOf(upload).failed(reason, failure);
    upload.failure = reason;
    return "kept";
  }

  #settled(upload: Upload, outcome: Outcome): void {
    const { rows, isCheckpoint } = upload;
    const { report } = this.#accountOf(upload);
    if (outcome === "aside") return;
    if (outcome !== "kept") upload.onSettled?.(upload, outcome === "sent");
    // A row that was written early will be written again, so its loss is not counted and it is not kept.
    if (isCheckpoint) report.checkpoints += outcome === "sent" ? rows : 0;
    else if (outcome === "kept") {
      this.#failed.push(upload);
      this.#dropExcess();
    } else {
      if (upload.isRetry) report.retried += rows;
      if (outcome === "sent") report.sent += rows;
      else addCounts(report.dropped, { [outcome.lost]: rows });
    }
  }

  /** The account that reports the upload: the first waiting flush has it. */
  #accountOf(upload: Upload): Account {
    return this.#flushes.find((flush) => isCovered(upload, flush))?.account ?? this.#unclaimed;
  }
}

/** `true` if `flush` waits for the upload. */
function isCovered({ number }: Upload, { lastUpload }: Flush): boolean {
  return lastUpload === undefined || number <= lastUpload;
}

/** `true` if `flush` waits for any of the uploads. */
function covers(flush: Flush, uploads: readonly Upload[]): boolean {
  for (const upload of uploads) if (isCovered(upload, flush)) return true;
  return false;
}

/** Orders by value: traces first, then the latest spans, since a root ends after its children. */
function byWorth(one: Upload, other: Upload): number {
  const isTrace = ({ kind }: Upload): number => Number(kind === "traces");
  return isTrace(other) - isTrace(one) || other.number - one.number;
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
