// Spans outside any invocation that wait for the host to consume a function's result, such as a stream that is never read
// or a query that is never awaited. They are closed when the result has been collected, or before the process exits.

import { isWorker } from "../env.js";

interface Closable {
  close(): void;
}

/** The process has a listener only while this set is not empty. */
const waiting = new Set<Closable>();
let stopListening = (): void => {};
/** Created with the first item. */
let collected: FinalizationRegistry<Closable> | undefined;

/**
 * Implements `closeWhenLost` of `Host`. `listen` makes its argument run before the process ends, and returns a function
 * that undoes it.
 */
export function closeWhenLost(item: Closable, result: object, listen?: (close: () => void) => () => void): void {
  // In a Worker, the clock stands at 0 during garbage collection, and a Worker gets no event before it ends.
  if (isWorker()) return;
  if (listen && waiting.size === 0) stopListening = listen(closeAll);
  waiting.add(item);
  if (typeof FinalizationRegistry === "undefined") return;
  collected ??= new FinalizationRegistry((lost) => lost.close());
  collected.unregister(item);
  collected.register(result, item, item);
}

/** Stops waiting for the result of `item`. */
export function consumed(item: Closable): void {
  if (waiting.size === 0 || !waiting.delete(item)) return;
  collected?.unregister(item);
  if (waiting.size === 0) stopListening();
}

function closeAll(): void {
  for (const item of [...waiting]) item.close();
}
