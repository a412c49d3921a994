// What only a page has, behind the subpath import `#page`: bundles for Workers get none.ts in its place.

import { instrumentFetch } from "./instrument-fetch.js";
import { Outbox } from "./outbox.js";
import { relayTransport, type TokenSource } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

/** The parts of a page's client. */
export interface Page {
  readonly relayTransport: typeof relayTransport;
  readonly openOutbox: (url: URL, tokens: TokenSource | undefined) => Outbox;
  readonly instrumentFetch: typeof instrumentFetch;
  readonly warnOfCors: typeof warnOfCors;
}

export const parts: Page | undefined = {
  relayTransport,
  openOutbox: (url, tokens) => new Outbox(url, tokens),
  instrumentFetch,
  warnOfCors,
};
