// Behind the subpath import `#host` where the code may run in a process or in a page: in Node, Deno and Bun, and in bundles of which
// nothing is said.

import { watchProcess } from "../platform/host/process.js";
import type { Host } from "../settings.js";
import { warnOfCors } from "./warn-of-cors.js";

export { parts } from "./parts.js";

export const host: Host | undefined = { ...watchProcess, warnOfCors };
