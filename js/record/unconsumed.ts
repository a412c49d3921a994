// Spans outside any invocation that wait for the host to consume what a function gave: a stream that nobody reads, a query that
// nobody awaits. They are closed when that has been collected, or when the process is about to exit.

import { isWorker } from "../platform/env.js";
import type { Host } from "../settings.js";
import type { Open } from "./scope.js";

/** While there are any, and only then, the process is listened to. */
const waiting = new Set<Open>();
let stopListening = (): void => {};
/** Made with the first. */
let collected: FinalizationRegistry<Open> | undefined;

/**
 * Closes `item` when `result` is not to be had any more, unless `consumed` says before that it has ended. A further `result` takes
 * the place of the one before: an iterator that of what is iterated, a value that of its promise.
 */
export function closeWhenLost(item: Open, result: object, host: Host | undefined): void {
  // A Worker's clock stands at 0 where it collects, and nothing there is told of its end.
  if (isWorker()) return;
  if (waiting.size === 0) stopListening = host?.onExit(closeAll) ?? stopListening;
  waiting.add(item);
  if (typeof FinalizationRegistry === "undefined") return;
  collected ??= new FinalizationRegistry((lost) => lost.close());
  collected.unregister(item);
  collected.register(result, item, item);
}

/** Says that `item` has ended. */
export function consumed(item: Open): void {
  if (waiting.size === 0 || !waiting.delete(item)) return;
  collected?.unregister(item);
  if (waiting.size === 0) stopListening();
}

function closeAll(): void {
  for (const item of [...waiting]) item.close();
}
