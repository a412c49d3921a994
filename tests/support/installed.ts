// The package as its users get it: packed by npm, and installed from the tarball into a separate folder.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { ROOT } from "./worker.js";

const run = promisify(execFile);

/** A folder with `node_modules/opik-edge` in it, outside the repository. */
export interface Installed {
  readonly folder: string;
  /** Path of the tarball. */
  readonly tarball: string;
  remove(): Promise<void>;
}

/** Packs and installs, below `parent`. Needs no network, because the package has no dependencies. */
export async function installTarball(parent: string = tmpdir()): Promise<Installed> {
  const folder = await mkdtemp(join(parent, "opik-edge-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT });
  const packed = JSON.parse(stdout);
  // npm 11 prints an array, later versions an object by package name.
  const { filename } = (Array.isArray(packed) ? packed[0] : Object.values(packed)[0]) as { filename: string };
  const tarball = join(folder, filename);
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: folder });
  return { folder, tarball, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Bundles the test program at `entry` into one module that still imports the installed package and the modules in `external`. */
export async function bundleForInstalled(
  installed: Installed,
  entry: string,
  external: readonly string[] = [],
): Promise<string> {
  const result = await build({
    entryPoints: [join(ROOT, entry)],
    absWorkingDir: ROOT,
    outdir: installed.folder,
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    keepNames: true,
    external: ["opik-edge", "opik-edge/*", "node:*", ...external],
  });
  return result.outputFiles[0]!.text;
}
