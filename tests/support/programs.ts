// Command lines of the runtimes that run a file as a program.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./worker.js";

type Command = [program: string, args: string[]];

/** The Nodes of tests/nodes. The first is the oldest version that the package supports. Without them, the running Node. */
const NODES = ["20", "22", "24"].flatMap((major): [string, Command][] => {
  const program = join(ROOT, `tests/nodes/node_modules/node-${major}/bin/node`);
  return existsSync(program) ? [[`Node ${major}`, [program, []]]] : [];
});
const atHand: [string, Command] = [`Node ${process.versions.node.split(".", 1)[0]}`, [process.execPath, []]];

/** By name: the program, and its arguments before the file. */
export const PROGRAMS: Record<string, Command> = {
  ...Object.fromEntries(NODES.length > 0 ? NODES : [atHand]),
  // Bypasses node_modules/.bin, where a wrapper may run that intercepts signals.
  Deno: [join(ROOT, "node_modules/deno/deno"), ["run", "--allow-net=127.0.0.1", "--no-prompt"]],
  Bun: [join(ROOT, "node_modules/.bin/bun"), []],
};
