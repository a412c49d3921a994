// Flushes clients at the end of a process: when it has nothing left to do, or on signals that the user has chosen.

import type { Closable, Flusher, Signal } from "../../settings.js";
import { closeWhenLost } from "./lost.js";
import { flushWaiting, isWatched, listen, stopListening, watchPage } from "./page.js";

interface Process {
  readonly pid: number;
  prependListener(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
  listenerCount(event: string): number;
  kill(pid: number, signal: string): void;
}

/** Flushes `flusher` before the process or the page ends. Returns `false` if it is already being watched. */
export function watchProcess(flusher: Flusher): boolean {
  if (!watchPage(flusher)) return false;
  listen("beforeExit", () => on("beforeExit", () => void flushWaiting()));
  listenForSignals(flusher);
  return true;
}

/** `closeWhenLost`, which also closes before the process ends. */
export function closeAtExit(item: Closable, result: object): void {
  closeWhenLost(item, result, (close) => on("beforeExit", close));
}

function on(event: string, listener: () => void): () => void {
  const process = processOf();
  process?.prependListener(event, listener);
  return () => process?.off(event, listener);
}

function listenForSignals({ signals }: Pick<Flusher, "signals">): void {
  for (const signal of signals) listen(signal, () => on(signal, () => void flushOnSignal(signal)));
}

function processOf(): Process | undefined {
  const { process } = globalThis as { process?: Partial<Process> };
  return typeof process?.prependListener === "function" ? (process as Process) : undefined;
}

async function flushOnSignal(signal: Signal): Promise<void> {
  const process = processOf() as Process;
  // Our listener runs first. If the host listens too, the host decides whether the process ends.
  const isOurs = process.listenerCount(signal) === 1;
  stopListening(signal); // so that a second signal ends the process at once
  const meant: Flusher[] = [];
  await flushWaiting((flusher) => flusher.signals.includes(signal) && meant.push(flusher) > 0, isOurs);
  if (isOurs) process.kill(process.pid, signal);
  else if (meant.some(isWatched)) listenForSignals({ signals: [signal] }); // the process lives on
}
