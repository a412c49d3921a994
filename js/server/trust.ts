// Whether a caller's trace is joined: a public caller can send any id, and would write into whatever trace it names.

import { invalid } from "../errors.js";
import { now } from "../platform/env.js";
import { OPIK_TOKEN_HEADER, readIncoming } from "../record/headers.js";
import { checkTokens, readTokenFor, type Tokens } from "../relay/token.js";

/**
 * Whose trace is joined: everybody's (`always`, the default: what comes from another service of yours), nobody's
 * (`never`), that of pages with a token in the header `opik-token` (`signed`), or what a function says of the request. A token has to
 * be for this server's project, and for the session, the conversation and the trace of the request where it names one.
 */
export type Trust = "always" | "never" | "signed" | ((request: Request) => boolean | Promise<boolean>);

/** Settings of whom a server believes. */
export interface TrustConfig {
  /** Whose trace is joined (default `always`). A trace that is not begins anew, with the caller's ids in its metadata. */
  readonly trust?: Trust | undefined;
  /** Whose tokens are believed, for `signed`. */
  readonly tokens?: Tokens | undefined;
}

/** Clocks differ. */
const TOLERANCE_MS = 60_000;

/** Says of a request whether its trace is joined. May throw, or reject. */
export type Judge = (request: Request) => boolean | Promise<boolean>;

/**
 * The one that is configured, for a server that writes into `projectName`; `undefined` where every trace is joined. Throws an
 * `OpikError` when it is configured wrongly.
 */
export function resolveTrust(
  { trust = "always", tokens }: TrustConfig,
  projectName: string | undefined,
): Judge | undefined {
  if (trust === "always") return undefined;
  if (trust === "never") return () => false;
  if (typeof trust === "function") return trust;
  if (trust !== "signed") throw invalid("trust", "always, never, signed or a function", trust);
  if (!tokens) throw invalid("tokens", "the secrets of those who sign", tokens);
  checkTokens(tokens);
  return async (request) => {
    const claims = await readTokenFor(request, request.headers.get(OPIK_TOKEN_HEADER), tokens);
    if (!claims || claims.projectName !== projectName) return false;
    const { threadId, traceId, notBeforeMs, expiresMs } = claims;
    // What it is limited to has to be known of the request.
    if (threadId !== undefined && threadId !== tokens.thread?.(request)) return false;
    if (traceId !== undefined && !names(request, traceId)) return false;
    return now() >= notBeforeMs - TOLERANCE_MS && now() <= expiresMs + TOLERANCE_MS;
  };
}

/** Whether `request` names this trace and no other, in either spelling and as often as it likes. */
function names(request: Request, traceId: string): boolean {
  const [trace, , hyphen] = readIncoming(request) ?? [];
  const ids = `${trace ?? traceId},${hyphen ?? traceId}`.toLowerCase().split(",");
  return ids.every((id) => id.trim() === traceId);
}
