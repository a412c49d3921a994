// Runs all cases in a runtime, bundled with the SDKs: they are what is tried, and not how a runtime finds them.

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

/** The Node whose `fetch` can be told of a proxy. */
const NODE = Object.keys(PROGRAMS).findLast((name) => name.startsWith("Node"))!;
/** Where all cases run. The first is where they run fastest. */
export const RUNTIMES: readonly string[] = [NODE, "workerd", "Deno", "Bun"];

/** Runs them there. */
export async function runIn(runtime: string, server: ModelServer, job: Job): Promise<Told> {
  return runtime === "workerd" ? runInWorker(server, job) : runInProcess(runtime, server, job);
}

/** What an SDK looks at in Deno besides the network. */
const DENO = [
  "run",
  `--allow-net=127.0.0.1,${HOSTS.join(",")}`,
  "--allow-env",
  "--allow-sys",
  "--allow-read",
  "--no-prompt",
];

async function runInProcess(runtime: string, server: ModelServer, job: Job): Promise<Told> {
  const file = await bundleProgram();
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

/** What has a process of any runtime, or of Python, call the server in place of everybody. */
export function environment(server: ModelServer): NodeJS.ProcessEnv {
  // Lower case too, which some look at first.
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

let bundled: Promise<string> | undefined;

/** The program with the SDKs in it. The package itself stays outside: each runtime finds its own entry. */
function bundleProgram(): Promise<string> {
  bundled ??= (async () => {
    const outfile = join(ROOT, "target/models/program.mjs");
    await mkdir(join(ROOT, "target/models"), { recursive: true });
    await build({
      absWorkingDir: ROOT,
      entryPoints: ["tests/models/program.ts"],
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
  })();
  return bundled;
}

async function runInWorker(server: ModelServer, job: Job): Promise<Told> {
  const lines: string[] = [];
  const worker = await startWorker("tests/models/worker.ts", {
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
