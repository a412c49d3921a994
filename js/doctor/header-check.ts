// Checks which trace headers reach a URL, and if a page of another origin may send them.

import { causeOf } from "../errors.js";
import { getCore } from "../platform/core.js";
import { isBrowser, now } from "../platform/env.js";
import { platformFetch } from "../platform/host-fetch.js";
import { headerMap, NAMES, readIncoming } from "../record/headers.js";
import { withoutQuery } from "../record/json.js";
import type { HeaderPair } from "../settings.js";
import { ask } from "./ask.js";
import { type Finding, note, ok, problem } from "./finding.js";

/**
 * Answers the doctor with the trace headers that reached this URL, as JSON. Mount it at the place to check, and remove it
 * afterwards.
 *
 * @example
 * ```ts
 * import { echoHeaders } from "opik-edge/doctor";
 *
 * export default {
 *   async fetch(request: Request): Promise<Response> {
 *     if (new URL(request.url).pathname === "/opik-check") return echoHeaders(request);
 *     return new Response("the service");
 *   },
 * };
 * ```
 */
export function echoHeaders(request: Request): Response {
  const found = readIncoming(request) ?? [];
  const pairs = NAMES.flatMap((name, index) => (found[index] === undefined ? [] : [[name, found[index]]]));
  return Response.json(Object.fromEntries(pairs), { headers: { "cache-control": "no-store" } });
}

const CHECK = "headers";
/** Length of the answer that is searched. */
const MAX_BYTES = 256 * 1024;

/** Sends each spelling with its own ids, and searches the answer for them. */
export async function examineHeaders(url: URL): Promise<Finding> {
  const core = getCore();
  const [underscore, hyphen] = ["underscore", "hyphen"].map((spelling) =>
    Object.entries(headerMap(core.mint(now()), core.mint(now()), spelling as "underscore" | "hyphen")),
  ) as [HeaderPair[], HeaderPair[]];
  let text: string;
  let status: number;
  try {
    const headers = [...underscore, ...hyphen];
    const send = (signal: AbortSignal): Promise<Response> =>
      platformFetch(url, { headers, redirect: "manual", signal });
    const answer = await ask(send, MAX_BYTES);
    [text, status] = [answer.text, answer.response.status];
  } catch (error) {
    const cors = isBrowser() ? ", or does not allow this page's headers (see handlePreflight)" : "";
    const [where, why] = [withoutQuery(url), causeOf(error)];
    return problem(CHECK, `${where} cannot be reached${cors}: ${why}`, "check the URL");
  }
  const arrived = ([, value]: HeaderPair): boolean => text.includes(value);
  const [under, hyph] = [underscore.every(arrived), hyphen.every(arrived)];
  if (under && hyph) {
    // A proxy that joins the spellings into `v,v` breaks readers that use the value unsplit, such as Python's.
    const isJoined = underscore.some(([, value], n) => joins(text, value, hyphen[n]?.[1] ?? ""));
    if (!isJoined) return ok(CHECK, "both spellings arrive");
    return problem(
      CHECK,
      "both spellings arrive as one header with two values, which Python's reader cannot use",
      'keep the two names apart there, as servers do by default, or propagateTo: [{ to: "https://…", spelling: "underscore" }] for this target',
    );
  }
  if (hyph) {
    return note(
      CHECK,
      "opik_trace_id is dropped on the way, opik-trace-id arrives (nginx, gunicorn, Werkzeug and waitress do so)",
      "nothing for opik-edge, Flask and Django; under ASGI read the spelling with hyphens, or nginx: underscores_in_headers on",
    );
  }
  if (under)
    return note(CHECK, "opik-trace-id is dropped on the way, opik_trace_id arrives", "nothing, for Opik's own SDKs");
  return problem(
    CHECK,
    `neither spelling is in the answer (${status}): they were dropped, or the URL does not say what it was sent`,
    "let the URL answer with echoHeaders(request), or with its request headers as JSON",
  );
}

function joins(text: string, one: string, other: string): boolean {
  return (
    text.replaceAll(/\s/g, "").includes(`${one},${other}`) || text.replaceAll(/\s/g, "").includes(`${other},${one}`)
  );
}

/** Sends the preflight of a page of `origin` that calls `url` with trace headers. Not used in a browser, which sends its own. */
export async function examineCors(url: URL, origin: string): Promise<Finding> {
  const check = "CORS";
  const fix = "answer with handlePreflight(request, { origins }) and add corsHeaders(request, { origins })";
  let response: Response;
  try {
    const headers = {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": [...NAMES].sort().join(","),
    };
    const send = (signal: AbortSignal): Promise<Response> =>
      platformFetch(url, { method: "OPTIONS", headers, redirect: "manual", signal });
    ({ response } = await ask(send));
  } catch (error) {
    return problem(check, `no answer to the preflight: ${causeOf(error)}`, fix);
  }
  const list = (name: string): string[] =>
    (response.headers.get(name) ?? "").split(",").map((item) => item.trim().toLowerCase());
  if (!response.ok) return problem(check, `the preflight is answered with ${response.status}`, fix);
  const [allowed] = list("access-control-allow-origin");
  if (allowed !== "*" && allowed !== origin.toLowerCase()) {
    return problem(check, `pages of ${origin} are not allowed (${allowed || "no access-control-allow-origin"})`, fix);
  }
  const headers = list("access-control-allow-headers");
  const missing = headers.includes("*") ? [] : NAMES.filter((name) => !headers.includes(name));
  if (missing.length > 0) return problem(check, `not allowed: ${missing.join(", ")}`, fix);
  return ok(check, `pages of ${origin} may send trace headers`);
}
