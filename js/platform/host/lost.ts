// Spans outside any invocation that wait for the host to consume what a function gave: a stream that nobody reads, a query that
// nobody awaits. They are closed when that has been collected, or when the process is about to exit.

import { isWorker } from "../env.js";

interface Closable {
  close(): void;
}

/** While there are any, and only then, the process is listened to. */
const waiting = new Set<Closable>();
let stopListening = (): void => {};
/** Made with the first. */
let collected: FinalizationRegistry<Closable> | undefined;

/** As `HostEnd` has it; `listen` has its argument called before the process ends, and gives what takes that back. */
export function closeWhenLost(item: Closable, result: object, listen?: (close: () => void) => () => void): void {
  // A Worker's clock stands at 0 where it collects, and nothing there is told of its end.
  if (isWorker()) return;
  if (listen && waiting.size === 0) stopListening = listen(closeAll);
  waiting.add(item);
  if (typeof FinalizationRegistry === "undefined") return;
  collected ??= new FinalizationRegistry((lost) => lost.close());
  collected.unregister(item);
  collected.register(result, item, item);
}

/** Says that `item` has ended. */
export function consumed(item: Closable): void {
  if (waiting.size === 0 || !waiting.delete(item)) return;
  collected?.unregister(item);
  if (waiting.size === 0) stopListening();
}

function closeAll(): void {
  for (const item of [...waiting]) item.close();
}
