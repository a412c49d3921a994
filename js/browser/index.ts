// What only a page has, behind the subpath import `#page`: bundles for Workers get none.ts in its place.

import type { Page } from "../deliver/model.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { PageOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

export const parts: Page | undefined = {
  relayTransport,
  openOutbox: (url, tokens) => new PageOutbox(url, tokens),
  instrumentFetch,
  warnOfCors,
};
