// The report of a flush: counts of rows and requests, and the errors for the host. delivery.ts fills it.

import { causeOf, type DropReason, GUIDE, OpikError, type Reporter } from "../errors.js";
import type { Answer } from "../platform/model.js";
import type { Settings } from "../settings.js";

/** Numbers of lost rows, by reason. */
export type Dropped = { [reason in DropReason]?: number };

/** Adds `more` to `counts`. */
export function addCounts(counts: Dropped, more: Dropped): void {
  for (const reason of Object.keys(more) as DropReason[]) counts[reason] = (counts[reason] ?? 0) + (more[reason] ?? 0);
}

function entriesOf(counts: Dropped): [DropReason, number][] {
  return Object.entries(counts) as [DropReason, number][];
}

/**
 * The results of a flush. Each row that had ended when `flush` was called is in exactly one of `sent`, `dropped` and
 * `kept`. A kept row appears again in the report of a later flush.
 */
export interface FlushReport {
  /** Rows that Opik accepted. */
  sent: number;
  /** Rows that wait for a later flush, because this one timed out or the backend failed. */
  kept: number;
  /**
   * Open spans, and open traces without a root span. They have no row yet, so the other counts do not include them. A span
   * that never ends is never sent.
   */
  open: number;
  /** Rows that were in more than one request, delivered or not. */
  retried: number;
  /** Rows of open spans, written early so that they are visible if the isolate is killed. Not included in `sent`. */
  checkpoints: number;
  /** Lost rows by reason (see `DropReason`). */
  dropped: Dropped;
  /** Requests made. */
  requests: number;
  /** Body bytes of these requests, as sent. */
  bytes: number;
  /** The errors, one for each reason. */
  errors: OpikError[];
}

/** The report of a flush that has not done anything yet. */
export function emptyReport(): FlushReport {
  return { sent: 0, kept: 0, open: 0, retried: 0, checkpoints: 0, dropped: {}, requests: 0, bytes: 0, errors: [] };
}

/** The failure of an upload. */
export interface Failure extends Partial<Pick<Answer, "status" | "message" | "cause">> {
  /** `true` if the host is informed only once, even if it happens again. */
  readonly once?: boolean;
}

const URL_REMEDY = "check OPIK_URL_OVERRIDE";
const REMEDIES: { readonly [reason in DropReason]?: string } = {
  unauthorized: "check OPIK_API_KEY, OPIK_WORKSPACE",
  not_found: `${URL_REMEDY}, it ends with /api`,
  redirected: `${URL_REMEDY}, name where it leads`,
  network_error: `${URL_REMEDY} and the network`,
};

/** The end of a message about lost rows. */
export function remedyOf(reason: DropReason): string {
  return REMEDIES[reason] ?? `see ${reason} in ${GUIDE}`;
}

/** The reason why rows are not delivered, the URL, and the remedy. */
export function failureText(
  reason: DropReason,
  { status = 0, message = "", cause }: Failure,
  { baseUrl, projectName, withoutKey }: Settings,
): string {
  const isRelays = projectName === undefined && REMEDIES[reason];
  const where = status ? ` from ${baseUrl}` : cause ? ` at ${baseUrl}` : "";
  const why = message || withoutKey(causeOf(cause));
  const what = reason + (status ? ` (HTTP ${status})` : "") + (why && `: ${why}`);
  return `${what}${where}; ${isRelays ? "check relayUrl and token" : remedyOf(reason)}`;
}

/** A report while it is being filled. */
export class Account {
  readonly report: FlushReport = emptyReport();
  /** The first failure of each reason that is not reported yet. Created on demand, since most flushes do not fail. */
  #failures: Map<DropReason, Failure> | undefined;
  /** Lost rows that have been reported to the host. */
  readonly #told: Dropped = {};

  /** Notes a reason why rows could not be delivered. */
  failed(reason: DropReason, failure: Failure): void {
    this.#failures ??= new Map();
    if (!this.#failures.has(reason)) this.#failures.set(reason, failure);
  }

  /** Reports new failures and new losses to the host. */
  close(reporter: Reporter, settings: Settings): FlushReport {
    const { dropped, errors } = this.report;
    const lost = (reason: DropReason): number => (dropped[reason] ?? 0) - (this.#told[reason] ?? 0);
    for (const [reason, failure] of this.#failures ?? []) {
      const rows = lost(reason);
      const what = rows > 0 ? `${rows} ${rows > 1 ? "rows are" : "row is"} lost` : "rows are kept for the next flush";
      const error = new OpikError(
        "delivery_failed",
        `${what}: ${failureText(reason, failure, settings)}`,
        failure.cause,
      );
      errors.push(error);
      if (failure.once || rows === 0) reporter.tellOnce(error, reason);
      else reporter.report(error);
    }
    this.#failures = undefined;
    for (const [reason] of entriesOf(dropped)) {
      const rows = lost(reason);
      if (rows > 0) reporter.dropped({ reason, rows });
    }
    Object.assign(this.#told, dropped);
    return this.report;
  }
}
