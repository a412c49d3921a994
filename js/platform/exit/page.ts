// The end of a page: who is flushed before it. Behind the subpath import `#exit` in bundles for browsers; elsewhere process.ts adds
// the end of a process, and Workers, which end without notice, get none.ts.

import type { Signal } from "../../settings.js";

/** What has something to flush before the end. */
export interface Flusher {
  readonly signals: readonly Signal[];
  /** Never rejects. What can not be delivered is kept, unless the end `isLast`. */
  flushAtExit(isLast?: boolean): Promise<void>;
}

interface Page {
  addEventListener(event: string, listener: () => void): void;
  removeEventListener(event: string, listener: () => void): void;
}

/** While there are any, and only then, the page or the process is listened to. */
const waiting = new Set<Flusher>();
/** What ends to listen, by event. */
const unlisten = new Map<string, () => void>();

/** Flushes `flusher` before the end; gives whether that is new. */
export function watchExit(flusher: Flusher): boolean {
  if (waiting.has(flusher)) return false;
  waiting.add(flusher);
  // A page is seldom closed with notice, but always hidden first; `pagehide` comes where it is not.
  const { document, window } = globalThis as { document?: { readonly visibilityState?: unknown }; window?: Page };
  const flush = (): void => void flushWaiting();
  // It bubbles, and no element can stand in place of a window's methods, as one can of a document's.
  listenTo(window, "visibilitychange", () => document?.visibilityState === "hidden" && flush());
  listenTo(window, "pagehide", flush);
  return true;
}

/** Takes that back. */
export function unwatchExit(flusher: Flusher): void {
  waiting.delete(flusher);
  if (waiting.size > 0) return;
  for (const end of unlisten.values()) end();
  unlisten.clear();
}

/** Whether `flusher` is flushed before the end. */
export function isWatched(flusher: Flusher): boolean {
  return waiting.has(flusher);
}

/** Calls `listener` before a process ends; gives what takes that back. A page's streams may be read on when it is shown again. */
export function onProcessExit(_listener: () => void): () => void {
  return () => {};
}

/** Flushes those that wait, and of them those that are meant. */
export async function flushWaiting(isMeant: (flusher: Flusher) => boolean = () => true, isLast = true): Promise<void> {
  await Promise.all([...waiting].filter(isMeant).map((flusher) => flusher.flushAtExit(isLast)));
}

/** Listens by `start`, which gives what ends that, once for each event. */
export function listen(event: string, start: () => () => void): void {
  if (!unlisten.has(event)) unlisten.set(event, start());
}

/** Listens to `event` no more. */
export function stopListening(event: string): void {
  unlisten.get(event)?.();
  unlisten.delete(event);
}

function listenTo(target: Page | undefined, event: string, listener: () => void): void {
  if (!target) return;
  listen(event, () => {
    target.addEventListener(event, listener);
    return () => target.removeEventListener(event, listener);
  });
}
