// What the consumers are built and run with, and how a test of one is written down.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { recorded } from "../support/versions.js";
import { ROOT } from "../support/worker.js";

const run = promisify(execFile);

/** Where scripts/setup has installed what consumers/package.json names. */
export const TOOLS: string =
  process.env["OPIK_EDGE_CONSUMERS"] ??
  (() => {
    throw new Error("OPIK_EDGE_CONSUMERS is not set: use scripts/check package");
  })();

/** The folder of a tool, which is one of the repository's own, a Node, or there. */
export function toolFolder(tool: string): string {
  const own = ["node_modules", "tests/nodes/node_modules"].map((folder) => join(ROOT, folder, tool));
  return own.find(existsSync) ?? join(TOOLS, "node_modules", tool);
}

/** The environment in which the tools are commands. */
export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  // This Node, whatever else brings one along.
  PATH: [
    dirname(process.execPath),
    join(ROOT, "node_modules/.bin"),
    join(TOOLS, "node_modules/.bin"),
    process.env["PATH"],
  ].join(":"),
  NEXT_TELEMETRY_DISABLED: "1",
  WRANGLER_SEND_METRICS: "false",
  CI: "1",
};

/** Runs a command that fails where it has something to complain of; gives what it said. */
export async function runTool(command: string, args: readonly string[], cwd: string): Promise<string> {
  const failed = (error: { stdout: string; stderr: string }) => assert.fail(error.stdout + error.stderr);
  const { stdout, stderr } = await run(command, args, { cwd, env: ENVIRONMENT }).catch(failed);
  return stdout + stderr;
}

/** Builds a project by its own script, if it has one. */
export async function buildProject(folder: string): Promise<string> {
  const { scripts } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return runTool("sh", ["-c", scripts.build ?? ""], folder);
}

/** A test of one consumer, which is written down with the version of its tool; or why there is none, in `skip`. */
export function testConsumer(consumer: string, tool: string, passes: () => Promise<void>, skip?: string): void {
  test(consumer, { skip }, () => {
    const { version } = JSON.parse(readFileSync(join(toolFolder(tool), "package.json"), "utf8"));
    // That of a Node may begin with a "v".
    return recorded("package", consumer, version.replace(/^v/, ""), passes);
  });
}
