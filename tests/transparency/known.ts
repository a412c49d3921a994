// Differences that are still to be mended; list-known.ts writes this file.

import type { Listed } from "./differential.js";

export const KNOWN: readonly Listed[] = [];
