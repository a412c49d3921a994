// Whom a server believes that goes by tokens: the `trust` of a Worker or a server that pages call. How a token is made and read is
// in token.ts.

import { now } from "../platform/env.js";
import { type Incoming, OPIK_TOKEN_HEADER, readClaim, readIncoming } from "../record/headers.js";
import { checkTokens, isAlive, readTokenFor, type Tokens } from "./token.js";

/**
 * The `trust` of a server: joins the trace of whoever has a token in the header `opik-token`. The token has to be for this server's
 * project, and for the session, the conversation and the trace of the request where it names one. Throws an `OpikError`
 * (`invalid_config`) that names what is wrong with `tokens`.
 *
 * @example
 * ```ts
 * import { signed } from "opik-edge/relay";
 * import { withOpik } from "opik-edge/server";
 *
 * const secret = { id: "2026-11", secret: process.env["TOKEN_SECRET"] ?? "" };
 *
 * export default {
 *   fetch: withOpik(async () => new Response("hello"), {
 *     trust: signed({ secrets: [secret], audience: "https://app.example.com" }),
 *   }),
 * };
 * ```
 */
export function signed(tokens: Tokens): (request: Request, projectName: string | undefined) => Promise<boolean> {
  checkTokens(tokens);
  return async (request, projectName) => {
    const claims = await readTokenFor(request, request.headers.get(OPIK_TOKEN_HEADER), tokens);
    if (!claims || claims.projectName !== projectName) return false;
    const { threadId, traceId } = claims;
    // What it is limited to has to be known of the request.
    if (threadId !== undefined && threadId !== tokens.thread?.(request)) return false;
    return (traceId === undefined || names(request, traceId)) && isAlive(claims);
  };
}

/** Whether `request` names this trace and no other, in either spelling. */
function names(request: Request, traceId: string): boolean {
  const [trace, parent, ...hyphens] = readIncoming(request) ?? [];
  const spellings = [[trace, parent], hyphens] as Incoming[];
  return spellings.every((spelling) => (readClaim(spelling, now())?.traceId ?? traceId) === traceId);
}
