// Traces every `fetch` of a page, for as long as it is asked to.

import type { CallTraced } from "../deliver/model.js";
import { replaceFetch, targetOf } from "../platform/host-fetch.js";
import { isTarget } from "../record/targets.js";
import type { InstrumentFetchOptions } from "../settings.js";

/**
 * Puts a traced `fetch` in place of the global one; gives what puts the old one back. While one is in place a further call
 * changes nothing, and gives what does nothing.
 */
export function instrumentFetch(traced: CallTraced, { ignore = [] }: InstrumentFetchOptions): () => void {
  return replaceFetch(
    (original) =>
      (...args) =>
        isTarget(targetOf(args[0]), ignore) ? original(...args) : traced(original, args),
  );
}
