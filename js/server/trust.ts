// Decides if a caller's trace is joined. A public caller can send any id, and so write into any trace whose id it knows. `signed`
// in ../relay/signed.ts identifies callers by their tokens.

import { invalid } from "../errors.js";

/**
 * The callers whose traces are joined: all (`always`, the default, for calls from your own services), none (`never`), or the
 * callers that a function accepts, given the request and the server's project. `signed` of `opik-edge/relay` makes a function
 * that accepts pages with a valid token.
 */
export type Trust =
  | "always"
  | "never"
  | ((request: Request, projectName: string | undefined) => boolean | Promise<boolean>);

/** The setting for the callers that a server trusts. */
export interface TrustConfig {
  /** Callers whose traces are joined (default `always`). For other callers a new trace begins, with their ids in its metadata. */
  readonly trust?: Trust | undefined;
}

/** Returns `true` if the request's trace is joined. May throw or reject. */
export type Judge = (request: Request) => boolean | Promise<boolean>;

/**
 * The judge for a server that writes into `projectName`; `undefined` if every trace is joined. Throws an `OpikError` for an invalid
 * setting.
 */
export function resolveTrust({ trust = "always" }: TrustConfig, projectName: string | undefined): Judge | undefined {
  if (trust === "always") return undefined;
  if (trust === "never") return () => false;
  if (typeof trust !== "function") throw invalid("trust", "always, never or a function", trust);
  return (request) => trust(request, projectName);
}
