// Bundles an example of a guide with packages of this folder, and loads it.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { example } from "../support/readme.js";
import { ROOT } from "../support/worker.js";

/** The packages of this folder. Other versions may be installed above it. */
const PACKAGES = join(ROOT, "tests/models/node_modules");

/** The exports of the example of this name. `packages` has the folder of each package that the example imports; `as` tells copies apart. */
export async function loadExample<M>(name: string, packages: Readonly<Record<string, string>>, as = ""): Promise<M> {
  const outfile = join(ROOT, `target/models/${name}${as}.mjs`);
  await build({
    absWorkingDir: ROOT,
    entryPoints: [await example(name, "ts")],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    external: ["opik-edge", "opik-edge/*"],
    alias: Object.fromEntries(Object.entries(packages).map(([found, folder]) => [found, join(PACKAGES, folder)])),
    logLevel: "error",
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  return import(pathToFileURL(outfile).href);
}
