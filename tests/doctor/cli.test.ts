// `opik-edge doctor`, as npm installs it, in every runtime that runs programs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type Installed, installTarball } from "../support/installed.js";
import { freePort } from "../support/ports.js";
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

/** Writes the files of a Worker's project beside the installed package while `use` runs. */
async function inProject(files: Record<string, string>, use: () => Promise<void>): Promise<void> {
  const paths = Object.keys(files).map((file) => join(installed.folder, file));
  await Promise.all(Object.entries(files).map(([file, text]) => writeFile(join(installed.folder, file), text)));
  try {
    await use();
  } finally {
    await Promise.all(paths.map((path) => rm(path)));
  }
}

/** Runs a program in the folder of the installed package, with the Opik at this URL. */
function run(program: string, args: readonly string[], opikUrl: string | undefined = collector.url): Promise<Ended> {
  const { OPIK_URL_OVERRIDE: _, ...others } = process.env;
  const env = opikUrl === "" ? others : { ...others, OPIK_URL_OVERRIDE: opikUrl };
  const options = { cwd: installed.folder, env };
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

test("a problem is followed by its fix, and sets the exit code", async () => {
  // The collector's answer to a GET names no header.
  const { code, output } = await npx("doctor", `${collector.url}/is-alive/ping`, "--origin", "https://app.test");
  assert.equal(code, 1, output);
  assert.match(output, /^FIX +headers +neither spelling is in the answer \(200\).*\n +→ let the URL answer/m);
  assert.match(output, /^FIX +CORS +pages of https:\/\/app\.test are not allowed .*\n +→ answer with handlePreflight/m);
});

test("it prints its usage, with --help and without arguments", async () => {
  for (const args of [["--help"], []]) {
    const { code, output } = await npx(...args);
    assert.deepEqual([code, output.split("\n")[0]], [0, "opik-edge doctor [url] [--origin origin]"]);
  }
  const wrong: [args: string[], sentence: string][] = [
    [["cure"], "cure is not a command"],
    [["docto"], "docto is not a command: did you mean doctor?"],
    [["doctor", "--origin"], "--origin: expected the origin of pages"],
    [["doctor", "--fast"], "--fast is not an option of the doctor"],
    [["doctor", "--orgin", "https://app.test"], "--orgin is not an option of the doctor: did you mean --origin?"],
    [["doctor", "--orign=https://app.test"], "--orign is not an option of the doctor: did you mean --origin?"],
    [["doctor", "one", "two"], "expected one URL, got 2"],
  ];
  for (const [args, sentence] of wrong) {
    const { code, output } = await npx(...args);
    assert.deepEqual([code, output.split("\n")[0]], [2, sentence]);
    assert.match(output, /^opik-edge doctor \[url\] \[--origin origin\]$/m);
  }
});

const VARS: [file: string, text: (url: string) => string][] = [
  [
    ".dev.vars",
    (url) => `# of this machine\nOPIK_API_KEY="a-secret-key" # raw\nexport OPIK_URL_OVERRIDE=${url}\nOTHER=1\n`,
  ],
  [
    "wrangler.jsonc",
    (url) =>
      `{\n  // "vars": {},\n  "name": "w", /* , } */\n  "vars": { "OPIK_URL_OVERRIDE": "${url}", "A": "//", },\n}`,
  ],
  ["wrangler.json", (url) => JSON.stringify({ vars: { OPIK_URL_OVERRIDE: url } })],
  [
    "wrangler.toml",
    (url) =>
      `name = "w"\n[vars]\nA = "1"\nOPIK_URL_OVERRIDE = "${url}" # ours\n\n[env.other.vars]\nOPIK_URL_OVERRIDE = "x"`,
  ],
  ["wrangler.toml", (url) => `name = "w"\nvars = { A = "1", OPIK_URL_OVERRIDE = "${url}" }\n`],
];
for (const [file, text] of VARS) {
  test(`it reads the variables of ${file}, and does not show them`, () =>
    inProject({ [file]: text(collector.url) }, async () => {
      const { code, output } = await run("npx", ["--offline", "opik-edge", "doctor"], "");
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`^ok +settings OPIK_\\w+.* from ${file}$`, "m"));
      assert.ok(output.includes(`${collector.url}, workspace default`), output);
      assert.ok(!output.includes("a-secret-key"), output);
    }));
}

test("the environment takes precedence over a file, and an unreadable file counts as missing", () =>
  inProject({ ".dev.vars": "OPIK_URL_OVERRIDE=http://127.0.0.1:1", "wrangler.jsonc": "{ vars" }, async () => {
    const { code, output } = await npx("doctor");
    assert.equal(code, 0, output);
    assert.match(output, /^ok +settings nothing that the environment has not from \.dev\.vars$/m);
  }));

test("causes are reported: nobody listens, and a page answers", async () => {
  const port = await freePort();
  assert.match((await npx("doctor", `http://127.0.0.1:${port}/`)).output, new RegExp(`ECONNREFUSED 127.0.0.1:${port}`));
  const page = createServer((_, response) => response.setHeader("content-type", "text/html").end("<p>"));
  await once(page.listen(0, "127.0.0.1"), "listening");
  const { port: pagePort } = page.address() as AddressInfo;
  const { code, output } = await run("npx", ["--offline", "opik-edge", "doctor"], `http://127.0.0.1:${pagePort}`);
  page.close();
  page.closeAllConnections();
  assert.equal(code, 1);
  assert.match(output, /^FIX +Opik .* is not Opik's API: got text\/html \(200\)\n +→ the URL ends with \/api/m);
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
    assert.match(failing.output, /^FIX +Opik +http:\/\/127\.0\.0\.1:1\/api cannot be reached/m);
  });
}
