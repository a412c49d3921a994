// Whether a caller's trace is joined: a public caller can send any id, and would write into whatever trace it names. Whom tokens
// make known is `signed` of ../relay/signed.ts.

import { invalid } from "../errors.js";

/**
 * Whose trace is joined: everybody's (`always`, the default: what comes from another service of yours), nobody's (`never`), or what a
 * function says of the request and of the project that the server writes into. `signed` of `opik-edge/relay` makes one that believes
 * pages with a token.
 */
export type Trust =
  | "always"
  | "never"
  | ((request: Request, projectName: string | undefined) => boolean | Promise<boolean>);

/** Settings of whom a server believes. */
export interface TrustConfig {
  /** Whose trace is joined (default `always`). A trace that is not begins anew, with the caller's ids in its metadata. */
  readonly trust?: Trust | undefined;
}

/** Says of a request whether its trace is joined. May throw, or reject. */
export type Judge = (request: Request) => boolean | Promise<boolean>;

/**
 * The one that is configured, for a server that writes into `projectName`; `undefined` where every trace is joined. Throws an
 * `OpikError` when it is configured wrongly.
 */
export function resolveTrust({ trust = "always" }: TrustConfig, projectName: string | undefined): Judge | undefined {
  if (trust === "always") return undefined;
  if (trust === "never") return () => false;
  if (typeof trust !== "function") throw invalid("trust", "always, never or a function", trust);
  return (request) => trust(request, projectName);
}
