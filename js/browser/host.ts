// Behind the subpath import `#host` in bundles for browsers: what a page has and a Worker has not.

import { watchPage } from "../platform/host/page.js";
import type { Host } from "../settings.js";
import { warnOfCors } from "./warn-of-cors.js";

export { parts } from "./parts.js";

export const host: Host | undefined = { ...watchPage, warnOfCors };
