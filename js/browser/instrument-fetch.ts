// Traces every `fetch` of a page, for as long as it is asked to.

import { isTarget, type PropagateTo, type TargetMatch } from "../headers.js";
import { markOriginal, originalOf } from "../transport.js";

/** What is traced, and what is given headers. */
export interface InstrumentFetchOptions {
  /** Targets that are given trace headers beside the page's own origin; instead of the client's own setting. */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Targets whose calls are not traced at all. */
  readonly ignore?: readonly TargetMatch[] | undefined;
}

/** Makes one traced call. */
type TracedFetch = (input: string | URL | Request, init: RequestInit | undefined) => Promise<Response>;

/**
 * Puts a traced `fetch` in place of the global one; gives what puts the old one back. While one is in place a further call
 * changes nothing, and gives what does nothing.
 */
export function instrumentFetch(traced: TracedFetch, { ignore = [] }: InstrumentFetchOptions): () => void {
  const original = globalThis.fetch;
  if (originalOf(original) !== original) return () => {};
  const instrumented = (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    return isTarget(url, ignore) ? original(input, init) : traced(input, init);
  };
  markOriginal(instrumented, original);
  globalThis.fetch = instrumented as typeof fetch;
  return () => {
    // Somebody else may have wrapped it since: then theirs stays, and goes on calling ours, which only passes on.
    if (globalThis.fetch === instrumented) globalThis.fetch = original;
  };
}
