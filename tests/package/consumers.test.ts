// The tarball in the hands of its users: bundled, served and run by their tools, outside the repository. Each consumer in
// consumers/ makes the same traced request, and the test checks the tree that arrives.

import assert from "node:assert/strict";
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Opik } from "opik-edge";
import { type Browser, startBrowser, until } from "../browsers/webdriver.js";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type Installed, installTarball } from "../support/installed.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { ROOT, startModules, type WorkerModule, wranglerOptions } from "../support/worker.js";
import { type Program, type Running, startProgram, startRegistry, startSite } from "./servers.js";
import { buildProject, ENVIRONMENT, TOOLS, testConsumer, toolFolder } from "./tools.js";

const PROJECTS = join(ROOT, "tests/package/consumers");

let collector: Collector;
let upstream: TestUpstream;
let installed: Installed;
before(async () => {
  collector = await startCollector();
  upstream = await startTestUpstream();
  // Below the tools' node_modules, as in a monorepo.
  installed = await installTarball(TOOLS);
});
after(() => closeAll(installed, upstream, collector));

/** A copy of a project in consumers/, with the shared files, below the installed package. */
async function project(name: string): Promise<string> {
  const folder = join(installed.folder, name);
  await cp(join(PROJECTS, "shared"), folder, { recursive: true });
  await cp(join(PROJECTS, name), folder, { recursive: true });
  return folder;
}

/** Starts a consumer that is a server. */
function start(program: Omit<Program, "env">, env: NodeJS.ProcessEnv = {}): Promise<Running> {
  const variables = { OPIK_URL_OVERRIDE: collector.url, ECHO_URL: upstream.url };
  return startProgram({ ...program, env: { ...ENVIRONMENT, ...variables, ...env } });
}

/** A consumer's answer: the headers that the server behind it received. */
type Answer = { headers: Record<string, string> };

/** Lets a consumer make its request under a caller's span, and checks the recorded tree. */
async function assertTraced(request: (headers: Record<string, string>) => Promise<Answer>): Promise<void> {
  const opik = new Opik({ url: collector.url, background: false });
  const caller = opik.span({ name: "caller" });
  const { headers } = await request(caller.headers());
  caller.end();
  await opik.flush();

  const spans = () => collector.spans().filter(({ trace_id }) => trace_id === caller.traceId);
  await collector.until(() => spans().length === 3);
  const under = (id: string) => spans().filter(({ parent_span_id }) => parent_span_id === id);
  const [root] = under(caller.id);
  const [child] = under(root?.id ?? "");
  assert.equal(child?.["type"], "llm", collector.tree(caller.traceId));
  // The server behind the consumer can join the trace too.
  assert.deepEqual([headers["opik_trace_id"], headers["opik_parent_span_id"]], [caller.traceId, child!.id]);
  // The trace's row is the caller's.
  const [trace] = collector.traces().filter(({ id }) => id === caller.traceId);
  assert.equal(trace!["name"], "caller");
}

/** Checks a consumer that is a server. */
async function onServer(url: string): Promise<void> {
  await assertTraced(async (headers) => (await (await fetch(url, { headers })).json()) as Answer);
}

/**
 * Checks a proxy and a route that are both traced: one tree if the proxy adds its span's headers to the request, otherwise
 * two traces.
 */
async function onProxyAndRoute(url: string): Promise<void> {
  const spans = () => collector.spans().filter(({ name }) => name === "GET /through");
  const before = spans().length;
  const asked = async (query: string) => (await (await fetch(url + query)).json()) as Record<string, string>;
  const { opik_trace_id } = await asked("");
  await collector.until(() => spans().length === before + 2);
  const [outer, inner] = spans()
    .slice(before)
    .sort((a) => (a.parent_span_id ? 1 : -1));
  assert.deepEqual([outer!.trace_id, inner!.trace_id], [opik_trace_id, opik_trace_id]);
  assert.deepEqual([outer!.parent_span_id, inner!.parent_span_id], [undefined, outer!.id]);
  assert.equal((await asked("?apart"))["opik_trace_id"], undefined, "the route gets the original request");
  await collector.until(() => spans().length === before + 4);
  assert.equal(
    new Set(
      spans()
        .slice(before)
        .map(({ trace_id }) => trace_id),
    ).size,
    3,
  );
}

/** Checks a traced proxy that hands the caller's headers on unchanged. */
async function onProxy(url: string): Promise<void> {
  const caller = new Opik({ url: collector.url, background: false }).span({ name: "caller" });
  assert.equal((await fetch(url, { headers: caller.headers() })).status, 200);
  const spans = () => collector.spans().filter(({ trace_id }) => trace_id === caller.traceId);
  await collector.until(() => spans().length === 1);
  assert.deepEqual([spans()[0]!["name"], spans()[0]!.parent_span_id], ["GET /proxied", caller.id]);
}

describe("in a browser", () => {
  let browser: Browser;
  before(async () => {
    browser = await startBrowser("Chromium");
  });
  after(() => browser?.close());

  async function inPage(url: string): Promise<void> {
    await browser.goTo(url);
    // A framework's scripts may come later than the page.
    await until(async () => (await browser.call("eval", "typeof run")) === "function");
    await assertTraced(async (headers) => (await browser.call("run", headers)) as Answer);
  }

  async function onSite(folders: readonly string[], visit: (site: Running) => Promise<void>): Promise<void> {
    const site = await startSite(installed, collector.url, folders);
    await visit(site).finally(site.close);
  }

  for (const tool of ["vite", "webpack", "rollup", "esbuild"]) {
    testConsumer(`${tool} build`, tool, async () => {
      const folder = await project(tool);
      // Each tool is configured to print only warnings and errors.
      assert.equal(await buildProject(folder), "");
      await onSite([join(folder, "dist"), folder], ({ url }) => inPage(url));
    });
  }

  testConsumer("vite dev", "vite", async () => {
    const cwd = await project("vite");
    await onSite([], async (site) => {
      const vite = await start({ program: "vite", args: (port) => ["--port", `${port}`], cwd }, { SITE_URL: site.url });
      await inPage(vite.url).finally(vite.close);
    });
  });

  test("an import map, without any bundler", async () => {
    await onSite([await project("import-map"), installed.folder], ({ url }) => inPage(url));
  });

  async function buildNext(folder: string): Promise<void> {
    // Next warns about edge routes in general. It must not warn about a file of the package.
    assert.doesNotMatch(await buildProject(folder), /opik-edge/);
    // Vercel's runtime needs the modules as such. Next's own runtime would also compile bytes.
    const { functions } = JSON.parse(await readFile(join(folder, ".next/server/middleware-manifest.json"), "utf8"));
    assert.equal(functions["/edge/route"].wasm.length, 2);
  }

  for (const [command, name] of [
    ["start", "next"],
    ["dev", "next dev"],
  ] as const) {
    describe(name, () => {
      let app: Running;
      before(async () => {
        const cwd = await project("next");
        if (command === "start") await buildNext(cwd);
        const args = (port: number) => [command, "--hostname", "127.0.0.1", "--port", `${port}`];
        app = await start({ program: "next", args, cwd });
      });
      after(() => app?.close());

      testConsumer(`${name}: an edge route`, "next", () => onServer(`${app.url}/edge`));
      testConsumer(`${name}: a Node route`, "next", () => onServer(`${app.url}/node`));
      testConsumer(`${name}: withOpik around an edge route`, "next", () => onServer(`${app.url}/handled-edge`));
      testConsumer(`${name}: withOpik around a Node route`, "next", () => onServer(`${app.url}/handled`));
      testConsumer(`${name}: withOpik around the proxy`, "next", () => onProxy(`${app.url}/proxied`));
      testConsumer(`${name}: a proxy and its route are one trace where the proxy hands its own on`, "next", () =>
        onProxyAndRoute(`${app.url}/through`),
      );
      testConsumer(`${name}: a client component, and the relay in a route`, "next", () => inPage(app.url));
    });
  }
});

describe("on a server", () => {
  async function inProgram(program: string, args: readonly string[], cwd: string, env?: NodeJS.ProcessEnv) {
    const server = await start({ program, args: () => args, cwd }, env);
    await onServer(server.url).finally(server.close);
  }

  const platform = `${process.platform}-${process.arch}`;
  const elsewhere = platform === "linux-x64" ? undefined : `the lock has no Node for ${platform}`;
  for (const [major, files] of [
    // The oldest Node that package.json allows. It lacks require() of modules.
    [20, ["import.js", "dynamic-import.cjs"]],
    [22, ["import.js", "dynamic-import.cjs", "require.cjs"]],
    [24, ["import.js", "dynamic-import.cjs", "require.cjs"]],
  ] as const) {
    for (const file of files) {
      const tool = `node-${major}`;
      const passes = async () => inProgram(join(toolFolder(tool), "bin/node"), [file], await project("node"));
      testConsumer(`Node ${major}: ${file}`, tool, passes, elsewhere);
    }
  }

  testConsumer("Bun", "bun", async () => inProgram("bun", ["main.js"], await project("bun")));

  describe("in Deno", () => {
    let registry: Running;
    before(async () => {
      registry = await startRegistry(installed);
    });
    after(() => registry.close());

    for (const file of ["npm-specifier.js", "import-map.js"]) {
      testConsumer(`Deno: ${file}`, "deno", async () => {
        const cwd = await project("deno");
        await inProgram("deno", ["run", "--allow-net=127.0.0.1", "--allow-env", file], cwd, {
          NPM_CONFIG_REGISTRY: registry.url,
          // Deno installs the package from the registry, and ignores the folder of the others.
          DENO_NO_PACKAGE_JSON: "1",
          DENO_DIR: join(cwd, "cache"),
        });
      });
    }
  });

  /** Builds a Worker with wrangler, and makes its request in workerd. */
  async function inWorker(name: string, out: string): Promise<void> {
    const folder = await project(name);
    await buildProject(folder);
    const dist = join(folder, out);
    const wasm = (await readdir(dist)).filter((file) => file.endsWith(".wasm"));
    const contents = (file: string) => readFile(join(dist, file));
    const modules: WorkerModule[] = [
      { type: "ESModule", path: "/worker.js", contents: String(await contents("worker.js")) },
    ];
    for (const file of wasm) modules.push({ type: "CompiledWasm", path: `/${file}`, contents: await contents(file) });
    const bindings = { OPIK_URL_OVERRIDE: collector.url, ECHO_URL: upstream.url };
    const options = await wranglerOptions(`tests/package/consumers/${name}`);
    const worker = await startModules(modules, { ...options, bindings });
    await onServer(worker.url).finally(worker.close);
  }

  testConsumer("wrangler deploy --dry-run", "wrangler", () => inWorker("wrangler", "dist"));
  testConsumer("vite build for a server, then wrangler", "vite", () => inWorker("vite-ssr", "dist/worker"));
});
