// Differences that are still to be fixed. list-known.ts writes this file.

import type { Listed } from "./differential.js";

export const KNOWN: readonly Listed[] = [];
