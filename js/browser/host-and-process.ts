// The subpath import `#host` for code that may run in a process or in a page: in Node, Deno and Bun, and in bundles without
// a known target.

import { addClient, flushClients } from "../deliver/flush-clients.js";
import type { Clients, Page } from "../deliver/model.js";
import { consumed } from "../platform/host/lost.js";
import { isWatched, unwatch } from "../platform/host/page.js";
import { closeAtExit, watchProcess } from "../platform/host/process.js";
import type { Host } from "../settings.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { openOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

// Each member is named, without a spread, so that the object has no side effects and a bundler for Workers can drop it.
export const host: Host | undefined = {
  watch: watchProcess,
  unwatch,
  isWatched,
  closeWhenLost: closeAtExit,
  consumed,
  warnOfCors,
};
export const parts: Page | undefined = { relayTransport, openOutbox, instrumentFetch };
export const clients: Clients | undefined = { add: addClient, flush: flushClients };
