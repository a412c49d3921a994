// The end of a page: who is flushed before it, and when its network is back. process.ts adds the end of a process.

import type { Flusher } from "../../settings.js";

interface Window {
  addEventListener(event: string, listener: () => void): void;
  removeEventListener(event: string, listener: () => void): void;
}

/** While there are any, and only then, the page or the process is listened to. */
const waiting = new Set<Flusher>();
/** What ends to listen, by event. */
const unlisten = new Map<string, () => void>();

/** Flushes `flusher` before the page ends. `false` where that is seen to already. */
export function watchPage(flusher: Flusher): boolean {
  if (waiting.has(flusher)) return false;
  waiting.add(flusher);
  // A page is seldom closed with notice, but always hidden first; `pagehide` comes where it is not.
  const { document, window } = globalThis as { document?: { readonly visibilityState?: unknown }; window?: Window };
  const flush = (): void => void flushWaiting();
  // It bubbles, and no element can stand in place of a window's methods, as one can of a document's.
  listenTo(window, "visibilitychange", () => document?.visibilityState === "hidden" && flush());
  listenTo(window, "pagehide", flush);
  // What could not be sent need not wait for its next turn.
  listenTo(window, "online", () => void flushWaiting(undefined, false));
  return true;
}

/** Takes that back. */
export function unwatch(flusher: Flusher): void {
  waiting.delete(flusher);
  if (waiting.size > 0) return;
  for (const end of unlisten.values()) end();
  unlisten.clear();
}

/** Whether it is flushed before the end. */
export function isWatched(flusher: Flusher): boolean {
  return waiting.has(flusher);
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

function listenTo(target: Window | undefined, event: string, listener: () => void): void {
  if (!target) return;
  listen(event, () => {
    target.addEventListener(event, listener);
    return () => target.removeEventListener(event, listener);
  });
}
