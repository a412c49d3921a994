// Behind the subpath import `#host` in bundles for browsers: what a page has and a Worker has not.

import type { Page } from "../deliver/model.js";
import { watchPage } from "../platform/host/page.js";
import type { Host } from "../settings.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { openOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

export const host: Host | undefined = { ...watchPage, warnOfCors };
export const parts: Page | undefined = { relayTransport, openOutbox, instrumentFetch };
