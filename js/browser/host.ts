// The subpath import `#host` in bundles for browsers: the parts that pages have and Workers lack.

import type { Clients, Page } from "../deliver/model.js";
import { closeWhenLost, consumed } from "../platform/host/lost.js";
import { isWatched, unwatch, watchPage } from "../platform/host/page.js";
import type { Host } from "../settings.js";
import { instrumentFetch } from "./instrument-fetch.js";
import { openOutbox } from "./outbox.js";
import { relayTransport } from "./relay-transport.js";
import { warnOfCors } from "./warn-of-cors.js";

// A hidden page may be shown again and read its streams further, so only collected results count as lost.
export const host: Host | undefined = { watch: watchPage, unwatch, isWatched, closeWhenLost, consumed, warnOfCors };
export const parts: Page | undefined = { relayTransport, openOutbox, instrumentFetch };
export const clients: Clients | undefined = undefined;
