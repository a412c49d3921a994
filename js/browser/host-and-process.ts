// Behind the subpath import `#host` where the code may run in a process or in a page: in Node, Deno and Bun, and in bundles of which
// nothing is said.

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

// By name, without a spread: a bundler for Workers leaves it out, as nothing runs while it is made.
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
