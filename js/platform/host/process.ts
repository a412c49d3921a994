// The end of a process: when it has nothing left to do, or on a signal, if the user wants that.

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

/** Flushes `flusher` before the process or the page ends. `false` where that is seen to already. */
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
  // Ours is asked first. Where the host listens too, it is the host that ends the process, or lets it live.
  const isOurs = process.listenerCount(signal) === 1;
  stopListening(signal); // the same signal a second time ends the process at once
  const meant: Flusher[] = [];
  await flushWaiting((flusher) => flusher.signals.includes(signal) && meant.push(flusher) > 0, isOurs);
  if (isOurs) process.kill(process.pid, signal);
  else if (meant.some(isWatched)) listenForSignals({ signals: [signal] }); // the process lives on
}
