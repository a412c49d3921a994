// Traces every `fetch` of a page, for as long as it is asked to.

import { type Fetch, originalOf, standIn, targetOf } from "../deliver/transport.js";
import { isTarget, type PropagateTo, type TargetMatch } from "../record/headers.js";

/** What is traced, and what is given headers. */
export interface InstrumentFetchOptions {
  /** Targets that are given trace headers beside the page's own origin; instead of the client's own setting. */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Targets whose calls are not traced at all. */
  readonly ignore?: readonly TargetMatch[] | undefined;
}

/** Makes one traced call, by `original`. */
type TracedFetch = (original: Fetch, args: Parameters<Fetch>) => Promise<Response>;

/**
 * Puts a traced `fetch` in place of the global one; gives what puts the old one back. While one is in place a further call
 * changes nothing, and gives what does nothing.
 */
export function instrumentFetch(traced: TracedFetch, { ignore = [] }: InstrumentFetchOptions): () => void {
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
