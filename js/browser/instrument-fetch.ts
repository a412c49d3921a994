// Traces every `fetch` of a page, for as long as it is asked to.

import type { CallTraced } from "../deliver/model.js";
import { originalOf, standIn, targetOf } from "../platform/host-fetch.js";
import { isTarget } from "../record/headers.js";
import type { Fetch, InstrumentFetchOptions } from "../settings.js";

/**
 * Puts a traced `fetch` in place of the global one; gives what puts the old one back. While one is in place a further call
 * changes nothing, and gives what does nothing.
 */
export function instrumentFetch(traced: CallTraced, { ignore = [] }: InstrumentFetchOptions): () => void {
  const original: Fetch = globalThis.fetch;
  if (originalOf(original) !== original) return () => {};
  const instrumented = standIn(original, (...args) =>
    isTarget(targetOf(args[0]), ignore) ? original(...args) : traced(original, args),
  );
  globalThis.fetch = instrumented as typeof fetch;
  return () => {
    // Somebody else may have wrapped it since: then theirs stays, and goes on calling ours, which only passes on.
    if (globalThis.fetch === instrumented) globalThis.fetch = original as typeof fetch;
  };
}
