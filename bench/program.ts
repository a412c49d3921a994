// One contender in a process of its own: reads commands from its standard input, a line each, and answers each with a line.
// So each has a heap and a compiler to itself, and the rounds of all can be interleaved.

import { createInterface } from "node:readline";
import { type Answer, type Command, obey } from "./commands.js";
import type { Contender } from "./contender.js";
import { openSink, type Sink } from "./sink.js";

/** Answers until its input ends. */
export async function serve(load: () => Promise<{ contender: Contender }>): Promise<void> {
  // First, so that a tracer that keeps a reference keeps this one.
  const sink: Sink = openSink();
  const { contender } = await load();
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    const answer: Answer = await obey(contender, sink, JSON.parse(line) as Command);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}
