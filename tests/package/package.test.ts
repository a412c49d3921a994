// The tarball, installed for real: what is in it, and that its consumers can use it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Installed, installTarball } from "../support/installed.js";
import { ROOT } from "../support/worker.js";

const run = promisify(execFile);

describe("the packed tarball", () => {
  let installed: Installed;
  before(async () => {
    installed = await installTarball();
  });
  after(() => installed.remove());

  test("has the package, its licence and its documents, and nothing else", async () => {
    const root = join(installed.folder, "node_modules/opik-edge");
    const top = (await readdir(root)).sort();
    assert.deepEqual(top, ["CHANGELOG.md", "LICENSE", "README.md", "package.json", "pkg"]);
    const files = (await readdir(join(root, "pkg"), { recursive: true })).filter((name) => /\.\w+$/.test(name));
    assert.ok(
      files.every((name) => /\.(js|d\.ts|wasm)$/.test(name)),
      String(files),
    );
    for (const name of [
      "index.js",
      "index.d.ts",
      "cloudflare/index.js",
      "testing/index.js",
      "core_bg.wasm",
      "wasm/inline.js",
    ]) {
      assert.ok(files.includes(name), name);
    }
    assert.equal(JSON.parse(await readFile(join(root, "package.json"), "utf8")).dependencies, undefined);
  });

  test("knows no path of the machine that built it", async () => {
    const root = join(installed.folder, "node_modules/opik-edge/pkg");
    for (const name of await readdir(root, { recursive: true })) {
      if (!/\.\w+$/.test(name)) continue;
      const content = await readFile(join(root, name), "latin1");
      for (const path of [ROOT, process.env["HOME"]!]) assert.ok(path === "/" || !content.includes(`${path}/`), name);
    }
  });

  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    test(`type-checks for a strict consumer with ${moduleResolution} resolution`, async () => {
      const file = join(installed.folder, `types-${moduleResolution}.ts`);
      await cp(join(ROOT, "tests/types/api.ts"), file);
      const flags = [
        "--strict",
        "--noEmit",
        "--exactOptionalPropertyTypes",
        "--target",
        "es2022",
        "--skipLibCheck",
        "false",
      ];
      const lib = ["--lib", "es2023,esnext.disposable,dom,dom.iterable"];
      const args = [
        ...flags,
        ...lib,
        "--types",
        "",
        "--module",
        module!,
        "--moduleResolution",
        moduleResolution!,
        file,
      ];
      await run(join(ROOT, "node_modules/.bin/tsc"), args, { cwd: installed.folder }).catch((error) =>
        assert.fail(error.stdout),
      );
    });
  }

  for (const [example, script] of [
    ["cloudflare-worker", "index.js"],
    ["browser", "site.js"],
  ] as const) {
    test(`wrangler bundles examples/${example} with it, the module beside the script`, async () => {
      const worker = join(installed.folder, example);
      await cp(join(ROOT, "examples", example), worker, { recursive: true });
      await rm(join(worker, "tsconfig.json"));
      const env = { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "1" };
      const { build } = JSON.parse(await readFile(join(worker, "package.json"), "utf8")).scripts;
      // Its commands are those of its dev dependencies.
      const PATH = `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}`;
      if (build) await run("sh", ["-c", build], { cwd: worker, env: { ...env, PATH } });
      const wrangler = join(ROOT, "node_modules/wrangler/bin/wrangler.js");
      await run(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", "out"], { cwd: worker, env });
      const out = await readdir(join(worker, "out"));
      assert.ok(out.includes(script));
      assert.ok(
        out.some((name) => name.endsWith(".wasm")),
        String(out),
      );
    });
  }

  test("a CommonJS program gets it by import()", async () => {
    const file = join(installed.folder, "program.cjs");
    await writeFile(
      file,
      `import("opik-edge").then(({ Opik }) => console.log(new Opik({ url: "http://localhost/api" }).span().id.length));`,
    );
    const { stdout } = await run(process.execPath, [file], { cwd: installed.folder });
    assert.equal(stdout.trim(), "36");
  });
});
