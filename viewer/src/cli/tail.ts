// Prints traces as trees, each as soon as it has come to rest.

import type { ChangeEvent, ListAnswer } from "../api.js";

/** A trace is printed after this time without a change. The second time is for open traces. */
const [REST_MS, OPEN_REST_MS] = [500, 5000];

/** How to print them. */
export interface TailOptions {
  /** Ends after the first one. */
  readonly once: boolean;
  readonly print: (tree: string) => void;
  /** Is called once nothing that comes is missed. */
  readonly onReady: () => void;
}

/** Prints what the viewer at `url` is sent from now on, until it ends. */
export async function printTrees(url: string, { once, print, onReady }: TailOptions): Promise<void> {
  const abort = new AbortController();
  const resting = new Map<string, NodeJS.Timeout>();
  const look = async (id: string, isLate: boolean) => {
    const trace = await fetch(`${url}api/viewer/traces/${id}`, { signal: abort.signal });
    if (!trace.ok || abort.signal.aborted) return;
    const { summary } = (await trace.json()) as { summary: ListAnswer["traces"][number] };
    if (summary.ms === null && !isLate) return rest(id, true);
    resting.delete(id);
    print(await (await fetch(`${url}api/trees/${id}`, { signal: abort.signal })).text());
    if (once) abort.abort();
  };
  // One after the other, so that they stand in the order in which they came.
  let looking = Promise.resolve();
  const rest = (id: string, isLate = false) => {
    clearTimeout(resting.get(id));
    const lookNow = () => {
      looking = looking.then(() => look(id, isLate)).catch(() => {});
    };
    const timer = setTimeout(lookNow, isLate ? OPEN_REST_MS : REST_MS);
    resting.set(id, timer);
  };
  try {
    for await (const event of events(url, abort.signal, onReady)) {
      for (const id of event.traces ?? (await latest(url))) rest(id);
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    for (const timer of resting.values()) clearTimeout(timer);
  }
}

/** The newest traces, for an event without ids. */
async function latest(url: string): Promise<string[]> {
  const { traces } = (await (await fetch(`${url}api/viewer/traces?limit=20`)).json()) as ListAnswer;
  return traces.map(({ id }) => id);
}

async function* events(url: string, signal: AbortSignal, onReady: () => void): AsyncGenerator<ChangeEvent> {
  const { body } = await fetch(`${url}api/viewer/events`, { signal });
  onReady();
  let text = "";
  for await (const chunk of body!.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>) {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop()!;
    for (const line of lines) if (line.startsWith("data: ")) yield JSON.parse(line.slice(6)) as ChangeEvent;
  }
}
