// The subpath import `#host` in bundles for Workers, which have no pages and end without notice.

import type { Clients, Page } from "../deliver/model.js";
import type { Host } from "../settings.js";

export const host: Host | undefined = undefined;
export const parts: Page | undefined = undefined;
export const clients: Clients | undefined = undefined;
