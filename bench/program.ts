// Runs one contender in a separate process: `program.mjs NAME` prints that it is ready, then reads commands from its
// standard input, a line each, and answers each with a line. So each contender has a separate heap and compiler, and
// their rounds can be interleaved.

import { createInterface } from "node:readline";
import { type Answer, type Command, obey } from "./commands.js";
import { type Contender, SINK_URL } from "./contender.js";
import { openSink } from "./sink.js";

// First, so that a tracer that keeps a reference keeps this one.
const sink = openSink();
// First-time work of the platform counts for no contender.
await fetch(SINK_URL, { method: "POST", body: "" });

const file = `./${process.argv[2]}.mjs`;
const load = (): Promise<{ contender: Contender }> => import(file);

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const answer: Answer = await obey(load, sink, JSON.parse(line) as Command);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
