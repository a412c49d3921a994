// The contenders in workerd: a process and an isolate of its own for each.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Installed } from "../tests/support/installed.js";
import { ownWorkerds } from "../tests/support/processes.js";
import { startModules } from "../tests/support/worker.js";
import { bundleWorker } from "./bundle.js";
import type { Answer } from "./commands.js";
import type { Entry } from "./contenders.js";
import { type Player, type Timed, timed } from "./players.js";

/** A Worker that runs. */
export interface Worker {
  readonly url: string;
  readonly pid: number;
  /** What `run` gives, and how long it took: on the wall, and of this process's CPU time. */
  timed<T>(run: () => Promise<T>): Promise<Timed<T>>;
  close(): Promise<void>;
}

/** Starts a Worker of one module, in a process of its own. */
export async function startWorker(
  installed: Installed,
  code: string,
  flags?: readonly string[],
  miniflare: Readonly<Record<string, unknown>> = {},
): Promise<Worker> {
  const before = await ownWorkerds();
  const wasm = await readFile(join(installed.folder, "node_modules/opik-edge/pkg/core_bg.wasm"));
  const modules = [
    { type: "ESModule", path: "/worker.js", contents: code },
    { type: "CompiledWasm", path: "/core_bg.wasm", contents: wasm },
  ] as const;
  const worker = await startModules([...modules], {
    ...(flags && { compatibilityFlags: [...flags] }),
    miniflare,
  });
  const [pid] = (await ownWorkerds()).filter((one) => !before.includes(one));
  if (pid === undefined) throw new Error("there is no workerd");
  return { url: worker.url, pid, timed: (run) => timed(pid, run), close: worker.close };
}

/** Starts a contender. */
export async function startWorkerPlayer(installed: Installed, entry: Entry): Promise<Player> {
  const code = await bundleWorker(
    installed,
    `import { workerOf } from "./worker.js"; export default workerOf(() => import("./contenders/${entry.file}.js"));`,
  );
  const { url, pid, close } = await startWorker(installed, code, entry.flags);
  return {
    entry,
    pid,
    async ask(command) {
      const response = await fetch(url, { method: "POST", body: JSON.stringify(command) });
      const text = await response.text();
      if (!response.ok) throw new Error(`${entry.name} in workerd: ${response.status} ${text}`);
      return JSON.parse(text) as Answer;
    },
    close,
  };
}
