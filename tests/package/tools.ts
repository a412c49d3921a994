// Tools that build and run the consumers, and tests that record the version of their tool.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { recorded } from "../support/versions.js";
import { ROOT } from "../support/worker.js";

const run = promisify(execFile);

/** Folder where scripts/setup has installed the packages of consumers/package.json. */
export const TOOLS: string =
  process.env["OPIK_EDGE_CONSUMERS"] ??
  (() => {
    throw new Error("OPIK_EDGE_CONSUMERS is not set: use scripts/check package");
  })();

/** The folder of a tool: in the repository's own packages, among the Nodes, or in `TOOLS`. */
export function toolFolder(tool: string): string {
  const own = ["node_modules", "tests/nodes/node_modules"].map((folder) => join(ROOT, folder, tool));
  return own.find(existsSync) ?? join(TOOLS, "node_modules", tool);
}

/** The environment in which the tools are commands. */
export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  // First this Node, because some tools bring their own.
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

/** Runs a command and returns its output; fails with the output if the command fails. */
export async function runTool(command: string, args: readonly string[], cwd: string): Promise<string> {
  const failed = (error: { stdout: string; stderr: string }) => assert.fail(error.stdout + error.stderr);
  const { stdout, stderr } = await run(command, args, { cwd, env: ENVIRONMENT }).catch(failed);
  return stdout + stderr;
}

/** Builds a project with its own script, if package.json has a script for it. */
export async function buildProject(folder: string): Promise<string> {
  const { scripts } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return runTool("sh", ["-c", scripts.build ?? ""], folder);
}

/** A test of one consumer, recorded with the version of its tool; or the reason to leave it out, in `skip`. */
export function testConsumer(consumer: string, tool: string, passes: () => Promise<void>, skip?: string): void {
  test(consumer, { skip }, () => {
    const { version } = JSON.parse(readFileSync(join(toolFolder(tool), "package.json"), "utf8"));
    // The version of a Node may begin with a "v".
    return recorded("package", consumer, version.replace(/^v/, ""), passes);
  });
}
