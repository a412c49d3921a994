// What only a page has; the code for it is left out of bundles for Workers.

import { parts } from "#page";
import { isBrowser } from "../platform/env.js";
import type { Page } from "./model.js";

/** What only a page has; `undefined` elsewhere, as in server-rendered code. */
export function page(): Page | undefined {
  return isBrowser() ? parts : undefined;
}
