// Where it is measured: a runtime is a row.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Installed } from "../tests/support/installed.js";
import { PROGRAMS } from "../tests/support/programs.js";
import { ROOT } from "../tests/support/worker.js";
import { programOf } from "./bundle.js";
import type { Entry } from "./contenders.js";
import { type Nursery, type Player, startPlayer } from "./players.js";
import { openIsolates, startWorkerPlayer } from "./workerd.js";

/** A runtime. */
export interface Runtime {
  readonly name: string;
  version(): Promise<string>;
  /** Starts a contender in a separate process. */
  start(installed: Installed, entry: Entry): Promise<Player>;
  /** Opens what these are started afresh in: a process for each, or an isolate. */
  open(installed: Installed, entries: readonly Entry[]): Promise<Nursery>;
}

const WORKERD: Runtime = {
  name: "workerd",
  version: async () => JSON.parse(await readFile(join(ROOT, "node_modules/workerd/package.json"), "utf8")).version,
  start: startWorkerPlayer,
  open: openIsolates,
};

/** All of them: the Nodes of tests/nodes, workerd, Deno and Bun. */
export const RUNTIMES: readonly Runtime[] = [
  ...Object.keys(PROGRAMS)
    .filter((name) => name.startsWith("Node"))
    .map((name) => ofPrograms(name)),
  WORKERD,
  // The peers read variables, and more.
  ofPrograms("Deno", "run", "--allow-all", "--no-prompt"),
  ofPrograms("Bun"),
];

function ofPrograms(name: string, ...args: string[]): Runtime {
  const [program] = PROGRAMS[name]!;
  const start = async (installed: Installed, entry: Entry): Promise<Player> =>
    startPlayer(entry, program, [...args, ...(await programOf(installed, entry.file))]);
  return {
    name,
    version: async () => /\d+\.\d+\.\d+/.exec((await promisify(execFile)(program, ["--version"])).stdout)![0],
    start,
    open: async (installed) => ({ start: (entry) => start(installed, entry), close: async () => {} }),
  };
}
