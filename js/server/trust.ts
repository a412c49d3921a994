// Whether a caller's trace is joined: a public caller can send any id, and would write into whatever trace it names.

import { now } from "../env.js";
import { OpikError } from "../errors.js";
import { OPIK_TOKEN_HEADER } from "../headers.js";
import { checkTokens, readTokenFor, type Tokens } from "../token.js";

/**
 * Whose trace is joined: everybody's (`always`, the default: what comes from another service of yours), nobody's
 * (`never`), that of pages with a token in the header `opik-token` (`signed`), or what a function says of the request.
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

/** The one that is configured; `undefined` where every trace is joined. Throws an `OpikError` when it is configured wrongly. */
export function resolveTrust({ trust = "always", tokens }: TrustConfig): Judge | undefined {
  if (trust === "always") return undefined;
  if (trust === "never") return () => false;
  if (typeof trust === "function") return trust;
  if (trust !== "signed") throw new OpikError("invalid_config", `trust: got ${JSON.stringify(trust)}`);
  if (!tokens) throw new OpikError("invalid_config", "tokens: expected the secrets of those who sign");
  checkTokens(tokens);
  return async (request) => {
    const claims = await readTokenFor(request, request.headers.get(OPIK_TOKEN_HEADER), tokens);
    if (!claims) return false;
    return now() >= claims.notBeforeMs - TOLERANCE_MS && now() <= claims.expiresMs + TOLERANCE_MS;
  };
}
