// A contender in a process of its own: `program.mjs NAME` says when it is ready, then reads commands from its standard input,
// a line each, and answers each with a line. So each has a heap and a compiler to itself, and the rounds of all can be interleaved.

import { createInterface } from "node:readline";
import { type Answer, type Command, obey } from "./commands.js";
import { type Contender, SINK_URL } from "./contender.js";
import { openSink } from "./sink.js";

// First, so that a tracer that keeps a reference keeps this one.
const sink = openSink();
// What the platform does at its first use is nobody's.
await fetch(SINK_URL, { method: "POST", body: "" });

const file = `./${process.argv[2]}.mjs`;
const load = (): Promise<{ contender: Contender }> => import(file);

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const answer: Answer = await obey(load, sink, JSON.parse(line) as Command);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
