#!/usr/bin/env node

// The command: `opik-edge-viewer`, by way of `opik-edge dev` too. It serves the page, runs a command beside it, or prints
// trees.

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Status } from "../api.js";
import { type Collector, startCollector, VERSION } from "../server/server.js";
import { printTrees } from "./tail.js";

const USAGE = `opik-edge-viewer [options]                  serve the page until Ctrl-C
opik-edge-viewer [options] run -- command   the same beside a command that sends its traces there
opik-edge-viewer [options] tail [--once]    print traces as trees, or only the first one

  --port PORT            where it listens (5173)
  --file FILE            keep traces in a file, which takes Node 22.13 (in memory)
  --import FILE          read an export first
  --forward URL          pass everything on to the Opik of this URL, with OPIK_API_KEY and OPIK_WORKSPACE
  --forward-browser      also what pages send
  --host ADDRESS         listen there as well as other machines reach it (127.0.0.1)
  --allow-host NAME      answer to this name too, such as host.docker.internal`;

const OPTIONS = {
  port: { type: "string", default: "5173" },
  file: { type: "string" },
  import: { type: "string" },
  forward: { type: "string" },
  "forward-browser": { type: "boolean", default: false },
  host: { type: "string" },
  "allow-host": { type: "string", multiple: true },
  once: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
  version: { type: "boolean", default: false },
} as const;

/** The viewer of this process, or of another process that uses the port. */
interface Running {
  /** Where its page is. */
  readonly url: string;
  readonly collector: Collector | undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const at = args.indexOf("--");
  const command = at < 0 ? [] : args.slice(at + 1);
  const { values, positionals } = parseArgs({
    args: at < 0 ? [...args] : args.slice(0, at),
    options: OPTIONS,
    allowPositionals: true,
  });
  const [verb = "serve", ...rest] = positionals;
  if (
    values.help ||
    !["serve", "run", "tail"].includes(verb) ||
    rest.length > 0 ||
    (verb === "run") !== command.length > 0
  ) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.version) {
    console.log(VERSION);
    return 0;
  }
  const running = await start(values);
  try {
    if (verb === "tail") {
      const onReady = () => greet(running, values.file, console.error);
      await printTrees(running.url, { once: values.once, print: console.log, onReady });
      return 0;
    }
    if (verb === "run") {
      greet(running, values.file, console.error);
      return await run(command, running.url);
    }
    greet(running, values.file, console.log);
    if (running.collector) await untilSignal();
    return 0;
  } finally {
    await running.collector?.close();
  }
}

async function start(values: {
  readonly port: string;
  readonly file?: string;
  readonly import?: string;
  readonly forward?: string;
  readonly "forward-browser": boolean;
  readonly host?: string;
  readonly "allow-host"?: string[];
}): Promise<Running> {
  const port = Number(values.port);
  if (!(Number.isInteger(port) && port >= 0 && port < 65_536))
    throw new Error(`--port ${values.port}: expected a number up to 65535`);
  const { file, import: importFrom, forward, host, "allow-host": allowHosts } = values;
  if (host !== undefined && allowHosts === undefined) {
    throw new Error("--host needs --allow-host: the names that it may be called by");
  }
  try {
    const collector = await startCollector({
      port,
      ...(file !== undefined && { file }),
      ...(importFrom !== undefined && { importFrom }),
      ...(host !== undefined && { host }),
      ...(allowHosts && { allowHosts }),
      ...(forward !== undefined && {
        forward: {
          url: forward,
          apiKey: process.env["OPIK_API_KEY"],
          workspace: process.env["OPIK_WORKSPACE"],
          fromBrowsers: values["forward-browser"],
        },
      }),
    });
    if (host !== undefined) console.error(`Other machines can reach it at ${host}, and read all traces.`);
    return { url: collector.url.replace(/api$/, ""), collector };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    const url = `http://127.0.0.1:${port}/`;
    const version = await versionAt(url);
    if (version === undefined) throw new Error(`port ${port} is taken by another program: choose one with --port`);
    if (file !== undefined || importFrom !== undefined || forward !== undefined) {
      throw new Error(`a viewer runs at ${url} already, without these options: end it first, or choose another --port`);
    }
    return { url, collector: undefined };
  }
}

/** The version of the viewer at `url`; `undefined` if no viewer answers. */
async function versionAt(url: string): Promise<string | undefined> {
  try {
    const { version } = (await (await fetch(`${url}api/viewer/status`)).json()) as Status;
    return typeof version === "string" ? version : undefined;
  } catch {
    return undefined;
  }
}

function greet({ url, collector }: Running, file: string | undefined, print: (line: string) => void): void {
  const variable = `OPIK_URL_OVERRIDE=${url}api`;
  print(`${collector ? "Traces" : "A viewer runs already"}: ${url}`);
  print(`Send them there with ${variable}`);
  if (["wrangler.toml", "wrangler.json", "wrangler.jsonc"].some((name) => existsSync(name)) && !isInDevVars(variable)) {
    print(`wrangler dev reads variables from .dev.vars alone: add the line ${variable}`);
  }
  if (file !== undefined && isInRepository()) print(`${file} holds what your users write: keep it out of git`);
}

function isInDevVars(variable: string): boolean {
  return existsSync(".dev.vars") && readFileSync(".dev.vars", "utf8").includes(variable);
}

function isInRepository(): boolean {
  for (let folder = process.cwd(); ; folder = join(folder, "..")) {
    if (existsSync(join(folder, ".git"))) return true;
    if (folder === join(folder, "..")) return false;
  }
}

/** Runs a command to its end; its exit code. */
function run([program, ...args]: readonly string[], url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, OPIK_URL_OVERRIDE: `${url}api` };
    const child = spawn(program!, args, { stdio: "inherit", env, shell: process.platform === "win32" });
    // A terminal signals the command itself; anybody else signals us.
    const pass = (signal: NodeJS.Signals) => child.kill(signal);
    process.on("SIGINT", () => {}).on("SIGTERM", pass);
    child.on("error", ({ message }) => reject(new Error(`${program} does not start: ${message}`)));
    child.on("exit", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
}

// Node 22 warns of its SQLite, whose tables are ours to keep readable.
const { emitWarning } = process;
process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
  if (!String(warning).includes("SQLite is an experimental feature")) emitWarning.call(process, warning, ...rest);
}) as typeof emitWarning;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`opik-edge-viewer: ${(error as Error).message}`);
  process.exitCode = 1;
}
