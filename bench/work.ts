// The host's own work, which every contender's request waits for in the same way.

import type { Work } from "./shapes.js";

/** What `work` comes to. */
export async function done(work: Work): Promise<object> {
  return work.output;
}

/** The answer of `work` bit by bit; `ended` is told what it came to, as soon as its last bit has been read. */
export async function* streamOf(work: Work, ended: (output: object) => void): AsyncGenerator<string> {
  for (const chunk of work.chunks!) yield chunk;
  ended(await done(work));
}

/** The client, who reads a whole answer. */
export async function readAll(answer: AsyncIterable<string>): Promise<void> {
  for await (const _ of answer);
}
