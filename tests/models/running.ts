// Runs all cases in a runtime. The SDKs are bundled: the tests are about the SDKs, not about module resolution.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import { PROGRAMS } from "../support/programs.js";
import { ROOT, startWorker } from "../support/worker.js";
import { type Job, MARK, type Told } from "./case.js";
import { HOSTS, type ModelServer } from "./server.js";

/** The newest Node, whose `fetch` can use a proxy. */
const NODE = Object.keys(PROGRAMS).findLast((name) => name.startsWith("Node"))!;
/** Runtimes for the cases. The first is the fastest. */
export const RUNTIMES: readonly string[] = [NODE, "workerd", "Deno", "Bun"];

/** The files of a program: for a process, and for a Worker. */
interface Program {
  readonly program: string;
  readonly worker: string;
}
const CASES: Program = { program: "tests/models/program.ts", worker: "tests/models/worker.ts" };

/** Runs all cases in this runtime. */
export async function runIn(runtime: string, server: ModelServer, job: Job): Promise<Told> {
  return runProgram(runtime, server, job, CASES);
}

/** Runs a program in this runtime, and returns what it tells. */
export async function runProgram<T>(runtime: string, server: ModelServer, job: object, files: Program): Promise<T> {
  return runtime === "workerd" ? runInWorker(server, job, files) : runInProcess(runtime, server, job, files);
}

/** Deno's arguments, with the permissions that SDKs need besides the network. */
const DENO = [
  "run",
  `--allow-net=127.0.0.1,${HOSTS.join(",")}`,
  "--allow-env",
  "--allow-sys",
  "--allow-read",
  "--no-prompt",
];

async function runInProcess<T>(
  runtime: string,
  server: ModelServer,
  job: object,
  { program: entry }: Program,
): Promise<T> {
  const file = await bundleProgram(entry);
  const [program, args] = PROGRAMS[runtime]!;
  const given = [...(runtime === "Deno" ? DENO : args), file, JSON.stringify(job)];
  const child = spawn(program, given, {
    cwd: ROOT,
    env: environment(server),
    timeout: 300_000,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  const line = stdout.split("\n").find((printed) => printed.startsWith(MARK));
  if (line === undefined || code !== 0)
    throw new Error(`${runtime} ended with ${code}: ${stdout.slice(-2000)}${stderr.slice(-4000)}`);
  if (stderr.includes("opik-edge:")) throw new Error(`${runtime} reported: ${stderr.slice(-4000)}`);
  return JSON.parse(line.slice(MARK.length));
}

/** Environment variables that make the server a proxy for every host, in any runtime and in Python. */
export function environment(server: ModelServer): NodeJS.ProcessEnv {
  // Lower case as well, because some programs read those names first.
  const around = { http_proxy: server.url, https_proxy: server.url, no_proxy: "127.0.0.1" };
  return {
    ...process.env,
    ...around,
    ...Object.fromEntries(Object.entries(around).map(([name, value]) => [name.toUpperCase(), value])),
    NODE_USE_ENV_PROXY: "1",
    NODE_EXTRA_CA_CERTS: server.certificate,
    DENO_CERT: server.certificate,
    SSL_CERT_FILE: server.certificate,
  };
}

const bundled = new Map<string, Promise<string>>();

/** Bundles the program with the SDKs. The package stays external, so that each runtime resolves its own entry. */
function bundleProgram(entry: string): Promise<string> {
  const made = bundled.get(entry) ?? bundleInto(entry, `target/models/${entry.replaceAll(/\W+/g, "-")}.mjs`);
  bundled.set(entry, made);
  return made;
}

async function bundleInto(entry: string, file: string): Promise<string> {
  const outfile = join(ROOT, file);
  await mkdir(join(ROOT, "target/models"), { recursive: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    keepNames: true,
    external: ["opik-edge", "opik-edge/*"],
    logLevel: "error",
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  return outfile;
}

async function runInWorker<T>(server: ModelServer, job: object, { worker: entry }: Program): Promise<T> {
  const lines: string[] = [];
  const worker = await startWorker(entry, {
    compatibilityFlags: ["nodejs_compat"],
    miniflare: { outboundService: { node: server.outbound } },
    onLog: (line) => lines.push(line),
  });
  try {
    const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(job) });
    const told = await response.text();
    if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${told}\n${lines.join("\n")}`);
    const reported = lines.filter((line) => line.includes("opik-edge:"));
    if (reported.length > 0) throw new Error(`the Worker reported: ${reported.join("\n")}`);
    return JSON.parse(told);
  } finally {
    await worker.close();
  }
}
