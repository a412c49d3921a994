// Asks the server, and listens for changes.

import { useEffect, useRef, useState } from "preact/hooks";
import type { ChangeEvent } from "../api.js";

/** The state of a question. */
export interface Asked<T> {
  readonly data: T | undefined;
  readonly error: string | undefined;
}

/** Asks once; rejects with the server's message. */
export async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(`/api/viewer/${path}`, init);
  const text = await response.text();
  if (response.ok) return (text === "" ? undefined : JSON.parse(text)) as T;
  let message = `HTTP ${response.status}`;
  try {
    message = (JSON.parse(text) as { message: string }).message;
  } catch {}
  throw new Error(message);
}

/** Asks, and asks again after each change. The last answer stays until the path changes. */
export function useAnswer<T>(path: string, isConcerned: (event: ChangeEvent) => boolean = () => true): Asked<T> {
  const [asked, setAsked] = useState<Asked<T> & { path: string }>({ path, data: undefined, error: undefined });
  const concerned = useRef(isConcerned);
  concerned.current = isConcerned;
  useEffect(() => {
    let isGone = false;
    let isAsking = false;
    let isStale = false;
    const again = async () => {
      isStale = true;
      if (isAsking) return;
      isAsking = true;
      while (isStale && !isGone) {
        isStale = false;
        try {
          const data = await ask<T>(path);
          if (!isGone) setAsked({ path, data, error: undefined });
        } catch (error) {
          if (!isGone) setAsked({ path, data: undefined, error: (error as Error).message });
        }
      }
      isAsking = false;
    };
    again();
    const stop = onChange((event) => concerned.current(event) && again());
    return () => {
      isGone = true;
      stop();
    };
  }, [path]);
  return asked.path === path ? asked : { data: undefined, error: undefined };
}

const listeners = new Set<(event: ChangeEvent) => void>();
let source: EventSource | undefined;
let isPaused = false;

/** Calls `listener` on every change, until the function that it returns is called. */
export function onChange(listener: (event: ChangeEvent) => void): () => void {
  listeners.add(listener);
  if (!source) {
    source = new EventSource("/api/viewer/events");
    source.onmessage = ({ data }) => tell(JSON.parse(data as string) as ChangeEvent);
    // While it was gone, anything may have happened.
    let wasLost = false;
    source.onerror = () => {
      wasLost = true;
    };
    source.onopen = () => {
      if (wasLost) tell({ traces: null });
      wasLost = false;
    };
  }
  return () => listeners.delete(listener);
}

/** Stops the display of changes, or continues it. */
export function pause(paused: boolean): void {
  isPaused = paused;
  if (!paused) tell({ traces: null });
}

function tell(event: ChangeEvent): void {
  if (isPaused) return;
  for (const listener of [...listeners]) listener(event);
}
