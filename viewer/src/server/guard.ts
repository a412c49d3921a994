// Refuses requests of foreign pages. They reach this machine by its user's browser, possibly under a rebound name, and
// must neither read traces nor plant them.

import type { IncomingHttpHeaders } from "node:http";

/** The kind of a request. */
export type Purpose = "ingest" | "page" | "data";

/** The parts of a request that the guard checks. */
export interface Asked {
  readonly purpose: Purpose;
  readonly headers: IncomingHttpHeaders;
}

/** The server that is asked. */
export interface Guarded {
  readonly port: number;
  /** Further host names, accepted with any port. */
  readonly allowHosts?: readonly string[];
}

const LOCAL = /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127\.0\.0\.1|\[::1\])$/;

/** The reason to refuse a request; `undefined` if it is allowed. */
export function refusalOf({ purpose, headers }: Asked, { port, allowHosts = [] }: Guarded): string | undefined {
  const host = /^([a-z0-9.-]+|\[[0-9a-f:]+\])(?::(\d+))?$/i.exec(headers.host ?? "");
  const name = host?.[1]?.toLowerCase() ?? "";
  const isOurs = LOCAL.test(name) && Number(host?.[2] ?? 80) === port;
  if (!isOurs && !allowHosts.includes(name)) return `host ${headers.host} is not served here`;

  const { origin } = headers;
  const isOwn = origin !== undefined && URL.canParse(origin) && new URL(origin).host === headers.host;
  if (origin !== undefined && !isOwn && !(purpose === "ingest" && isOfThisMachine(origin))) {
    return `pages of ${origin} are refused`;
  }
  if (headers["sec-fetch-site"] !== "cross-site") return undefined;
  if (purpose === "ingest" && origin !== undefined) return undefined;
  // A link to the page, which can be followed from anywhere: nobody can frame it or read it.
  const isLink = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  return purpose === "page" && isLink ? undefined : "pages of other sites are refused";
}

/** Whether it is the origin of a page that this machine serves, which CORS lets send its traces. */
export function isOfThisMachine(origin: string): boolean {
  return URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol) && LOCAL.test(new URL(origin).hostname);
}
