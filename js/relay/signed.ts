// The `trust` of a Worker or a server that accepts calls from pages with a token. token.ts makes and reads tokens.

import { getCore } from "../platform/core.js";
import { now } from "../platform/env.js";
import { OPIK_TOKEN_HEADER, readClaim, readIncoming } from "../record/headers.js";
import { checkTokens, isAlive, readTokenFor, type Tokens } from "./token.js";

/**
 * The `trust` of a server that joins the traces of callers with a valid token in the header `opik-token`. The token must be for
 * this server's project. If it names a session, a conversation or a trace, the request must match. Throws an `OpikError`
 * (`invalid_config`) that names the problem in `tokens`.
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
    // A limit to a conversation holds only if the request's conversation is known.
    if (threadId !== undefined && threadId !== tokens.thread?.(request)) return false;
    return (traceId === undefined || names(request, traceId)) && isAlive(claims);
  };
}

/** `true` if `request` names this trace, and no other, in every spelling. A trace context has to belong to this trace. */
function names(request: Request, traceId: string): boolean {
  const found = readIncoming(request) ?? [];
  const spellings = [0, 2, 4].map((at) => readClaim(found.slice(at, at + 2), now())?.traceId ?? traceId);
  if (found[6] !== undefined) spellings.push(getCore().context(found, now()).traceId);
  return spellings.every((id) => id === traceId);
}
