// Components in `wasmtime serve`: composed, started on a free port, and asked.

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { freePort } from "../support/ports.js";
import { endWithUs } from "../support/processes.js";
import { ROOT } from "../support/worker.js";

export const BUILT = join(ROOT, "target/component");

/** A program of the tools for components. scripts/setup component installs them, scripts/check names their folder. */
export function tool(name: string): string {
  const tools = process.env["OPIK_EDGE_COMPONENT_TOOLS"];
  if (!tools) throw new Error("OPIK_EDGE_COMPONENT_TOOLS names no folder: run scripts/check component");
  return join(tools, name);
}

/** The version of wasmtime. */
export function wasmtimeVersion(): string {
  const version = execFileSync(tool("wasmtime"), ["--version"], { encoding: "utf8" });
  return /[\d.]+/.exec(version)![0];
}

/** Puts the middleware before a service, as `wac plug` does. Returns the file of the composition. */
export async function plug(middleware: string, service: string, out: string): Promise<string> {
  const path = join(BUILT, "build", out);
  await promisify(execFile)(tool("wasm-tools"), ["compose", middleware, "-d", service, "-o", path]);
  return path;
}

/** A running `wasmtime serve`. */
export interface Served {
  readonly url: string;
  readonly pid: number;
  /** Its output so far, both standard output and standard error. */
  log(): string;
  /** Resolves as soon as the log matches. */
  logged(what: RegExp): Promise<void>;
  close(): Promise<void>;
}

/** Serves a component with these variables. */
export async function serve(
  file: string,
  variables: Record<string, string> = {},
  options: string[] = [],
): Promise<Served> {
  const port = await freePort();
  const env = Object.entries(variables).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  const flags = ["-Wcomponent-model-async", "-Sp3", "-Scli", ...options];
  const child: ChildProcess = spawn(
    tool("wasmtime"),
    ["serve", ...flags, "--addr", `127.0.0.1:${port}`, ...env, file],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  endWithUs(child);
  const watchers = new Watchers();
  let text = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      watchers.notify();
    });
  }
  const ended = once(child, "exit").then(() => {
    text += "\nit has ended";
    watchers.notify();
  });
  const logged = (what: RegExp) =>
    watchers.until(
      () => what.test(text),
      () => `${what} in ${text}`,
    );
  await logged(/Serving HTTP|it has ended/);
  if (child.exitCode !== null) throw new Error(text);
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid!,
    log: () => text,
    logged,
    close: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
