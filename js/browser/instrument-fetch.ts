// Traces every `fetch` of a page until it is turned off.

import type { CallTraced } from "../deliver/model.js";
import { replaceFetch, targetOf } from "../platform/host-fetch.js";
import { isTarget } from "../record/targets.js";
import type { InstrumentFetchOptions } from "../settings.js";

/**
 * Replaces the global `fetch` by a traced one. Returns a function that restores the old one. While a replacement is in
 * place, further calls change nothing and return a function without effect.
 */
export function instrumentFetch(traced: CallTraced, { ignore = [] }: InstrumentFetchOptions): () => void {
  return replaceFetch(
    (original) =>
      (...args) =>
        isTarget(targetOf(args[0]), ignore) ? original(...args) : traced(original, args),
  );
}
