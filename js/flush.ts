// One flush: takes uploads out of their queue, over two connections, tries again within a deadline, and accounts for
// every row. What a response means is decided in src/upload.rs.

import type { Settings } from "./config.js";
import { type Answer, getCore } from "./core.js";
import { type Destination, destinationOf } from "./destination.js";
import { environment, now, randomBits, within } from "./env.js";
import { OpikError, type Reporter } from "./errors.js";
import { gzip, isWorthCompressing } from "./transport.js";
import type { Outcome, Upload } from "./upload.js";

/** How long one attempt may take. */
const ATTEMPT_TIMEOUT_MS = 10_000;
/** Uploads under way at once; Workers allow few connections. */
const MAX_CONNECTIONS = 2;
/** Requests of one flush: a free Worker has 50 subrequests, and some are the host's. */
const MAX_REQUESTS = 40;
/** The same where nobody counts: enough to find ten bad rows in a thousand, ten times over. */
const MAX_SERVER_REQUESTS = 2000;
/** Characters of a refusal that are repeated in the error, */
const MAX_MESSAGE_CHARS = 300;
/** and how long they are waited for. */
const MESSAGE_TIMEOUT_MS = 1000;

/** Rows, by the reason why they are lost. */
export type Dropped = Record<string, number>;

/** Adds `more` to `counts`. */
export function addCounts(counts: Dropped, more: Dropped): void {
  for (const [reason, rows] of Object.entries(more)) counts[reason] = (counts[reason] ?? 0) + rows;
}

/** What became of the rows. `sent` and `dropped` together are all rows that had ended and were not kept for later. */
export interface FlushReport {
  /** Rows that Opik accepted. */
  sent: number;
  /** Rows that were in more than one request, whatever became of them. */
  retried: number;
  /** Rows of spans that are still open, written so that a killed isolate shows them. Not among `sent`. */
  checkpoints: number;
  /** Rows that are lost, by reason (`network_error`, `unauthorized`, `buffer_full`, …). */
  dropped: Dropped;
  /** Requests made. */
  requests: number;
  /** Body bytes of these requests, as they were sent. */
  bytes: number;
  /** What went wrong, one error for each reason. */
  errors: OpikError[];
}

/** The report of a flush that has done nothing yet. */
export function emptyReport(): FlushReport {
  return { sent: 0, retried: 0, checkpoints: 0, dropped: {}, requests: 0, bytes: 0, errors: [] };
}

/** How rows are flushed. */
export interface FlushMode {
  /** How long it may take, in ms. */
  readonly timeoutMs: number;
  /** Whether what can not be delivered now stays for the next flush. Otherwise it is lost, and counted. */
  readonly keep?: boolean;
  /** Whether one upload is tried even while the destination is left alone. */
  readonly probe?: boolean;
}

/** Where a flush takes its uploads from. */
export interface UploadQueue {
  /** Takes out the next one; with `isTrial` one that was not sent before, where that is possible. */
  next(isTrial: boolean): Upload | undefined;
  /** Puts some back to the front. */
  putBack(uploads: readonly Upload[]): void;
}

/** One flush. */
export class Flush {
  readonly #queue: UploadQueue;
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  readonly #destination: Destination;
  readonly #deadlineMs: number;
  readonly #keep: boolean;
  readonly #probe: boolean;
  readonly #maxRequests: number;
  readonly #report = emptyReport();
  readonly #kept: Upload[] = [];
  /** The flush that has to end before this one begins. */
  #before: Flush | undefined;
  /** Resolved when it has ended. */
  readonly #ended: Promise<void>;
  #end = (): void => {};
  /** Connections in use. */
  #lanes = 0;
  #lanesDone = (): void => {};
  /** Whether one of them is used for scores. */
  #sendsScores = false;
  #hasEnded = false;
  #isHandedOver = false;
  /** Ends the waits before further attempts. */
  readonly #wakeUps = new Set<() => void>();
  /** Breaks off the requests under way. */
  readonly #aborts = new Set<() => void>();
  #isBrokenOff = false;
  /** What went wrong: the first of each reason. */
  readonly #failures: Record<string, { readonly detail: string; readonly cause: unknown; readonly once: boolean }> = {};
  /** Why nothing more is sent in this flush. */
  #stopped: string | undefined;

  constructor(
    queue: UploadQueue,
    settings: Settings,
    reporter: Reporter,
    deadlineMs: number,
    { keep = false, probe = false }: FlushMode,
    before: Flush | undefined,
  ) {
    this.#queue = queue;
    this.#settings = settings;
    this.#reporter = reporter;
    this.#destination = destinationOf(settings);
    this.#maxRequests = settings.isServer ? MAX_SERVER_REQUESTS : MAX_REQUESTS;
    this.#deadlineMs = deadlineMs;
    this.#keep = keep;
    this.#probe = probe;
    this.#before = before;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Sends what is in the queue; `takeDropped` gives what was lost before. Never rejects. */
  async run(takeDropped: () => Dropped): Promise<FlushReport> {
    const before = this.#before;
    if (before) {
      await within(this.#deadlineMs - now(), before.#ended);
      this.#before = undefined;
      // Then it goes on, and accounts for all that is in the queue.
      if (!before.#hasEnded) return this.#finish();
    }
    addCounts(this.#report.dropped, takeDropped());
    if (this.#probe) this.#destination.probe();
    await new Promise<void>((resolve) => {
      this.#lanesDone = resolve;
      this.more();
      this.#checkLanes();
    });
    this.#queue.putBack(this.#kept);
    this.#tell();
    return this.#finish();
  }

  #finish(): FlushReport {
    this.#hasEnded = true;
    this.#end();
    return this.#report;
  }

  /** There may be more in the queue: a connection that has nothing to do takes it. */
  more(): void {
    if (this.#before || this.#hasEnded || this.#isHandedOver) return;
    // What was left alone has to prove itself with one upload before the next follows.
    const most = this.#destination.isOnTrial ? 1 : MAX_CONNECTIONS;
    while (this.#lanes < most) {
      const upload = this.#queue.next(this.#destination.isOnTrial);
      if (!upload) return;
      if (upload.isOfScores && this.#sendsScores) {
        // One after another: an earlier score that is tried again must not arrive after a later one.
        this.#queue.putBack([upload]);
        return;
      }
      if (upload.isOfScores) this.#sendsScores = true;
      this.#lanes += 1;
      void this.#deliver(upload).then(() => {
        this.#lanes -= 1;
        if (upload.isOfScores) this.#sendsScores = false;
        this.more();
        this.#checkLanes();
      });
    }
  }

  #checkLanes(): void {
    if (this.#lanes > 0) return;
    this.#hasEnded = true; // from here on it takes nothing more
    this.#lanesDone();
  }

  /**
   * Leaves what is not sent yet to the next flush; does nothing where this one is the last. Requests under way have
   * `graceMs`.
   */
  handOver(graceMs: number): void {
    this.#before?.handOver(graceMs);
    if (!this.#keep || this.#hasEnded) return;
    this.#isHandedOver = true;
    for (const wakeUp of this.#wakeUps) wakeUp();
    const stop = environment.after(graceMs, () => {
      this.#isBrokenOff = true;
      for (const abort of this.#aborts) abort();
    });
    void this.#ended.then(stop);
  }

  async #deliver(upload: Upload): Promise<void> {
    let outcome: Outcome | "split" | undefined;
    let number = 1;
    try {
      do outcome = await this.#attempt(upload, number++);
      while (outcome === undefined);
    } catch (cause) {
      // The core died while it was asked: what became of the rows is not known.
      outcome = this.#defer(cause instanceof OpikError ? cause.code : "wasm_trap", { cause });
    }
    if (outcome !== "split") this.#account(upload, outcome);
  }

  /** Sends it once. `undefined` when it is to be sent again. */
  async #attempt(upload: Upload, number: number): Promise<Outcome | "split" | undefined> {
    const { envelope } = upload;
    const outcome = envelope?.outcome();
    if (outcome) return outcome;
    if (this.#isHandedOver) return "kept";
    if (this.#stopped) return this.#defer(this.#stopped);
    if (this.#destination.pauseMs > 0) return this.#defer("circuit_open", { once: true });
    if (this.#report.requests >= this.#maxRequests) return this.#defer("too_many_requests");
    if (now() >= this.#deadlineMs) return this.#defer("deadline");
    if (this.#destination.compresses && !upload.compressed && isWorthCompressing(upload.body)) {
      upload.compressed = await gzip(upload.body);
      if (this.#isBrokenOff) return "kept";
    }
    if (upload.wasSent) upload.isRetry = true;
    upload.wasSent = true;
    const answer = await this.#post(upload);
    if (!answer) return "kept";
    const verdict = getCore().verdict(answer, {
      number,
      rows: upload.rows,
      nowMs: now(),
      deadlineMs: this.#deadlineMs,
      // Only a wait is spread, and random bytes take longer than all the rest.
      random: answer.status >= 200 && answer.status < 300 ? 0 : randomBits(),
    });
    const { reason } = verdict;
    switch (verdict.what) {
      case "sent":
        this.#destination.succeeded();
        return "sent";
      case "retry":
        if (!this.#destination.isOnTrial && (!upload.splitAt || number === 1)) return this.#retry(verdict.waitMs);
        return this.#fail(upload, reason, answer);
      case "plain":
        this.#destination.compresses = false;
        return undefined;
      case "split": {
        const halves = upload.split();
        if (halves) this.#queue.putBack(halves);
        return halves ? "split" : this.#lose(reason, answer);
      }
      case "drop":
        return this.#lose(reason, answer);
      case "defer":
        return this.#fail(upload, reason, answer);
      case "stop":
        // A backend, or what stands before it, may know no scores; that says nothing of the rest.
        if (upload.isOfScores && reason === "not_found") return this.#lose(reason, answer);
        // A page's token is that of some of its rows, and says nothing of the rest.
        if (answer.status === 401 && envelope?.refused()) {
          this.#lose(reason, { ...answer, once: true });
          return undefined;
        }
        this.#destination.failed(true);
        this.#stopped = reason;
        return this.#defer(reason, { ...answer, once: true });
    }
  }

  /** The backend has failed: on all that is sent to it, or on the rows of a stranger. */
  #fail(upload: Upload, reason: string, answer: Answer): Outcome {
    if (!upload.splitAt || answer.status < 500) this.#destination.failed(false);
    return this.#defer(reason, answer);
  }

  /** Waits before the next attempt, unless another flush takes over. */
  async #retry(waitMs: number): Promise<"kept" | undefined> {
    if (this.#isHandedOver) return "kept";
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stop();
        this.#wakeUps.delete(done);
        resolve();
      };
      // Only a flush that is waited for keeps the process alive.
      const stop = environment.after(waitMs, done, this.#keep);
      this.#wakeUps.add(done);
    });
    return this.#isHandedOver ? "kept" : undefined;
  }

  #lose(reason: string, failure: Partial<Answer> & { once?: boolean } = {}): Outcome {
    const { status = 0, message = "", cause, once = false } = failure;
    const detail = (status ? ` (HTTP ${status})` : "") + (message && `: ${message}`);
    this.#failures[reason] ??= { detail, cause, once };
    return { lost: reason };
  }

  #defer(reason: string, failure: Partial<Answer> & { once?: boolean } = {}): Outcome {
    const lost = this.#lose(reason, failure);
    return this.#keep ? "kept" : lost;
  }

  #account(upload: Upload, outcome: Outcome): void {
    const { rows } = upload;
    upload.onSettled?.(upload, outcome);
    if (upload.isCheckpoint) {
      // Its span is written again: nothing is lost with it, and nothing gained by keeping it.
      if (outcome === "sent") this.#report.checkpoints += rows;
      return;
    }
    if (outcome === "kept") this.#kept.push(upload);
    if (outcome === "kept" || outcome === "aside") return;
    if (upload.isRetry) this.#report.retried += rows;
    if (outcome === "sent") this.#report.sent += rows;
    else addCounts(this.#report.dropped, { [outcome.lost]: rows });
  }

  /** Tells the host of what went wrong and of what is lost, each cause once. */
  #tell(): void {
    const { dropped, errors } = this.#report;
    for (const [reason, { detail, cause, once }] of Object.entries(this.#failures)) {
      const rows = dropped[reason] ?? 0;
      const what = rows > 0 ? `${rows} rows are lost` : "rows are kept for the next flush";
      const error = new OpikError("delivery_failed", `${what}: ${reason}${detail}`, cause);
      errors.push(error);
      if (once || rows === 0) this.#reporter.tellOnce(error, reason);
      else this.#reporter.report(error);
    }
    for (const [reason, rows] of Object.entries(dropped)) this.#reporter.dropped({ reason, rows });
  }

  /** `undefined` when it was broken off for the next flush. */
  #post(upload: Upload): Promise<Answer | undefined> {
    const { transport, baseUrl, requestHeaders, withoutKey } = this.#settings;
    const body = (this.#destination.compresses && upload.compressed) || upload.body;
    const isCompressed = body !== upload.body;
    this.#report.requests += 1;
    this.#report.bytes += body.byteLength;
    return new Promise((resolve) => {
      const controller = new AbortController();
      const done = (answer: Answer | undefined): void => {
        stop();
        this.#aborts.delete(abort);
        resolve(answer);
      };
      const failed = (cause: unknown): void => done({ status: 0, headers: [], message: "", cause, isCompressed });
      const abort = (): void => {
        done(undefined);
        controller.abort();
      };
      this.#aborts.add(abort);
      const ms = Math.max(0, Math.min(ATTEMPT_TIMEOUT_MS, this.#deadlineMs - now()));
      const stop = environment.after(ms, () => {
        const error = new Error(`no response within ${ms} ms`);
        failed(error); // also where a transport takes no notice of the signal
        controller.abort(error);
      });
      try {
        transport
          .fetch(baseUrl + upload.path, {
            method: upload.method,
            headers: requestHeaders(isCompressed),
            body,
            redirect: "manual",
            signal: controller.signal,
            envelope: upload.envelope,
          })
          .then((response) => readAnswer(response, isCompressed, withoutKey))
          .then(done, failed);
      } catch (cause) {
        failed(cause);
      }
    });
  }
}

/** What a response says; its body is left behind, or it would hold its connection. */
function readAnswer(
  response: Response,
  isCompressed: boolean,
  withoutKey: Settings["withoutKey"],
): Answer | Promise<Answer> {
  const status = response.type === "opaqueredirect" ? 302 : response.status;
  const answer = (message: string): Answer => {
    const { body, headers } = response;
    if (body && !body.locked) body.cancel().catch(() => {});
    const shown = withoutKey(message).slice(0, MAX_MESSAGE_CHARS).trim();
    return { status, headers: status < 400 ? [] : [...headers], message: shown, cause: undefined, isCompressed };
  };
  // Why a request was refused stands in its body; what is tried again needs no explanation.
  const isRefused = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return isRefused ? firstChunk(response).then(answer) : answer("");
}

async function firstChunk(response: Response): Promise<string> {
  // A transport may have read it itself.
  const reader = response.body?.locked ? undefined : response.body?.getReader();
  let text = "";
  const read = async (): Promise<void> => {
    text = new TextDecoder().decode((await reader?.read())?.value);
  };
  await within(MESSAGE_TIMEOUT_MS, read());
  reader?.cancel().catch(() => {});
  reader?.releaseLock();
  return text;
}
