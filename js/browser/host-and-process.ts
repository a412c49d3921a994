// Behind the subpath import `#host` where the code may run in a process or in a page: in Node, Deno and Bun, and in bundles of which
// nothing is said.

import type { Page } from "../deliver/model.js";
import { watchProcess } from "../platform/host/process.js";
import type { Host } from "../settings.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { openOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

export const host: Host | undefined = { ...watchProcess, warnOfCors };
export const parts: Page | undefined = { relayTransport, openOutbox, instrumentFetch };
