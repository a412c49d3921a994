// What an API has to allow so that pages of other origins may call it with a trace: exactly the headers in use.

import { ownOf } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { NAMES, OPIK_TOKEN_HEADER } from "../record/headers.js";
import { isOrigin, usableTargets } from "../record/targets.js";
import type { TargetMatch } from "../settings.js";

/** Who may call, and with what. */
export interface CorsOptions {
  /**
   * The origins of the pages that may call: exact ones, `*.suffix` (https, any port), `http://*.suffix`, or a function of the
   * parsed origin. One that can match nothing is reported once, by `console.warn`.
   */
  readonly origins: readonly TargetMatch[];
  /** Request headers of your own that pages send (default `content-type`). */
  readonly headers?: readonly string[] | undefined;
  /** The methods that pages use (default `GET`, `POST`). */
  readonly methods?: readonly string[] | undefined;
  /** Whether cookies are sent along (default `false`). */
  readonly credentials?: boolean | undefined;
}

const OPTIONS: Names<CorsOptions> = { origins: 0, headers: 0, methods: 0, credentials: 0 };

/** For how long a browser may remember the answer to its preflight, in seconds. */
const PREFLIGHT_SECONDS = 86_400;

/**
 * The headers to add to a response, preflights included: `Vary` alone when its caller is not allowed to read it. Append `Vary`,
 * and set the others: a response may have one of its own.
 *
 * @example
 * ```ts
 * import { corsHeaders } from "opik-edge";
 *
 * const options = { origins: ["https://app.example.com"] };
 *
 * export function api(request: Request): Response {
 *   return Response.json({ ok: true }, { headers: corsHeaders(request, options) });
 * }
 * ```
 */
export function corsHeaders(request: Request, options: CorsOptions): Record<string, string> {
  tellUnknown(undefined, options, "option of corsHeaders", OPTIONS);
  const { origins, credentials = false } = ownOf(options);
  const origin = request.headers.get("origin");
  if (!isOrigin(origin, usableTargets("origins", origins))) return { vary: "origin" };
  return {
    vary: "origin",
    "access-control-allow-origin": origin,
    ...(credentials && { "access-control-allow-credentials": "true" }),
  };
}

/** Whether a browser asks if it may send a request, and not yet sends it (Fetch standard, "CORS-preflight request"). */
export function isPreflight(request: Request): boolean {
  return request.method === "OPTIONS" && request.headers.has("access-control-request-method");
}

/**
 * The answer to a preflight; `undefined` for every other request.
 *
 * @example
 * ```ts
 * import { corsHeaders, handlePreflight } from "opik-edge";
 *
 * const options = { origins: ["https://app.example.com"], methods: ["PUT"] };
 *
 * export function api(request: Request): Response {
 *   return handlePreflight(request, options) ?? new Response("saved", { headers: corsHeaders(request, options) });
 * }
 * ```
 */
export function handlePreflight(request: Request, options: CorsOptions): Response | undefined {
  if (!isPreflight(request)) return undefined;
  const headers = new Headers(corsHeaders(request, options));
  if (!headers.has("access-control-allow-origin")) return new Response(null, { status: 403, headers });
  const { methods = ["GET", "POST"], headers: own = ["content-type"] } = ownOf(options);
  return allow(headers, methods, [...own, ...NAMES, OPIK_TOKEN_HEADER]);
}

/** The answer to a preflight that allows these methods and request headers, beside what is in `headers`. */
export function allow(headers: Headers, methods: readonly string[], names: readonly string[]): Response {
  headers.set("access-control-allow-methods", methods.join(", "));
  headers.set("access-control-allow-headers", names.join(", "));
  headers.set("access-control-max-age", `${PREFLIGHT_SECONDS}`);
  return new Response(null, { status: 204, headers });
}
