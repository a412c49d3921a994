// A transport to collectors of OpenTelemetry, over OTLP/HTTP with JSON. src/llm/otlp.rs writes the requests.

import { foreignType } from "../deliver/request.js";
import { kindOf } from "../deliver/upload.js";
import { type OnError, Reporter } from "../errors.js";
import { getReader } from "../llm/reader.js";
import { type Names, tellUnknown } from "../names.js";
import { within } from "../platform/env.js";
import { platformFetch } from "../platform/host-fetch.js";
import type { Transport, TransportRequest } from "../settings.js";

/** Options of `otlp`. */
export interface OtlpOptions {
  /** Where the collector takes traces, with its path: `https://collector.example/v1/traces`. */
  readonly url: string | URL;
  /** Headers of each request, such as a key. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * `true` sends rows to Opik as well (default `false`). Then the collector gets a copy of what Opik has accepted, once, in at
   * most 2 s: its failures are reported, and change nothing about the delivery to Opik.
   */
  readonly beside?: boolean | undefined;
  /** Called with failures of copies, and with spans that the collector has refused (default: `console.warn`, once for each cause). */
  readonly onError?: OnError | undefined;
}

/** The collectors that get our spans, by `placeOf`. */
const collectors: Set<string> = new Set();
/** Longest wait for a copy, in ms. Until then its upload counts as under way. */
const COPY_MS = 2000;
/** The first byte of gzip. JSON begins with another. */
const GZIP = 0x1f;

const OPTIONS: Names<OtlpOptions> = { url: 0, headers: 0, beside: 0, onError: 0 };

/**
 * Sends spans to a collector of OpenTelemetry, instead of Opik or beside it. Rows of traces are left out, since OTLP has only
 * spans; scores are refused, and counted as `rejected`.
 *
 * @example
 * ```ts
 * import { Opik } from "opik-edge";
 * import { otlp } from "opik-edge/otel";
 *
 * export const opik = new Opik({
 *   transport: otlp({ url: "https://collector.example/v1/traces", headers: { "x-api-key": "…" }, beside: true }),
 * });
 * ```
 */
export function otlp(options: OtlpOptions): Transport {
  const { url: collector, headers, beside = false } = options;
  const reporter = new Reporter(options);
  tellUnknown(reporter, options, "option of otlp", OPTIONS);
  collectors.add(placeOf(collector));

  const send = async (body: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<Response> => {
    const own = new Headers(headers ?? undefined); // JavaScript callers may pass null
    own.set("content-type", "application/json");
    const response = await platformFetch(collector, { method: "POST", headers: own, body, redirect: "manual", signal });
    if (!response.ok) return response;
    const refused = refusalOf(await response.text());
    if (refused) reporter.once("delivery_failed", refused);
    return new Response(null, response);
  };
  const deliver = async (url: string, { method, body }: TransportRequest, signal: AbortSignal): Promise<Response> => {
    const request = method === "POST" && kindOf(url) === "spans" ? otlpOf(body) : undefined;
    return request ? send(request, signal) : new Response(null, { status: 202 });
  };
  const copy = async (url: string, request: TransportRequest, signal: AbortSignal): Promise<void> => {
    try {
      const answer = await deliver(url, request, signal);
      const { ok, status, body } = answer;
      await body?.cancel();
      const type = foreignType(answer, transport);
      if (!ok || type)
        reporter.once("delivery_failed", `the collector answered ${`${status} ${type}`.trim()}: see its log`);
    } catch (error) {
      reporter.once("delivery_failed", "the collector cannot be reached: check its URL", error);
    }
  };
  const transport: Transport = {
    appendsOnly: !beside,
    async fetch(url, request) {
      const { method, body, signal } = request;
      // Rows are read here, so they are asked for again without compression.
      if (body[0] === GZIP) return new Response(null, { status: 415 });
      if (!beside) {
        return method === "PUT"
          ? new Response("OTLP has no scores: send them to Opik", { status: 422 })
          : deliver(url, request, signal);
      }
      const answer = await platformFetch(url, request);
      if (answer.ok) {
        // The signal of the request would end the copy too late: then its rows count as unsent.
        const limit = new AbortController();
        await within(COPY_MS, copy(url, request, limit.signal));
        limit.abort(new Error("no answer in time"));
      }
      return answer;
    },
  };
  return transport;
}

/** `true` for the URL of one of the collectors, as an instrumentation tells it. */
export function isCollector(url: string): boolean {
  return collectors.has(placeOf(url));
}

/** A URL without user and query, which instrumentations may hide. */
function placeOf(url: string | URL): string {
  try {
    const { origin, pathname } = new URL(url, globalThis.location?.href);
    return origin + pathname;
  } catch {
    return `${url}`; // relative, outside of a page
  }
}

/** The request of OTLP for a body of rows; `undefined` if it has no ended span. */
function otlpOf(body: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const reader = getReader();
  const request = reader.run((exports) => {
    for (let at = 0; at < body.length; ) {
      const scratch = reader.scratch();
      const piece = body.subarray(at, at + scratch.length);
      scratch.set(piece);
      exports.stage(piece.length);
      at += piece.length;
    }
    exports.writeOtlp();
    return new Uint8Array(exports.memory.buffer, exports.outputPointer(), exports.outputLength()).slice();
  });
  return request.length > 0 ? request : undefined;
}

/** The refusal in an answer that accepts only a part of the spans: `partialSuccess` of OTLP. */
function refusalOf(answer: string): string | undefined {
  try {
    const { partialSuccess } = JSON.parse(answer);
    const { rejectedSpans, errorMessage = "see its log" } = partialSuccess ?? {};
    return Number(rejectedSpans) > 0 ? `the collector refused ${rejectedSpans} spans: ${errorMessage}` : undefined;
  } catch {
    return undefined; // an empty answer, or not of a collector
  }
}
