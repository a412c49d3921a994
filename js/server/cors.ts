// CORS for an API that pages of other origins call with a trace: allows the headers that traced calls use.

import { ownOf } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { ALL_NAMES } from "../record/headers.js";
import { isOrigin, usableTargets } from "../record/targets.js";
import type { TargetMatch } from "../settings.js";

/** Callers and requests that CORS allows. */
export interface CorsOptions {
  /**
   * The origins of the pages that may call: exact ones, `*.suffix` (https, any port), `http://*.suffix`, or a function of the
   * parsed origin. An origin that can never match is reported once, with `console.warn`.
   */
  readonly origins: readonly TargetMatch[];
  /** Your own request headers that pages send (default `content-type`). */
  readonly headers?: readonly string[] | undefined;
  /** The methods that pages use (default `GET`, `POST`). */
  readonly methods?: readonly string[] | undefined;
  /** `true` allows cookies (default `false`). */
  readonly credentials?: boolean | undefined;
}

const OPTIONS: Names<CorsOptions> = { origins: 0, headers: 0, methods: 0, credentials: 0 };

/** Time for which a browser may cache the answer to a preflight, in seconds. */
const PREFLIGHT_SECONDS = 86_400;

/**
 * The headers to add to every response, including preflights. If the caller must not read the response, the result is only
 * `Vary`. Append `Vary`, because the response may already have that header, and set the others.
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

/** `true` for a browser's preflight, which precedes the actual request (Fetch standard, "CORS-preflight request"). */
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
  return allow(headers, methods, [...own, ...ALL_NAMES]);
}

/** The answer to a preflight that allows these methods and request headers, in addition to `headers`. */
export function allow(headers: Headers, methods: readonly string[], names: readonly string[]): Response {
  headers.set("access-control-allow-methods", methods.join(", "));
  headers.set("access-control-allow-headers", names.join(", "));
  headers.set("access-control-max-age", `${PREFLIGHT_SECONDS}`);
  return new Response(null, { status: 204, headers });
}
