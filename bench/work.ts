// The host's own work, which every contender's request waits for in the same way.

import type { Work } from "./shapes.js";

/** The result of `work`. */
export async function done(work: Work): Promise<object> {
  return work.output;
}

/** Sends the answer of `work` bit by bit; calls `ended` with the result as soon as its last bit has been read. */
export async function* streamOf(work: Work, ended: (output: object) => void): AsyncGenerator<string> {
  for (const chunk of work.chunks!) yield chunk;
  ended(await done(work));
}

/** The client, who reads a whole answer. */
export async function readAll(answer: AsyncIterable<string>): Promise<void> {
  for await (const _ of answer);
}
