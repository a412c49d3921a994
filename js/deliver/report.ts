// What a flush came to: counts of rows and requests, and what the host is told of. Filled by delivery.ts.

import { causeOf, type DropReason, GUIDE, OpikError, type Reporter } from "../errors.js";
import type { Answer } from "../platform/model.js";
import type { Settings } from "../settings.js";

/** Rows, by the reason why they are lost. */
export type Dropped = { [reason in DropReason]?: number };

/** Adds `more` to `counts`. */
export function addCounts(counts: Dropped, more: Dropped): void {
  for (const reason of Object.keys(more) as DropReason[]) counts[reason] = (counts[reason] ?? 0) + (more[reason] ?? 0);
}

/** Reasons and rows. */
function entriesOf(counts: Dropped): [DropReason, number][] {
  return Object.entries(counts) as [DropReason, number][];
}

/**
 * What became of the rows that had ended when `flush` was called. Each of them is in exactly one of `sent`, `dropped` and
 * `kept`; what was kept is in the report of a later flush.
 */
export interface FlushReport {
  /** Rows that Opik accepted. */
  sent: number;
  /** Rows that wait for a later flush, since this one's time was over or the backend failed. */
  kept: number;
  /**
   * Spans that are still open, and traces without a root span that are: they are no rows yet, so they are in none of the other counts.
   * One that never ends is never sent.
   */
  open: number;
  /** Rows that were in more than one request, whatever became of them. */
  retried: number;
  /** Rows of spans that are still open, written so that a killed isolate shows them. Not among `sent`. */
  checkpoints: number;
  /** Rows that are lost, by reason (see `DropReason`). */
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
  return { sent: 0, kept: 0, open: 0, retried: 0, checkpoints: 0, dropped: {}, requests: 0, bytes: 0, errors: [] };
}

/** What went wrong with an upload. */
export interface Failure extends Partial<Pick<Answer, "status" | "message" | "cause">> {
  /** Whether the host is told of it once, however often it happens. */
  readonly once?: boolean;
}

const URL_REMEDY = "check OPIK_URL_OVERRIDE";
const REMEDIES: { readonly [reason in DropReason]?: string } = {
  unauthorized: "check OPIK_API_KEY, OPIK_WORKSPACE",
  not_found: `${URL_REMEDY}, it ends with /api`,
  redirected: `${URL_REMEDY}, name where it leads`,
  network_error: `${URL_REMEDY} and the network`,
};

/** What ends a message of lost rows. */
export function remedyOf(reason: DropReason): string {
  return REMEDIES[reason] ?? `see ${reason} in ${GUIDE}`;
}

/** Why rows are not delivered, where to, and what to do about it. */
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

/** A report in the making. */
export class Account {
  readonly report: FlushReport = emptyReport();
  /** The first failure of each reason, until the host is told. Made with the first: most flushes have none. */
  #failures: Map<DropReason, Failure> | undefined;
  /** The rows that the host was told are lost. */
  readonly #told: Dropped = {};

  /** Notes why rows could not be delivered. */
  failed(reason: DropReason, failure: Failure): void {
    this.#failures ??= new Map();
    if (!this.#failures.has(reason)) this.#failures.set(reason, failure);
  }

  /** Tells the host of what went wrong and of what is lost, unless that was told before. */
  close(reporter: Reporter, settings: Settings): FlushReport {
    const { dropped, errors } = this.report;
    const lost = (reason: DropReason): number => (dropped[reason] ?? 0) - (this.#told[reason] ?? 0);
    for (const [reason, failure] of this.#failures ?? []) {
      const rows = lost(reason);
      const what = rows > 0 ? `${rows} rows are lost` : "rows are kept for the next flush";
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
