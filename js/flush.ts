// Sends a buffer's rows to Opik with fetch and accounts for each of them. What a request looks like
// and what a response means is decided in src/upload.rs.

import type { RowBuffer } from "./buffer.js";
import type { Settings } from "./config.js";
import { getCore, type Upload } from "./core.js";
import { OpikError, type Reporter } from "./errors.js";

/** How long one upload may take before it counts as a network error. */
const ATTEMPT_TIMEOUT_MS = 10_000;
/** Uploads under way at once; Workers allow few connections. */
const MAX_CONNECTIONS = 2;

/** What became of the rows. `sent` and `dropped` together are all rows that had ended. */
export interface FlushReport {
  /** Rows that Opik accepted. */
  sent: number;
  /** Rows that are lost, by reason (`network_error`, `unauthorized`, `buffer_full`, …). */
  dropped: Record<string, number>;
  /** Requests made. */
  requests: number;
  /** Body bytes of these requests. */
  bytes: number;
  /** What went wrong, one error per failed request. */
  errors: OpikError[];
}

/** Sends what is in `buffer`. Never rejects. */
export async function flushBuffer(buffer: RowBuffer, settings: Settings, reporter: Reporter): Promise<FlushReport> {
  const uploads = buffer.takeAll().values();
  const report: FlushReport = { sent: 0, dropped: buffer.takeDropped(), requests: 0, bytes: 0, errors: [] };
  const lane = async (): Promise<void> => {
    for (const upload of uploads) await send(upload, settings, reporter, report);
  };
  await Promise.all(Array.from({ length: MAX_CONNECTIONS }, lane));
  return report;
}

async function send(upload: Upload, settings: Settings, reporter: Reporter, report: FlushReport): Promise<void> {
  const { path, rows, body } = upload;
  report.requests += 1;
  report.bytes += body.byteLength;
  let reason = "wasm_trap"; // unless the core says otherwise
  let cause: unknown;
  try {
    const status = await post(path, settings, body).catch((error) => {
      cause = error;
      return 0; // how the core knows a request without a response
    });
    reason = getCore().verdict(status);
  } catch (error) {
    cause = error;
  }
  if (reason === "") {
    report.sent += rows;
    return;
  }
  report.dropped[reason] = (report.dropped[reason] ?? 0) + rows;
  const error = new OpikError("delivery_failed", `${rows} rows were not delivered to ${path}: ${reason}`, cause);
  report.errors.push(error);
  reporter.report(error);
}

/** The status of the response. */
async function post(path: string, settings: Settings, body: Uint8Array<ArrayBuffer>): Promise<number> {
  const response = await fetch(settings.url.href.replace(/\/$/, "") + path, {
    method: "POST",
    headers: getCore().requestHeaders(settings.apiKey, settings.workspace),
    body,
    // A redirect is never followed: some runtimes carry Authorization to another origin.
    redirect: "manual",
    signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
  });
  // An unread body holds its connection.
  await response.body?.cancel();
  return response.type === "opaqueredirect" ? 302 : response.status;
}
