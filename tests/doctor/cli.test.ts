// `opik-edge doctor`, as npm installs it, in every runtime that runs programs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Collector, startCollector } from "../../collector/server.js";
import { closeAll } from "../support/closing.js";
import { type Installed, installTarball } from "../support/installed.js";
import { PROGRAMS } from "../support/programs.js";

let collector: Collector;
let installed: Installed;
before(async () => {
  collector = await startCollector();
  installed = await installTarball();
});
after(() => closeAll(installed, collector));

interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Runs a program in the folder of the installed package, with that Opik. */
function run(program: string, args: readonly string[], opikUrl = collector.url): Promise<Ended> {
  const options = { cwd: installed.folder, env: { ...process.env, OPIK_URL_OVERRIDE: opikUrl } };
  return new Promise((resolve) => {
    const child = execFile(program, args, options, (_error, output) => resolve({ code: child.exitCode!, output }));
  });
}

const npx = (...args: string[]): Promise<Ended> => run("npx", ["--offline", "opik-edge", ...args]);

test("npx opik-edge doctor: all is well", async () => {
  const { code, output } = await npx("doctor");
  const lines = output.trim().split("\n");
  assert.equal(code, 0, output);
  assert.equal(lines.length, 6, output);
  assert.ok(
    lines.every((line) => line.startsWith("ok ")),
    output,
  );
  assert.match(
    lines[5]!,
    /Opik +http:\/\/127\.0\.0\.1:\d+\/api, workspace default, project Default Project: key and workspace are accepted/,
  );
});

test("a problem has its fix below it, and is the exit code", async () => {
  // What the collector answers to a GET names no header.
  const { code, output } = await npx("doctor", `${collector.url}/is-alive/ping`, "--origin", "https://app.test");
  assert.equal(code, 1, output);
  assert.match(output, /^FIX +headers +neither spelling is in the answer \(200\).*\n +→ let the URL answer/m);
  assert.match(output, /^FIX +CORS +pages of https:\/\/app\.test are not allowed .*\n +→ answer with handlePreflight/m);
});

test("it says how it is called", async () => {
  for (const args of [["--help"], []]) {
    const { code, output } = await npx(...args);
    assert.deepEqual([code, output.split("\n")[0]], [0, "opik-edge doctor [url] [--origin origin]"]);
  }
  for (const args of [["cure"], ["doctor", "--origin"], ["doctor", "--fast"], ["doctor", "one", "two"]]) {
    assert.equal((await npx(...args)).code, 2, String(args));
  }
});

for (const [runtime, [program, args]] of Object.entries(PROGRAMS)) {
  test(`in ${runtime}`, async () => {
    const granted = runtime === "Deno" ? ["--allow-env"] : [];
    const cli = join(installed.folder, "node_modules/opik-edge/pkg/doctor/cli.js");
    const { code, output } = await run(program, [...args, ...granted, cli, "doctor"]);
    assert.equal(code, 0, output);
    assert.match(output, /^ok +nesting /m);
    assert.match(output, /^ok +flush +in the background every two seconds/m);
    const failing = await run(program, [...args, ...granted, cli, "doctor"], "http://127.0.0.1:1/api");
    assert.equal(failing.code, 1, failing.output);
    assert.match(failing.output, /^FIX +Opik +http:\/\/127\.0\.0\.1:1\/api can not be reached/m);
  });
}
