// Installs the tarball for real, and checks its files and that npm, TypeScript and wrangler accept it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Installed, installTarball } from "../support/installed.js";
import { ROOT } from "../support/worker.js";
import { buildProject, runTool, testConsumer } from "./tools.js";

describe("the packed tarball", () => {
  let installed: Installed;
  before(async () => {
    installed = await installTarball();
  });
  after(() => installed.remove());

  test("contains only the package, its licence and its documents", async () => {
    const root = join(installed.folder, "node_modules/opik-edge");
    const top = (await readdir(root)).sort();
    assert.deepEqual(top, ["CHANGELOG.md", "LICENSE", "README.md", "docs", "package.json", "pkg"]);
    const files = (await readdir(join(root, "pkg"), { recursive: true })).filter((name) => /\.\w+$/.test(name));
    assert.ok(
      files.every((name) => /\.(js|d\.ts|wasm)$/.test(name)),
      String(files),
    );
    for (const name of [
      "core.js",
      "opik.js",
      "index.js",
      "index.d.ts",
      "cloudflare/index.js",
      "testing/index.js",
      "llm/index.js",
      "llm/llm_bg.wasm",
      "llm/reader.js",
      "otel/index.js",
      "vercel/index.js",
      "llm/wasm/inline.js",
      "core_bg.wasm",
      "platform/wasm/inline.js",
      "standalone.js",
    ]) {
      assert.ok(files.includes(name), name);
    }
    assert.equal(JSON.parse(await readFile(join(root, "package.json"), "utf8")).dependencies, undefined);
  });

  test("runs no script at installation, and is published with its provenance", async () => {
    const root = join(installed.folder, "node_modules/opik-edge");
    const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const run = [
      "preinstall",
      "install",
      "postinstall",
      "preprepare",
      "prepare",
      "postprepare",
      "prepublish",
      "dependencies",
    ];
    assert.deepEqual(
      Object.keys(manifest.scripts ?? {}).filter((name) => run.includes(name)),
      [],
    );
    // npm would build a package with such a file.
    assert.ok(!(await readdir(root, { recursive: true })).some((name) => name.endsWith(".gyp")));
    for (const kind of ["", "optional", "peer", "bundle", "bundled"]) {
      assert.equal(manifest[kind ? `${kind}Dependencies` : "dependencies"], undefined, kind);
    }
    assert.deepEqual(manifest.publishConfig, { access: "public", provenance: true });
    const lock = JSON.parse(await readFile(join(installed.folder, "package-lock.json"), "utf8"));
    assert.deepEqual(Object.keys(lock.packages), ["", "node_modules/opik-edge"]);
    assert.equal(lock.packages["node_modules/opik-edge"].hasInstallScript, undefined);
  });

  test("consists of plain files, and only the command is executable", async () => {
    const root = join(installed.folder, "node_modules/opik-edge");
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      assert.ok(entry.isFile() || entry.isDirectory(), entry.name);
      assert.doesNotMatch(entry.name, /^\.|\.(map|tsx?|rs|node|sh|pem|key|log)$(?<!\.d\.ts)/);
    }
    const { bin } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    assert.deepEqual(bin, { "opik-edge": "pkg/doctor/cli.js" });
    assert.match(await readFile(join(root, "pkg/doctor/cli.js"), "utf8"), /^#!\/usr\/bin\/env node\n/);
  });

  test("is built and tested with packages that are pinned by their hash", async () => {
    const { stdout } = await promisify(execFile)("git", ["ls-files", "*package-lock.json"], { cwd: ROOT });
    const locks = stdout.trim().split("\n");
    assert.ok(locks.includes("package-lock.json"), stdout);
    for (const lock of locks) {
      const { packages } = JSON.parse(await readFile(join(ROOT, lock), "utf8")) as {
        packages: Record<string, { integrity?: string; link?: boolean; inBundle?: boolean; resolved?: string }>;
      };
      for (const [name, { integrity = "", link, inBundle, resolved }] of Object.entries(packages)) {
        if (name === "" || name === "viewer" || link || inBundle) continue; // a bundled package is in the tarball around it
        assert.match(integrity, /^sha512-/, `${lock}: ${name}`);
        assert.equal(resolved, undefined, `${lock}: ${name} is the registry's`);
      }
    }
  });

  test("contains no path of the build machine", async () => {
    const root = join(installed.folder, "node_modules/opik-edge/pkg");
    for (const name of await readdir(root, { recursive: true })) {
      if (!/\.\w+$/.test(name)) continue;
      const content = await readFile(join(root, name), "latin1");
      for (const path of [ROOT, process.env["HOME"]!]) assert.ok(path === "/" || !content.includes(`${path}/`), name);
    }
  });

  testConsumer("publint", "publint", async () => {
    await runTool("publint", ["run", installed.tarball, "--strict"], installed.folder);
  });

  testConsumer("are the types wrong", "@arethetypeswrong/cli", async () => {
    await runTool("attw", [installed.tarball, "--profile", "esm-only"], installed.folder);
  });

  for (const [example, script, modules] of [
    ["cloudflare-worker", "index.js", ["core_bg", "llm_bg"]],
    ["workers-ai", "index.js", ["core_bg", "llm_bg"]],
    ["browser", "site.js", ["core_bg"]],
  ] as const) {
    test(`wrangler bundles examples/${example} with it, its modules beside the script`, async () => {
      const worker = join(installed.folder, example);
      await cp(join(ROOT, "examples", example), worker, { recursive: true });
      await rm(join(worker, "tsconfig.json"));
      await buildProject(worker);
      await runTool("wrangler", ["deploy", "--dry-run", "--outdir", "out"], worker);
      const out = await readdir(join(worker, "out"));
      assert.ok(out.includes(script));
      const found = out.flatMap((name) => /(\w+)\.wasm$/.exec(name)?.[1] ?? []);
      assert.deepEqual(found.sort(), modules, String(out));
    });
  }
});
