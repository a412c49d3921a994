// Who may ask at all. Pages of other sites reach this machine by way of its user's browser: they must neither read
// traces nor plant them, by whatever name they call it.

import type { IncomingHttpHeaders } from "node:http";

/** What is asked for. */
export type Purpose = "ingest" | "page" | "data";

/** What the guard looks at. */
export interface Asked {
  readonly purpose: Purpose;
  readonly headers: IncomingHttpHeaders;
}

/** The server that is asked. */
export interface Guarded {
  readonly port: number;
  /** Names that it is called by beside those of this machine, at whatever port. */
  readonly allowHosts?: readonly string[];
}

const LOCAL = /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127\.0\.0\.1|\[::1\])$/;

/** Why it may not be answered, or `undefined` where it may. */
export function refusalOf({ purpose, headers }: Asked, { port, allowHosts = [] }: Guarded): string | undefined {
  const host = /^([a-z0-9.-]+|\[[0-9a-f:]+\])(?::(\d+))?$/i.exec(headers.host ?? "");
  const name = host?.[1]?.toLowerCase() ?? "";
  const isOurs = LOCAL.test(name) && Number(host?.[2] ?? 80) === port;
  if (!isOurs && !allowHosts.includes(name)) return `host ${headers.host} is not served here`;

  const { origin } = headers;
  const isOwn = origin !== undefined && URL.canParse(origin) && new URL(origin).host === headers.host;
  if (origin !== undefined && !isOwn && !(purpose === "ingest" && isOfThisMachine(origin))) {
    return `pages of ${origin} may not ask`;
  }
  if (headers["sec-fetch-site"] !== "cross-site") return undefined;
  if (purpose === "ingest" && origin !== undefined) return undefined;
  // A link to the page, which can be followed from anywhere: nobody can frame it or read it.
  const isLink = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  return purpose === "page" && isLink ? undefined : "pages of other sites may not ask";
}

/** Whether it is the origin of a page that this machine serves, which CORS lets send its traces. */
export function isOfThisMachine(origin: string): boolean {
  return URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol) && LOCAL.test(new URL(origin).hostname);
}
