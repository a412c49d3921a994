// One suite for every server: Node's HTTP server, Express, Hono, Deno's and Bun's servers. The package is installed from its tarball.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { bundleForInstalled, type Installed, installTarball } from "../support/installed.js";
import { PROGRAMS } from "../support/programs.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { recordSuite, runtimeVersion, versionOf } from "../support/versions.js";
import { ROOT, startWorker } from "../support/worker.js";

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const CALLER = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };

let upstream: TestUpstream;
let installed: Installed;
before(async () => {
  upstream = await startTestUpstream();
  installed = await installTarball();
  // Express is not bundled, because the modules that it loads at run time would be missing.
  await symlink(join(ROOT, "node_modules/express"), join(installed.folder, "node_modules/express"));
  const program = await bundleForInstalled(installed, "tests/servers/program.ts", ["express"]);
  await writeFile(join(installed.folder, "program.mjs"), program);
});
after(() => closeAll(installed, upstream));

/** A server under test. */
interface Server {
  readonly url: string;
  close(): Promise<void>;
}

async function startProgram(runtime: string, kind: string, opikUrl: string): Promise<Server> {
  const [program, args] = PROGRAMS[runtime]!;
  // Permissions that Express and Node's HTTP server need in Deno.
  const granted = runtime === "Deno" ? ["--allow-env", "--allow-read", "--allow-sys"] : [];
  const file = join(installed.folder, "program.mjs");
  const child: ChildProcess = spawn(program, [...args, ...granted, file, kind, opikUrl, upstream.url], {
    cwd: installed.folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [port] = (await Promise.race([once(child.stdout!, "data"), exited])) as [Buffer | number];
  return {
    url: `http://127.0.0.1:${String(port).trim()}`,
    close: async () => {
      child.kill();
      await exited;
    },
  };
}

const startHonoWorker = (compatibilityFlags: string[], opikUrl: string): Promise<Server> =>
  startWorker("tests/servers/hono-worker.ts", {
    bindings: { OPIK_URL_OVERRIDE: opikUrl, ECHO: upstream.url },
    compatibilityFlags,
    installed,
  });

type Start = (opikUrl: string) => Promise<Server>;

const SERVERS: [name: string, start: Start][] = [
  ...Object.keys(PROGRAMS).flatMap((runtime) =>
    ["http", "express", "hono", ...(runtime.startsWith("Node") ? [] : ["web"])].map((kind): [string, Start] => [
      `${kind} in ${runtime}`,
      (opikUrl) => startProgram(runtime, kind, opikUrl),
    ]),
  ),
  ["hono in workerd", (opikUrl) => startHonoWorker(["nodejs_als"], opikUrl)],
  ["hono in workerd without flags", (opikUrl) => startHonoWorker([], opikUrl)],
];

// The tests run side by side, because each mostly waits for its client to send rows.
describe("servers", { concurrency: 10 }, () => {
  for (const [name, start] of SERVERS) describe(name, { concurrency: 1 }, () => testServer(name, start));
});

function testServer(name: string, start: Start): void {
  const [kind = "", runtime = ""] = name.split(/ in | without/);
  recordSuite("servers", `${runtime}: ${name}`, runtimeVersion(runtime));
  if (kind === "express" || kind === "hono") recordSuite("servers", name, versionOf(kind));
  let collector: Collector;
  let server: Server;
  before(async () => {
    collector = await startCollector();
    server = await start(collector.url);
  });
  after(() => closeAll(server, collector));

  const named = (span: string): StoredRow[] => collector.spans().filter((row) => row["name"] === span);
  const root = async (path: string): Promise<StoredRow> => {
    await collector.until(() => named(path).length > 0);
    return named(path).at(-1)!;
  };

  test("a request is one tree: below its caller's span, or a separate trace", async () => {
    const { trace, parent } = await (await fetch(`${server.url}/call?secret=1`, { headers: CALLER })).json();
    const own = await (await fetch(`${server.url}/call`)).json();
    await collector.until(() => named("GET /call").length === 2 && collector.traces().length === 1);
    const [joined, begun] = [TRACE, own.trace].map((id) => named("GET /call").find((row) => row["trace_id"] === id)!);
    assert.deepEqual([trace, joined!["parent_span_id"]], [TRACE, PARENT]);
    const work = named("work").find((row) => row["parent_span_id"] === joined!.id)!;
    const call = collector.spans().find((row) => row.id === parent)!;
    assert.equal(call["parent_span_id"], work.id);
    const { url } = joined!["input"] as { url: string };
    assert.deepEqual(joined!["input"], { method: "GET", url });
    assert.ok(url.endsWith("/call"), "without its query");
    assert.deepEqual(joined!["output"], { status: 200 });
    assert.equal(begun!["parent_span_id"] ?? null, null);
    assert.deepEqual(
      collector.traces().map(({ id, name: traceName, project_name }) => [id, traceName, project_name]),
      [[own.trace, "GET /call", "servers"]],
      "the caller's trace is the caller's to write",
    );
  });

  test("concurrent requests do not mix", async () => {
    const before = named("GET /call").length;
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => (await fetch(`${server.url}/call`)).json()),
    );
    assert.equal(new Set(answers.map(({ trace }) => trace)).size, 20);
    await collector.until(() => named("GET /call").length === before + 20);
    for (const { trace, parent } of answers) {
      const rows = collector.spans().filter((row) => row["trace_id"] === trace);
      const call = rows.find(({ id }) => id === parent)!;
      const work = rows.find(({ id }) => id === call["parent_span_id"])!;
      const top = rows.find(({ id }) => id === work["parent_span_id"])!;
      assert.deepEqual([rows.length, work["name"], top["name"]], [3, "work", "GET /call"]);
    }
  });

  test("a streamed response arrives whole, and its span ends with it", async () => {
    const response = await fetch(`${server.url}/stream`);
    assert.equal(await response.text(), "one\ntwo\n");
    const top = await root("GET /stream");
    await collector.until(() => named("late").length > 0);
    const [late] = named("late");
    assert.equal(late!["parent_span_id"], top.id);
    assert.ok(String(top["end_time"]) >= String(late!["end_time"]));
    assert.equal((top["metadata"] as object | undefined)?.toString(), undefined);
  });

  test("a client that hangs up ends the span and marks it", async () => {
    const aborted = new AbortController();
    const response = await fetch(`${server.url}/endless`, { signal: aborted.signal });
    await response.body!.getReader().read();
    aborted.abort();
    const top = await root("GET /endless");
    assert.deepEqual(top["metadata"], { opik_edge_cancelled: true });
  });

  test("an error that a handler throws is recorded, and answered as without tracing", async () => {
    assert.equal((await fetch(`${server.url}/throws`)).status, 500);
    const top = await root("GET /throws");
    if (name.startsWith("express"))
      assert.deepEqual(top["output"], { status: 500 }); // Express caught it
    else assert.equal((top["error_info"] as { message: string }).message, "from the handler");
  });

  test("a response stays the handler's, for untraced requests too", async () => {
    const response = await fetch(`${server.url}/teapot`);
    assert.deepEqual([response.status, await response.text()], [418, "short and stout"]);
    assert.deepEqual((await root("GET /teapot"))["output"], { status: 418 });
    const asks = { origin: "https://page.test", "access-control-request-method": "POST" };
    assert.equal((await fetch(`${server.url}/teapot`, { method: "OPTIONS", headers: asks })).status, 418);
    assert.equal(named("OPTIONS /teapot").length, 0);
  });

  if (!name.startsWith("hono")) return;
  test("repeated headers stay separate", async () => {
    const response = await fetch(`${server.url}/cookies`);
    assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.equal(await response.text(), "two cookies");
  });
}
