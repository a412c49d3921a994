// Behind the subpath import `#host` in bundles for browsers: what a page has and a Worker has not.

import type { Clients, Page } from "../deliver/model.js";
import { closeWhenLost, consumed } from "../platform/host/lost.js";
import { isWatched, unwatch, watchPage } from "../platform/host/page.js";
import type { Host } from "../settings.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { openOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

// A page's streams may be read on when it is shown again, so what is lost there is what has been collected.
export const host: Host | undefined = { watch: watchPage, unwatch, isWatched, closeWhenLost, consumed, warnOfCors };
export const parts: Page | undefined = { relayTransport, openOutbox, instrumentFetch };
export const clients: Clients | undefined = undefined;
