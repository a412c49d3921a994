// The command, as npm installs it: `opik-edge dev` and `opik-edge-viewer`.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type Installed, installTarball } from "../support/installed.js";
import { freePort } from "../support/ports.js";
import { PROGRAMS } from "../support/programs.js";
import { ROOT } from "../support/worker.js";
import { idAt, sendOtlp } from "./sample.js";

const run = promisify(execFile);
let installed: Installed;
let viewer: string;
before(async () => {
  installed = await installTarball();
});
after(() => installed.remove());

/** A command of the installed packages. */
class Command {
  readonly #child: ChildProcess;
  output = "";

  constructor(program: string, args: readonly string[], env: Record<string, string> = {}, cwd = installed.folder) {
    this.#child = spawn(program, args, { cwd, env: { ...process.env, ...env } });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.output += text;
      });
    }
  }

  /** Resolves once it has written that. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.output);
      if (found) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`it has ended: ${this.output}`);
      await Promise.race([
        once(this.#child.stdout!, "data"),
        once(this.#child.stderr!, "data"),
        once(this.#child, "exit"),
      ]);
    }
  }

  async ended(): Promise<number> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "close");
    return this.#child.exitCode!;
  }

  end(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.#child.kill(signal);
    return this.ended();
  }
}

const dev = (...args: string[]) =>
  new Command(process.execPath, [join(installed.folder, "node_modules/opik-edge/pkg/doctor/cli.js"), "dev", ...args]);
const view = (args: readonly string[], env: Record<string, string> = {}, cwd?: string) =>
  new Command(process.execPath, [join(installed.folder, "node_modules/.bin/opik-edge-viewer"), ...args], env, cwd);
const sendTo = (url: string, n: number) => {
  const ms = Date.now();
  const times = { start_time: new Date(ms).toISOString(), end_time: new Date(ms + 3).toISOString() };
  const trace = { id: idAt(ms, n), name: `trace ${n}`, ...times };
  return fetch(`${url}/v1/private/traces/batch`, { method: "POST", body: JSON.stringify({ traces: [trace] }) });
};

test("opik-edge dev says how to get the viewer where it is not installed", async () => {
  const command = dev();
  assert.equal(await command.ended(), 1);
  assert.match(command.output, /\n {2}npx opik-edge-viewer@\d+\.\d+\.\d+\n$/);
});

describe("beside the viewer's tarball", () => {
  before(async () => {
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", installed.folder], {
      cwd: join(ROOT, "viewer"),
    });
    const packed = JSON.parse(stdout);
    const { filename, files, size } = (Array.isArray(packed) ? packed[0] : Object.values(packed)[0]) as {
      filename: string;
      files: { path: string }[];
      size: number;
    };
    const paths = files
      .map(({ path }) => path)
      .filter((path) => !/^dist\/types\/(?:api|server\/[a-z-]+)\.d\.ts$/.test(path));
    assert.deepEqual(paths.sort(), [
      "LICENSE",
      "README.md",
      "dist/LICENSES.txt",
      "dist/attributes.js",
      "dist/cli.js",
      "dist/server.js",
      "package.json",
    ]);
    assert.ok(size <= 150 * 1024, `${size} bytes`);
    viewer = join(installed.folder, filename);
    await run("npm", ["install", "--offline", "--no-audit", "--no-fund", installed.tarball, viewer], {
      cwd: installed.folder,
    });
  });

  test("a program of a user has its types", async () => {
    const program = join(installed.folder, "program.ts");
    await writeFile(
      program,
      `import { type Collector, type ListAnswer, startCollector } from "opik-edge-viewer";
       const collector: Collector = await startCollector();
       const list = (await (await fetch(\`\${collector.url}/viewer/traces\`)).json()) as ListAnswer;
       const name: string | undefined = list.traces[0]?.name;
       // @ts-expect-error: it is a number
       const spans: string = list.traces[0]!.spans;
       await collector.close();
       export { name, spans };`,
    );
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--types", "node"];
    const typeRoots = ["--typeRoots", join(ROOT, "node_modules/@types")];
    await run(join(ROOT, "node_modules/.bin/tsc"), [...options, ...typeRoots, program], { cwd: installed.folder });
  });

  test("opik-edge dev serves the page, and says what to set", async () => {
    const port = await freePort();
    const command = dev("--port", String(port));
    await command.until(/Send them there with OPIK_URL_OVERRIDE=http:\/\/127\.0\.0\.1:\d+\/api\n/);
    const page = await (await fetch(`http://localhost:${port}/`)).text();
    assert.match(page, /<script type="module" src="page\.js">/);
    assert.equal((await fetch(`http://127.0.0.1:${port}/page.js`)).status, 200);
    const second = dev("--port", String(port));
    assert.equal(await second.ended(), 0);
    assert.match(second.output, /^A viewer runs already: /);
    assert.equal(await command.end("SIGINT"), 0);
  });

  test("an error names a port in use, and a wrong option", async () => {
    const server = (await import("node:http")).createServer((_request, response) => response.end("{}"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const command = view(["--port", String(port)]);
    assert.equal(await command.ended(), 1);
    assert.match(command.output, /port \d+ is taken by another program/);
    server.close();
    for (const [args, said] of [
      [["--port", "x"], /--port x: expected a number/],
      [["--host", "0.0.0.0"], /--host needs --allow-host/],
      [["--nonsense"], /nonsense/],
      [["--port", "0", "--forward", "http://opik.example/api"], /by https alone/],
      [["--port", "0", "--import", "missing.ndjson"], /missing\.ndjson/],
    ] as const) {
      const wrong = view(args);
      assert.equal(await wrong.ended(), 1, wrong.output);
      assert.match(wrong.output, said);
    }
    for (const args of [["cure"], ["run"], ["run", "--"], ["tail", "x"]])
      assert.equal(await view(args).ended(), 2, String(args));
    assert.equal(await view(["--help"]).ended(), 0);
  });

  test("run sets the variable, and ends as its command does", async () => {
    const code = "console.log(process.env.OPIK_URL_OVERRIDE); process.exitCode = 7";
    const command = view(["--port", "0", "run", "--", process.execPath, "-e", code]);
    assert.equal(await command.ended(), 7);
    assert.match(command.output, /\nhttp:\/\/127\.0\.0\.1:\d+\/api\n/);
    const missing = view(["--port", "0", "run", "--", "no-such-command"]);
    assert.equal(await missing.ended(), 1);
    assert.match(missing.output, /no-such-command does not start/);
  });

  test("run passes a signal on", async () => {
    const code = "process.on('SIGTERM', () => process.exit(3)); console.log('ready'); setInterval(() => {}, 1000)";
    const command = view(["--port", "0", "run", "--", process.execPath, "-e", code]);
    await command.until(/ready/);
    assert.equal(await command.end(), 3);
  });

  test("tail prints trees as they come; with --once, the first", async () => {
    const first = view(["--port", "0", "tail", "--once"]);
    const [, url] = await first.until(/OPIK_URL_OVERRIDE=(\S+)/);
    await sendTo(url!, 1);
    assert.equal(await first.ended(), 0);
    assert.match(first.output, /trace \S+ "trace 1" {2}3 ms\n/);
    const all = view(["--port", "0", "tail"]);
    const [, other] = await all.until(/OPIK_URL_OVERRIDE=(\S+)/);
    await sendTo(other!, 2);
    await sendTo(other!, 3);
    await all.until(/"trace 2"[\s\S]*"trace 3"/);
    await all.end();
  });

  test("a file is read again, is its owner's alone, and git is thought of; wrangler's variables too", async () => {
    const folder = join(installed.folder, "project");
    await mkdir(join(folder, ".git"), { recursive: true });
    await writeFile(join(folder, "wrangler.jsonc"), "{}");
    const args = ["--port", "0", "--file", "traces.db"];
    const command = view(args, {}, folder);
    const [, url] = await command.until(/Send them there with OPIK_URL_OVERRIDE=(\S+)[\s\S]*git/);
    assert.match(command.output, /add the line OPIK_URL_OVERRIDE=/);
    await sendTo(url!, 1);
    await command.end();
    assert.doesNotMatch(command.output, /Warning/);
    assert.equal((await stat(join(folder, "traces.db"))).mode & 0o777, 0o600);
    await writeFile(join(folder, ".dev.vars"), `OPIK_URL_OVERRIDE=${url}`);
    const again = view(args, {}, folder);
    const [, second] = await again.until(/OPIK_URL_OVERRIDE=(\S+)[\s\S]*git/);
    assert.match(await (await fetch(`${second}/trees`)).text(), /"trace 1"/);
    const exported = await (await fetch(`${second}/viewer/export`)).text();
    await again.end();
    await writeFile(join(folder, "rows.ndjson"), exported);
    const imported = view(["--port", "0", "--import", "rows.ndjson"], {}, folder);
    const [, third] = await imported.until(/OPIK_URL_OVERRIDE=(\S+)/);
    assert.match(await (await fetch(`${third}/trees`)).text(), /"trace 1"/);
    await imported.end();
    await rm(folder, { recursive: true });
  });

  test("it opens no connection, except to pass rows on", async () => {
    const watched = { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "outgoing.mjs"))}` };
    const use = async (...args: string[]) => {
      const command = view(["--port", "0", ...args], watched);
      const [, url] = await command.until(/OPIK_URL_OVERRIDE=(\S+)/);
      const asked = ["/", "/page.js", "/api/viewer/traces", "/api/viewer/status", "/api/viewer/export", "/api/trees"];
      assert.equal((await sendTo(url!, 1)).status, 204);
      for (const path of asked) assert.ok((await fetch(new URL(path, url))).ok, path);
      return command;
    };
    const alone = await use();
    await alone.end();
    assert.doesNotMatch(alone.output, /OPENS A CONNECTION/);
    const forwards = await use("--forward", `http://127.0.0.1:${await freePort()}/api`);
    await forwards.until(/OPENS A CONNECTION/);
    await forwards.end();
  });

  for (const [runtime, [program, args]] of Object.entries(PROGRAMS)) {
    test(`serves in ${runtime}`, async () => {
      const granted = runtime === "Deno" ? ["--allow-env", "--allow-read", "--allow-net"] : [];
      const cli = join(installed.folder, "node_modules/opik-edge-viewer/dist/cli.js");
      const command = new Command(program, [...args, ...granted, cli, "--port", "0"]);
      const [, url] = await command.until(/OPIK_URL_OVERRIDE=(\S+)/);
      assert.equal((await sendTo(url!, 1)).status, 204);
      await sendOtlp({ url: url! }, Date.now());
      const trees = await (await fetch(`${url}/trees`)).text();
      assert.match(trees, /"trace 1"/);
      assert.match(trees, /"chat gpt-5-mini" {2}llm .*tokens=243/);
      await command.end();
    });
  }
});
