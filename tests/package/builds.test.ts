// Frameworks that build Workers with their own commands. wrangler runs each built Worker in workerd.

import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Opik } from "opik-edge";
import { startCollector } from "../../collector/server.js";
import { installTarball } from "../support/installed.js";
import { LONG } from "../support/long.js";
import { startTestUpstream } from "../support/upstream.js";
import { ROOT } from "../support/worker.js";
import { startProgram } from "./servers.js";
import { buildProject, ENVIRONMENT } from "./tools.js";

const FRAMEWORKS = process.env["OPIK_EDGE_BUILDS"] ?? "";
const PROJECTS = join(ROOT, "tests/package/consumers/builds");

/** Arguments of wrangler for each framework's output. */
const BUILT = {
  sveltekit: [],
  astro: ["-c", "dist/server/wrangler.json"],
  "react-router": ["-c", "build/server/wrangler.json"],
};

for (const [name, built] of Object.entries(BUILT)) {
  test(`${name}: a request to the Worker is recorded`, { skip: LONG ? false : "scripts/check --long" }, async (t) => {
    const collector = await startCollector();
    t.after(() => collector.close());
    const upstream = await startTestUpstream();
    t.after(() => upstream.close());
    const installed = await installTarball(FRAMEWORKS);
    t.after(() => installed.remove());
    const cwd = join(installed.folder, name);
    await cp(join(PROJECTS, "shared"), cwd, { recursive: true });
    await cp(join(PROJECTS, name), cwd, { recursive: true });
    ENVIRONMENT["PATH"] = `${join(FRAMEWORKS, "node_modules/.bin")}:${ENVIRONMENT["PATH"]}`;
    await buildProject(cwd);
    const variables = ["--var", `OPIK_URL_OVERRIDE:${collector.url}`, "--var", `ECHO_URL:${upstream.url}`];
    const args = (port: number) => ["dev", ...built, "--ip", "127.0.0.1", "--port", `${port}`, ...variables];
    const worker = await startProgram({ program: "wrangler", args, cwd, env: ENVIRONMENT });
    t.after(() => worker.close());

    const opik = new Opik({ url: collector.url, background: false });
    const caller = opik.span({ name: "caller" });
    assert.equal((await fetch(`${worker.url}/call`, { headers: caller.headers() })).status, 200);
    const spans = () => collector.spans().filter(({ trace_id }) => trace_id === caller.traceId);
    await collector.until(() => spans().length === 2);
    assert.deepEqual(
      spans()
        .map((span) => span["type"])
        .sort(),
      ["general", "llm"],
    );
    assert.ok(spans().some((span) => span["name"] === "GET /call" && span.parent_span_id === caller.id));
  });
}
