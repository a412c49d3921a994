// The package as its users have it: packed by npm, installed from the tarball into a folder of its own.

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
  /** The tarball itself. */
  readonly tarball: string;
  remove(): Promise<void>;
}

/** Packs and installs, somewhere below `parent`. Needs no network: the package has no dependencies. */
export async function installTarball(parent: string = tmpdir()): Promise<Installed> {
  const folder = await mkdtemp(join(parent, "opik-edge-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT });
  const packed = JSON.parse(stdout);
  // npm 11 gives an array, later ones an object by package name.
  const { filename } = (Array.isArray(packed) ? packed[0] : Object.values(packed)[0]) as { filename: string };
  const tarball = join(folder, filename);
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: folder });
  return { folder, tarball, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The test program at `entry` as one module that still imports the installed package, and `external` ones. */
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
