// Builds Workers by the frameworks' own commands. wrangler or vitest runs them in workerd.

import assert from "node:assert/strict";
import { cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Opik } from "opik-edge";
import { type Collector, startCollector } from "../support/collector.js";
import { installTarball } from "../support/installed.js";
import { LONG } from "../support/long.js";
import { project } from "../support/readme.js";
import { startTestUpstream } from "../support/upstream.js";
import { ROOT } from "../support/worker.js";
import { startProgram } from "./servers.js";
import { buildProject, ENVIRONMENT } from "./tools.js";

const FRAMEWORKS = process.env["OPIK_EDGE_BUILDS"] ?? "";
const PROJECTS = join(ROOT, "tests/package/consumers/builds");
const OPTIONS = { skip: LONG ? false : "scripts/check --long" };

ENVIRONMENT["PATH"] = `${join(FRAMEWORKS, "node_modules/.bin")}:${ENVIRONMENT["PATH"]}`;

/** The configuration that wrangler runs, if it isn't the project's own, and the routes that make the call. */
const BUILT: Record<string, { readonly config?: string; readonly paths?: readonly string[] }> = {
  "vite-cloudflare": { config: "dist/consumer/wrangler.json" },
  sveltekit: {},
  astro: { config: "dist/server/wrangler.json" },
  "react-router": { config: "build/server/wrangler.json" },
  nuxt: {},
  next: { paths: ["/call", "/again"] },
};

for (const [name, { config = "wrangler.jsonc", paths = ["/call"] }] of Object.entries(BUILT)) {
  test(`${name}: a request to the Worker is recorded`, OPTIONS, async (t) => {
    const { cwd, collector } = await copyProject(t, name);
    await buildProject(cwd);
    const settings = ["-c", config, "--env-file", ".dev.vars", "--ip", "127.0.0.1"];
    const args = (port: number) => ["dev", ...settings, "--port", `${port}`];
    const worker = await startProgram({ program: "wrangler", args, cwd, env: ENVIRONMENT });
    try {
      for (const path of paths) await isRecorded(`${worker.url}${path}`, collector);
    } finally {
      // Before the project is removed, which the context does.
      await worker.close();
    }
  });
}

test("vitest: rows of a Worker are captured by the guide's test, or sent from `waitUntil`", OPTIONS, async (t) => {
  const { cwd, collector } = await copyProject(t, "vitest");
  assert.match(await buildProject(cwd), /4 passed/);
  assert.deepEqual(
    collector
      .spans()
      .map((span) => span["name"])
      .sort(),
    ["GET /call", "GET /text", "chat"],
  );
});

/** Copies a project beside the frameworks, with the package installed, and starts the servers that its `.dev.vars` names. */
async function copyProject(t: TestContext, name: string): Promise<{ cwd: string; collector: Collector }> {
  const collector = await startCollector();
  t.after(() => collector.close());
  const upstream = await startTestUpstream();
  t.after(() => upstream.close());
  const installed = await installTarball(FRAMEWORKS);
  t.after(() => installed.remove());
  // OpenNext takes the folder of the nearest lock file for the root, which has to contain the frameworks.
  await rm(join(installed.folder, "package-lock.json"));
  const cwd = join(installed.folder, name);
  if (name === "vitest") await project("vitest", cwd);
  await cp(join(PROJECTS, "shared"), cwd, { recursive: true });
  await cp(join(PROJECTS, name), cwd, { recursive: true });
  await writeFile(join(cwd, ".dev.vars"), `OPIK_URL_OVERRIDE=${collector.url}\nECHO_URL=${upstream.url}\n`);
  return { cwd, collector };
}

/** Calls a route as a traced caller would. */
async function isRecorded(url: string, collector: Collector): Promise<void> {
  const opik = new Opik({ url: collector.url, background: false });
  const caller = opik.span({ name: "caller" });
  assert.equal((await fetch(url, { headers: caller.headers() })).status, 200);
  const spans = () => collector.spans().filter(({ trace_id }) => trace_id === caller.traceId);
  await collector.until(() => spans().length === 2);
  assert.deepEqual(
    spans()
      .map((span) => span["type"])
      .sort(),
    ["general", "llm"],
  );
  const name = `GET ${new URL(url).pathname}`;
  assert.ok(spans().some((span) => span["name"] === name && span.parent_span_id === caller.id));
}
