// The runtimes that run a file as a program: how they are called.

import { join } from "node:path";
import { ROOT } from "./worker.js";

/** By name: the program, and its arguments before the file. */
export const PROGRAMS: Record<string, [program: string, args: string[]]> = {
  Node: [process.execPath, []],
  // Not by way of node_modules/.bin, which may be a program around it that takes its signals.
  Deno: [join(ROOT, "node_modules/deno/deno"), ["run", "--allow-net=127.0.0.1", "--no-prompt"]],
  Bun: [join(ROOT, "node_modules/.bin/bun"), []],
};
