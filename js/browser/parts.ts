// What only a page's client is made of: handed to the client by the subpath import `#host`, so that Workers do not carry it.

import type { Page } from "../deliver/model.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { PageOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";

export const parts: Page | undefined = {
  relayTransport,
  openOutbox: (url, tokens) => new PageOutbox(url, tokens),
  instrumentFetch,
};
