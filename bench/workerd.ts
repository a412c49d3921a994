// The contenders in workerd: each in a separate process, or in fresh isolates of a shared process.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Installed } from "../tests/support/installed.js";
import { ownWorkerds } from "../tests/support/processes.js";
import { startModules, type WorkerModule } from "../tests/support/worker.js";
import { bundleWorker } from "./bundle.js";
import type { Answer } from "./commands.js";
import type { Entry } from "./contenders.js";
import type { Nursery, Player } from "./players.js";

/** Starts a contender in a separate process. */
export async function startWorkerPlayer(installed: Installed, entry: Entry): Promise<Player> {
  const { url, pid, close } = await startWorker(installed, await codeOf(installed, entry), entry.flags);
  return { entry, pid, ask: (command) => ask(entry, url, JSON.stringify(command)), close };
}

/** A host that makes isolates of the Workers that it has been sent: `/NAME/ID` is asked what an isolate of that id is. */
const HOST = `
const workers = new Map();
export default {
  async fetch(request, env) {
    const [, name, id] = new URL(request.url).pathname.split("/");
    if (request.method === "PUT") {
      const form = await request.formData();
      workers.set(name, {
        compatibilityDate: "2026-04-01",
        compatibilityFlags: JSON.parse(form.get("flags")),
        mainModule: "worker.js",
        modules: {
          "worker.js": form.get("code"),
          "core_bg.wasm": { wasm: await form.get("core_bg.wasm").arrayBuffer() },
          "llm_bg.wasm": { wasm: await form.get("llm_bg.wasm").arrayBuffer() },
        },
      });
      return new Response();
    }
    return env.LOADER.get(id, () => workers.get(name)).getEntrypoint().fetch(request);
  },
};`;

/** A process in which each of these contenders can be started again and again, in a fresh isolate. */
export async function openIsolates(installed: Installed, entries: readonly Entry[]): Promise<Nursery> {
  const { url, pid, close } = await startWorker(installed, HOST, undefined, { workerLoaders: { LOADER: {} } });
  const wasm = await wasmOf(installed);
  for (const entry of entries) {
    const form = new FormData();
    form.set("code", await codeOf(installed, entry));
    form.set("flags", JSON.stringify(entry.flags ?? ["nodejs_als"]));
    for (const [file, contents] of wasm) form.set(file, new Blob([contents]));
    await fetch(`${url}/${entry.file}`, { method: "PUT", body: form });
  }
  const start = async (entry: Entry): Promise<Player> => {
    const isolate = `${url}/${entry.file}/${randomUUID()}`;
    return { entry, pid, ask: (command) => ask(entry, isolate, JSON.stringify(command)), close: async () => {} };
  };
  return { start, close };
}

async function startWorker(
  installed: Installed,
  code: string,
  flags?: readonly string[],
  miniflare: Readonly<Record<string, unknown>> = {},
): Promise<{ url: string; pid: number; close(): Promise<void> }> {
  const before = await ownWorkerds();
  const wasm = await wasmOf(installed);
  const modules: WorkerModule[] = [
    { type: "ESModule", path: "/worker.js", contents: code },
    ...wasm.map(([file, contents]) => ({ type: "CompiledWasm" as const, path: `/${file}`, contents })),
  ];
  const { url, close } = await startModules(modules, {
    ...(flags && { compatibilityFlags: [...flags] }),
    miniflare,
  });
  const [pid] = (await ownWorkerds()).filter((one) => !before.includes(one));
  if (pid === undefined) throw new Error("there is no workerd");
  return { url, pid, close };
}

function codeOf(installed: Installed, { file }: Entry): Promise<string> {
  const load = `() => import("./contenders/${file}.js")`;
  return bundleWorker(installed, `import { workerOf } from "./worker.js"; export default workerOf(${load});`);
}

/** The modules that a Worker of this package may import, by the names that it has for them. */
function wasmOf({ folder }: Installed): Promise<[file: string, contents: Buffer<ArrayBuffer>][]> {
  return Promise.all(
    ["core_bg.wasm", "llm/llm_bg.wasm"].map(
      async (path): Promise<[string, Buffer<ArrayBuffer>]> => [
        basename(path),
        await readFile(join(folder, "node_modules/opik-edge/pkg", path)),
      ],
    ),
  );
}

async function ask({ name }: Entry, url: string, command: string): Promise<Answer> {
  const response = await fetch(url, { method: "POST", body: command });
  const text = await response.text();
  if (!response.ok) throw new Error(`${name} in workerd: ${response.status} ${text}`);
  return JSON.parse(text) as Answer;
}
