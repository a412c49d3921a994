// What only a page has; the code for it is left out of bundles for Workers.

import { parts } from "#page";
import type { Page } from "../browser/index.js";
import { isBrowser } from "./env.js";

/** What only a page has; `undefined` elsewhere, as in server-rendered code. */
export function page(): Page | undefined {
  return isBrowser() ? parts : undefined;
}
