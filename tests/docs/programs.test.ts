// Runs the guides' larger examples unchanged: programs of several files, and pages in a browser.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { serve } from "@hono/node-server";
import { build } from "esbuild";
import { Hono } from "hono";
import { Opik } from "opik-edge";
import { relay } from "opik-edge/relay";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { type Browser, startBrowser, until } from "../browsers/webdriver.js";
import { startProgram } from "../package/servers.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { installTarball } from "../support/installed.js";
import { freePort } from "../support/ports.js";
import { PYTHON, QUIET, startPython } from "../support/python.js";
import { example, project } from "../support/readme.js";
import { ROOT, startWorker } from "../support/worker.js";

const run = promisify(execFile);

/** Folder where scripts/setup has installed the packages of tools/package.json. */
const TOOLS = process.env["OPIK_EDGE_DOCS"];

let collector: Collector;
let upstream: Upstream;
/** Environment variables of the programs. */
let env: Record<string, string>;
before(async () => {
  collector = await startCollector();
  upstream = await startUpstream();
  env = {
    OPIK_URL_OVERRIDE: collector.url,
    OPIK_PROJECT_NAME: "chat",
    OPENAI_API_KEY: "a key",
    OPENAI_BASE_URL: `${upstream.url}/v1`,
  };
  Object.assign(process.env, env);
});
after(() => closeAll(upstream, collector));

const named = (name: string): StoredRow[] => collector.spans().filter((row) => row["name"] === name);

/** Names from the trace's root to the one span of this name, as soon as it has arrived. */
async function pathTo(name: string, among = named): Promise<unknown[]> {
  await collector.until(() => among(name).length > 0);
  const path: unknown[] = [];
  for (let row: StoredRow | undefined = among(name)[0]; row; ) {
    path.unshift(row["name"]);
    const parent = row.parent_span_id;
    if (parent) await collector.until(() => collector.spans().some(({ id }) => id === parent));
    row = collector.spans().find(({ id }) => id === parent);
  }
  return path;
}

/** Finds spans by name among the spans of one trace. */
const inTrace = (trace: string) => (name: string) => named(name).filter(({ trace_id }) => trace_id === trace);

async function inBrowser(visit: (browser: Browser) => Promise<void>): Promise<void> {
  const browser = await startBrowser("Chromium");
  await visit(browser).finally(() => browser.close());
}

/** Asks the chat of a page, scores the answer, and returns the trace of both. */
async function chatIn(browser: Browser, url: string): Promise<string> {
  const asked = new Set(named("ask").map(({ id }) => id));
  await browser.goTo(url);
  // A form from a server's rendering answers no click before React has hydrated it.
  const isReady = `Object.keys(document.querySelector("form") ?? {}).some((key) => key.startsWith("__react"))`;
  await until(async () => (await browser.call("eval", isReady)) === true);
  await browser.type("input", "What is a trace?");
  await browser.click("button");
  await until(async () => (await browser.texts("p")).includes("A trace is a tree of spans."));
  await browser.click("button");
  const own = () => named("ask").find(({ id }) => !asked.has(id));
  await collector.until(() => own() !== undefined);
  const trace_id = own()!.trace_id!;
  await collector.until(() => collector.scores().some(({ id }) => id === trace_id));
  await collector.until(() => collector.traces().some(({ id }) => id === trace_id));
  const [trace] = collector.traces().filter(({ id }) => id === trace_id);
  assert.match(String(trace!["thread_id"]), /^[0-9a-f-]{32,36}$/);
  return trace_id;
}

test("Workers: an API is the relay of its pages too", async () => {
  const worker = await startWorker(await example("guide-relay-worker", "ts"), { bindings: env });
  try {
    const answer = await fetch(`${worker.url}/ask`, { method: "POST", body: "What is a trace?" });
    assert.equal(await answer.text(), "A trace is a tree of spans.");
    assert.deepEqual(await pathTo("chat gpt-4.1-mini"), ["POST /ask", "chat gpt-4.1-mini"]);
    const headers = { origin: "https://app.example.com", "content-type": "text/plain" };
    const relayed = await fetch(`${worker.url}/opik`, { method: "POST", headers, body: `{"spans":[]}` });
    assert.ok(relayed.status < 500 && "now" in ((await relayed.json()) as object));
    // A later request has been recorded, so a trace of the relay would have arrived too.
    await (await fetch(`${worker.url}/again`, { method: "POST", body: "?" })).text();
    await collector.until(() => named("POST /again").length === 1);
    assert.deepEqual(named("POST /opik"), []);
  } finally {
    await worker.close();
  }
});

test("Workers: a chat over a WebSocket, with a page's headers and without", async () => {
  const worker = await startWorker(await example("guide-chat", "ts"), {
    bindings: env,
    miniflare: { durableObjects: { ROOMS: { className: "Room", useSQLite: true } } },
  });
  const opik = new Opik({ url: collector.url, background: false });
  try {
    const socket = new WebSocket(`${worker.url.replace("http", "ws")}/lobby`);
    let heard = "";
    const ended = () =>
      new Promise<void>((resolve) => {
        socket.onmessage = ({ data }) => {
          heard += data;
          if (data === "[end]") resolve();
        };
      });
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    socket.send(JSON.stringify({ question: "What is a trace?" }));
    await ended();
    const ask = opik.span({ name: "ask in a room" });
    socket.send(JSON.stringify({ question: "What is a trace?", caller: ask.headers() }));
    await ended();
    assert.equal(heard, "A trace is a tree of spans.[end]".repeat(2));
    ask.end();
    await opik.flush();

    await collector.until(() => named("webSocketMessage").length === 2);
    assert.deepEqual(await pathTo("answer"), ["ask in a room", "answer"]);
    const model = "chat gpt-4.1-mini";
    assert.deepEqual(await pathTo(model, inTrace(ask.traceId)), ["ask in a room", "answer", model]);
    const [first] = named("webSocketMessage").filter(({ trace_id }) => inTrace(trace_id!)(model).length > 0);
    assert.deepEqual(await pathTo(model, inTrace(first!.trace_id!)), ["webSocketMessage", model]);
    const traces = () => collector.traces().filter(({ id }) => id === first!.trace_id);
    await collector.until(() => traces().length > 0);
    assert.match(String(traces()[0]!["thread_id"]), /^[0-9a-f]{64}$/);
    await collector.until(() => named("GET /lobby").length === 1);
    socket.close();
  } finally {
    await worker.close();
  }
});

/** Serves a page whose script is `code`, below `app`, and visits it. */
async function withPage(
  app: Hono,
  code: string,
  visit: (browser: Browser, url: string) => Promise<void>,
): Promise<void> {
  await writeFile(join(ROOT, "target/readme/page-script.tsx"), code);
  const bundled = await build({
    entryPoints: [join(ROOT, "target/readme/page-script.tsx")],
    // The scripts are in a package that is marked as free of side effects.
    ignoreAnnotations: true,
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": `"production"` },
  });
  const script = bundled.outputFiles[0]!.text;
  const elements = `<div id="root"></div><p id="answer"></p>`;
  app.get("/", (c) => c.html(`<!doctype html>${elements}<script type="module" src="/main.js"></script>`));
  app.get("/main.js", () => new Response(script, { headers: { "content-type": "text/javascript" } }));
  const url = process.env["SITE_ORIGIN"]!;
  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(new URL(url).port) });
  try {
    await inBrowser((browser) => visit(browser, url));
  } finally {
    server.close();
  }
}

/** A site with a relay, which answers every other request with its path. */
async function siteWithRelay(): Promise<Hono> {
  process.env["SITE_ORIGIN"] = `http://127.0.0.1:${await freePort()}`;
  const app = new Hono();
  const handle = relay({ projectName: "chat", origins: [process.env["SITE_ORIGIN"]], threadScores: true });
  app.post("/opik", (c) => handle(c.req.raw));
  return app;
}

test("browser: spans are passed on, and fetch is instrumented until it is stopped", async () => {
  const app = await siteWithRelay();
  app.get("/search", (c) => c.text("found"));
  app.get("/log", (c) => c.json(c.req.header()));
  // The API of the example is this site too.
  const code = await readFile(join(ROOT, await example("page-spans", "ts")), "utf8");
  const local = code.replaceAll("https://api.example.com", process.env["SITE_ORIGIN"]!);
  assert.notEqual(local, code);
  await withPage(app, local, async (browser, url) => {
    await browser.goTo(url);
    await until(async () => (await browser.texts("#answer"))[0] === "found");
    const call = `GET ${new URL(url).host}/search`;
    assert.deepEqual(await pathTo(call), ["search", call]);
    assert.deepEqual(await pathTo("render"), ["search", "render"]);
    assert.deepEqual(await pathTo("log"), ["search", "log"]);
  });
});

test("browser: a page scores its conversation", async () => {
  const code = `import { tabThreadId } from "opik-edge";
    globalThis.thumbsUp = document.createElement("button");
    await import("./${basename(await example("page-thread", "ts"))}");
    globalThis.thread = () => tabThreadId();
    globalThis.click = () => thumbsUp.click();
    answer.append("ready");`;
  await withPage(await siteWithRelay(), code, async (browser, url) => {
    await browser.goTo(url);
    await until(async () => (await browser.texts("#answer"))[0] === "ready");
    const thread = await browser.call("thread");
    await browser.call("click");
    const scores = () => collector.scores().filter(({ entity }) => entity === "threads");
    await collector.until(() => scores().length > 0);
    assert.deepEqual(
      scores().map(({ thread_id, name, value }) => [thread_id, name, value]),
      [[thread, "resolved", 1]],
    );
  });
});

test("browser: a logout drops unsent rows, and begins another conversation", async () => {
  const app = await siteWithRelay();
  app.get("/token", (c) => c.text("a token"));
  app.get("/logout", (c) => c.html("<p>bye</p>"));
  const code = `import { tabThreadId } from "opik-edge";
    import { logOut } from "./${basename(await example("page-logout", "ts"))}";
    answer.append("ready");
    globalThis.thread = () => tabThreadId();
    globalThis.logOut = () => void logOut();`;
  await withPage(app, code, async (browser, url) => {
    await browser.goTo(url);
    await until(async () => (await browser.texts("#answer"))[0] === "ready");
    const before = await browser.call("thread");
    await browser.call("logOut");
    await until(async () => (await browser.texts("p"))[0] === "bye");
    await browser.goTo(url);
    await until(async () => (await browser.texts("#answer"))[0] === "ready");
    assert.notEqual(await browser.call("thread"), before);
  });
});

test("React: a page asks, and scores the answer", async () => {
  const folder = join(ROOT, "target/readme/react");
  await project("react", folder);
  process.env["SITE_ORIGIN"] = `http://127.0.0.1:${await freePort()}`;
  const { app } = (await import(pathToFileURL(join(folder, "server.ts")).href)) as { app: Hono };
  await withPage(app, `import "./react/src/main";`, async (browser, url) => {
    const trace = await chatIn(browser, url);
    const path = ["ask", `POST ${new URL(url).host}/chat`, "POST /chat", "chat gpt-4.1-mini"];
    assert.deepEqual(await pathTo("chat gpt-4.1-mini", inTrace(trace)), path);
  });
});

test("React: the same component is rendered on a server", async () => {
  const folder = join(ROOT, "target/readme/react");
  await writeFile(
    join(folder, "src/rendered.tsx"),
    `import { renderToString } from "react-dom/server"; import { Chat } from "./chat"; export const html = renderToString(<Chat />);`,
  );
  const outfile = join(folder, "rendered.mjs");
  const entryPoints = [join(folder, "src/rendered.tsx")];
  const external = ["react", "react-dom", "opik-edge"];
  await build({ entryPoints, outfile, bundle: true, format: "esm", platform: "node", jsx: "automatic", external });
  const { html } = await import(pathToFileURL(outfile).href);
  assert.match(html, /^<form><input name="question"\/><button type="submit">Ask<\/button><\/form>$/);
});

test("Next: one trace from the page to its model and to the work after the response", {
  skip: TOOLS ? false : "OPIK_EDGE_DOCS is not set: use scripts/check docs",
}, async () => {
  // Below the packages that it imports, because Next's bundler wants them in one tree.
  const installed = await installTarball(TOOLS!);
  const cwd = join(installed.folder, "app");
  try {
    await project("next", cwd);
    await writeFile(join(cwd, "package.json"), `{ "private": true, "type": "module" }`);
    const config = `export default { turbopack: { root: ${JSON.stringify(TOOLS)} } };`;
    await writeFile(join(cwd, "next.config.js"), config);
    const next = join(TOOLS!, "node_modules/next/dist/bin/next");
    // Builds without the server's settings, as on a build machine.
    const { OPIK_URL_OVERRIDE: _, ...outside } = process.env;
    await run(process.execPath, [next, "build"], { cwd, env: { ...outside, NEXT_TELEMETRY_DISABLED: "1" } });
    const app = await startProgram({
      program: "sh",
      args: (port) => [
        "-c",
        `SITE_ORIGIN=$ORIGIN exec "$0" "$@"`,
        process.execPath,
        next,
        "start",
        "--port",
        `${port}`,
      ],
      cwd,
      env: { ...process.env, HOSTNAME: "127.0.0.1", NEXT_TELEMETRY_DISABLED: "1" },
    });
    try {
      await inBrowser(async (browser) => {
        const trace = await chatIn(browser, app.url);
        const route = ["ask", `POST ${new URL(app.url).host}/api/chat`, "POST /api/chat"];
        const own = inTrace(trace);
        assert.deepEqual(await pathTo("chat gpt-4.1-mini", own), [...route, "chat gpt-4.1-mini"]);
        assert.deepEqual(await pathTo("remember", own), [...route, "remember"]);
        assert.deepEqual(await pathTo("rename", own), ["ask", "rename"]);
        assert.deepEqual(await pathTo("suggest"), ["suggest"]);
      });
    } finally {
      await app.close();
    }
  } finally {
    await installed.remove();
  }
});

test("Python: a trace goes through a Worker and back, as with programs in TypeScript", async () => {
  const folder = join(ROOT, "target/readme/python");
  await project("python", folder);
  const program = (port: number) => ["uvicorn", "retriever:app", "--app-dir", folder, "--port", `${port}`];
  const python = await startPython(collector.url, { program, env });
  const { default: ours } = await import(pathToFileURL(join(folder, "retriever.ts")).href);
  const twin = serve({ fetch: ours.fetch, hostname: "127.0.0.1", port: 0 });
  await new Promise((resolve) => twin.once("listening", resolve));
  const { port } = twin.address() as { port: number };
  try {
    for (const RETRIEVER_URL of [`${python.url}/`, `http://127.0.0.1:${port}/`]) {
      const bindings = { ...env, RETRIEVER_URL };
      const worker = await startWorker("target/readme/python/worker.ts", { bindings });
      try {
        for (const command of [
          [PYTHON, "caller.py"],
          [process.execPath, "--import", import.meta.resolve("tsx"), "caller.ts"],
        ] as const) {
          const before = new Set(named("retrieve").map(({ id }) => id));
          const variables = { ...process.env, ...QUIET, CHAT_URL: worker.url };
          const [file, ...args] = command;
          const { stdout } = await run(file, args, { cwd: folder, env: variables });
          assert.match(stdout, /What is a trace\? A tree of spans\./);
          const added = () => named("retrieve").filter(({ id }) => !before.has(id));
          const path = (await pathTo("retrieve", added)).filter((name) => !String(name).includes("127.0.0.1"));
          // Our own servers have a span for the request; the Python SDK has not.
          const served = RETRIEVER_URL.includes(`:${port}/`) ? ["POST /"] : [];
          assert.deepEqual(path, ["ask", "POST /", "look up", ...served, "retrieve"]);
        }
      } finally {
        await worker.close();
      }
    }
  } finally {
    twin.close();
    await python.close();
  }
});
