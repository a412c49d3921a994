// Flushes clients before a page ends, and when its network is back. process.ts does the same for the end of a process.

import type { Flusher } from "../../settings.js";

interface Window {
  addEventListener(event: string, listener: () => void): void;
  removeEventListener(event: string, listener: () => void): void;
}

/** The page or the process has listeners only while this set is not empty. */
const waiting = new Set<Flusher>();
/** Functions that remove the listeners, by event. */
const unlisten = new Map<string, () => void>();

/** Flushes `flusher` before the page ends. Returns `false` if it is already being watched. */
export function watchPage(flusher: Flusher): boolean {
  if (waiting.has(flusher)) return false;
  waiting.add(flusher);
  // Closing a page seldom fires an event, but it is always hidden first; `pagehide` covers the cases without
  // `visibilitychange`.
  const { document, window } = globalThis as { document?: { readonly visibilityState?: unknown }; window?: Window };
  const flush = (): void => void flushWaiting();
  // The event bubbles to the window. An element can shadow the methods of a document, but not of a window.
  listenTo(window, "visibilitychange", () => document?.visibilityState === "hidden" && flush());
  listenTo(window, "pagehide", flush);
  // Unsent rows are sent at once, without waiting for the next interval.
  listenTo(window, "online", () => void flushWaiting(undefined, false));
  return true;
}

/** Stops watching `flusher`. */
export function unwatch(flusher: Flusher): void {
  waiting.delete(flusher);
  if (waiting.size > 0) return;
  for (const end of unlisten.values()) end();
  unlisten.clear();
}

/** `true` if `flusher` is flushed before the end. */
export function isWatched(flusher: Flusher): boolean {
  return waiting.has(flusher);
}

/** Flushes the waiting clients that `isMeant` accepts. */
export async function flushWaiting(isMeant: (flusher: Flusher) => boolean = () => true, isLast = true): Promise<void> {
  await Promise.all([...waiting].filter(isMeant).map((flusher) => flusher.flushAtExit(isLast)));
}

/** Starts to listen for `event`, once for each event. `start` returns a function that removes the listener. */
export function listen(event: string, start: () => () => void): void {
  if (!unlisten.has(event)) unlisten.set(event, start());
}

/** Stops listening to `event`. */
export function stopListening(event: string): void {
  unlisten.get(event)?.();
  unlisten.delete(event);
}

function listenTo(target: Window | undefined, event: string, listener: () => void): void {
  if (!target) return;
  listen(event, () => {
    target.addEventListener(event, listener);
    return () => target.removeEventListener(event, listener);
  });
}
