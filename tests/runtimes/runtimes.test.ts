// Runs the suite in every runtime, against the package as npm installs it from its tarball.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { bundleForInstalled, type Installed, installTarball } from "../support/installed.js";
import { PROGRAMS } from "../support/programs.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { recorded, runtimeVersion } from "../support/versions.js";
import { ROOT, startWorker, type WorkerOptions } from "../support/worker.js";
import type { CaseResult, SuiteEnv } from "./suite.js";

const run = promisify(execFile);

describe("the suite", () => {
  let collector: Collector;
  let upstream: TestUpstream;
  let installed: Installed;
  before(async () => {
    collector = await startCollector();
    upstream = await startTestUpstream();
    installed = await installTarball();
  });
  after(() => closeAll(installed, upstream, collector));
  const env = (runtime: string, asyncContext = true): SuiteEnv => ({
    collector: collector.url,
    echo: upstream.url,
    runtime,
    asyncContext,
  });

  for (const [name, [program, args]] of Object.entries(PROGRAMS)) {
    const passes = async () => {
      const file = join(installed.folder, "suite.mjs");
      await writeFile(file, await bundleForInstalled(installed, "tests/runtimes/node-like.ts"));
      const { stdout } = await run(
        program,
        [...args, file, JSON.stringify(env(name.split(" ", 1)[0]!.toLowerCase()))],
        {
          cwd: installed.folder,
          maxBuffer: 1e8,
        },
      );
      check(JSON.parse(stdout.trim().split("\n").at(-1)!));
    };
    test(`passes in ${name}`, () => recorded("runtimes", name, runtimeVersion(name), passes));
  }

  test("OPIK_* variables configure Deno when it may read them, and never cause a permission prompt", async () => {
    const file = join(installed.folder, "variables.mjs");
    const code = `import { flush, span } from "opik-edge"; span({}, () => 1); console.log((await flush()).sent);`;
    await writeFile(file, code);
    const sent = async (...granted: string[]) => {
      const args = ["run", "--no-prompt", "--allow-net=127.0.0.1", ...granted, file];
      const options = { cwd: installed.folder, env: { ...process.env, OPIK_URL_OVERRIDE: collector.url } };
      return (await run(join(ROOT, "node_modules/.bin/deno"), args, options)).stdout.trim();
    };
    assert.equal(await sent("--allow-env"), "2");
    assert.equal(await sent(), "0");
  });

  const variants: [string, WorkerOptions, boolean][] = [
    ["nodejs_compat", { compatibilityFlags: ["nodejs_compat"] }, true],
    ["nodejs_als", { compatibilityFlags: ["nodejs_als"] }, false],
    ["no flag", { compatibilityFlags: [] }, false],
    ["no flag, an old date", { compatibilityFlags: [], compatibilityDate: "2023-01-01" }, false],
    // From this date on, nodejs_compat is on by default. The older workerd does not support the date yet.
    ["no flag, a new date", { compatibilityFlags: [], compatibilityDate: "2026-08-04" }, true],
  ];
  for (const workerd of ["current", "old"] as const) {
    const runtime = workerd === "old" ? "old workerd" : "workerd";
    for (const [name, options, asyncContext] of workerd === "old" ? variants.slice(0, -1) : variants) {
      const passes = async () => {
        const worker = await startWorker("tests/runtimes/workerd.ts", { ...options, workerd, installed });
        try {
          const body = JSON.stringify(env("workerd", asyncContext));
          const response = await fetch(worker.url, { method: "POST", body });
          const text = await response.text();
          assert.equal(response.status, 200, text);
          check(JSON.parse(text));
        } finally {
          await worker.close();
        }
      };
      const consumer = `workerd: ${name}${options.compatibilityDate ? ` (${options.compatibilityDate})` : ""}`;
      test(`passes in ${runtime}: ${name}`, () => recorded("runtimes", consumer, runtimeVersion(runtime), passes));
    }
  }
});

function check(results: CaseResult[]): void {
  assert.ok(results.length > 25, `${results.length} cases have run`);
  assert.deepEqual(
    results.filter(({ error }) => error !== undefined),
    [],
  );
}
