// What a tracer costs before it has done anything: an isolate of workerd until its first response, against the same Worker
// without one, and what an import costs in Node.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Installed } from "../tests/support/installed.js";
import { bundleWorker } from "./bundle.js";
import { CONTENDERS, type Entry, FLOOR, OURS, PLAIN, UNTRACED, WRAPPED } from "./contenders.js";
import { environment } from "./players.js";
import { type Spread, spread } from "./rounds.js";
import { startWorker } from "./workerd.js";

/** How a contender starts in workerd. */
export interface Start {
  readonly entry: Entry;
  /** From the request for an isolate to its first response, in ms more than without tracing; a text says why there is none. */
  readonly beyond: Spread | string;
  /** The same in CPU time of the process. */
  readonly cpuBeyond?: Spread;
}

/** A host that makes an isolate for each request, of the Workers that it has been sent. */
const HOST = `
const workers = new Map();
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (request.method === "PUT") {
      const form = await request.formData();
      workers.set(pathname, {
        compatibilityDate: "2026-04-01",
        compatibilityFlags: JSON.parse(form.get("flags")),
        mainModule: "worker.js",
        modules: { "worker.js": form.get("code"), "core_bg.wasm": { wasm: await form.get("wasm").arrayBuffer() } },
      });
      return new Response();
    }
    const stub = env.LOADER.get(crypto.randomUUID(), () => workers.get(pathname));
    return stub.getEntrypoint().fetch(request);
  },
};`;

/** Starts every contender in isolates of its own, in rounds. */
export async function startUp(installed: Installed, rounds: number): Promise<Start[]> {
  const entries = [UNTRACED, ...CONTENDERS.filter((entry) => ![FLOOR, OURS, PLAIN].includes(entry))];
  const host = await startWorker(installed, HOST, undefined, { workerLoaders: { LOADER: {} } });
  try {
    const wasm = await readFile(join(installed.folder, "node_modules/opik-edge/pkg/core_bg.wasm"));
    for (const { file, flags = ["nodejs_als"] } of entries) {
      const form = new FormData();
      form.set("code", await bundleWorker(installed, firstRequest(file), { minify: true }));
      form.set("flags", JSON.stringify(flags));
      form.set("wasm", new Blob([wasm]));
      await fetch(`${host.url}/${file}`, { method: "PUT", body: form });
    }
    const start = async ({ file }: Entry) => {
      const { wallMs, cpuMs, result } = await host.timed(() => fetch(`${host.url}/${file}`));
      const text = await result.text();
      return { wallMs, cpuMs, failure: result.ok ? undefined : text };
    };
    const failures = new Map<Entry, string>();
    for (const entry of entries) {
      const { failure } = await start(entry);
      if (failure !== undefined) failures.set(entry, failure.split("\n", 1)[0]!);
    }
    const able = entries.filter((entry) => !failures.has(entry));
    const wall = new Map<Entry, number[]>(able.map((entry) => [entry, []]));
    const cpu = new Map<Entry, number[]>(able.map((entry) => [entry, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (let n = 0; n < able.length; n += 1) {
        const entry = able[(n + round) % able.length]!;
        const { wallMs, cpuMs } = await start(entry);
        wall.get(entry)!.push(wallMs);
        cpu.get(entry)!.push(cpuMs);
      }
    }
    const beyond = (of: Map<Entry, number[]>, entry: Entry): Spread =>
      spread(of.get(entry)!.map((value, round) => value - of.get(UNTRACED)![round]!));
    return entries.slice(1).map((entry) => {
      const failure = failures.get(entry);
      if (failure !== undefined) return { entry, beyond: failure };
      return { entry, beyond: beyond(wall, entry), cpuBeyond: beyond(cpu, entry) };
    });
  } finally {
    await host.close();
  }
}

/** A Worker as one is written: what it needs is imported at its top. */
function firstRequest(file: string): string {
  return `
    import "./open-sink.js";
    import { contender } from "./contenders/${file}.js";
    import { EDGE } from "./shapes.js";
    export default {
      async fetch() {
        try {
          await contender.request(EDGE);
          return new Response("ok");
        } catch (error) {
          return new Response(String(error), { status: 500 });
        }
      },
    };`;
}

/** What importing costs in a new process of Node, in ms. */
export interface Imported {
  readonly entry: Entry;
  readonly ms: Spread;
}

/** Imports what each contender imports, in new processes, in rounds. */
export async function importAll(installed: Installed, rounds: number): Promise<Imported[]> {
  const entries = CONTENDERS.filter((entry) => entry.package && entry !== WRAPPED);
  const times = new Map<Entry, number[]>(entries.map((entry) => [entry, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const entry of entries) times.get(entry)!.push(await importOnce(installed, entry));
  }
  return entries.map((entry) => ({ entry, ms: spread(times.get(entry)!) }));
}

async function importOnce(installed: Installed, entry: Entry): Promise<number> {
  const source = await readFile(join(import.meta.dirname, `contenders/${entry.file}.ts`), "utf8");
  const packages = [...source.matchAll(/^import (?!type).* from "([^."][^"]*)";$/gm)].map(([, name]) => name);
  const program = `
    const begun = performance.now();
    ${packages.map((name) => `await import("${name}");`).join("\n")}
    console.log(performance.now() - begun);
    process.exit();`;
  const cwd = entry === OURS ? installed.folder : import.meta.dirname;
  const args = ["--input-type=module", "-e", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env: environment() });
  return Number(stdout);
}
