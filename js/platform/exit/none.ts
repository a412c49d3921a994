// Where nothing ends with notice: in Workers.

import type { Flusher } from "./page.js";

export function watchExit(_flusher: Flusher): boolean {
  return false;
}

export function unwatchExit(_flusher: Flusher): void {}

export function isWatched(_flusher: Flusher): boolean {
  return false;
}

export function onProcessExit(_listener: () => void): () => void {
  return () => {};
}
