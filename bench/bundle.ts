// A contender as a program of one file. The package is the packed one, from its tarball; peers are bundled with it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import type { Installed } from "../tests/support/installed.js";

const BENCH = import.meta.dirname;

/** OTLP over `fetch`, which the package has for pages and Workers: in Node it would go past the sink, by way of node:http. */
const OTLP_BY_FETCH = {
  "@opentelemetry/exporter-trace-otlp-http": join(
    BENCH,
    "node_modules/@opentelemetry/exporter-trace-otlp-http/build/esm/platform/browser/index.js",
  ),
};

/** Writes the contender in `contenders/FILE.ts` as a program for Node, Deno and Bun; gives its path. */
export async function bundleProgram(installed: Installed, file: string): Promise<string> {
  const result = await build({
    stdin: {
      contents: `import { serve } from "./program.js"; await serve(() => import("./contenders/${file}.js"));`,
      resolveDir: BENCH,
      loader: "ts",
    },
    absWorkingDir: BENCH,
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "es2022",
    alias: OTLP_BY_FETCH,
    external: ["opik-edge", "opik-edge/*"],
    // CommonJS among the peers.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    tsconfigRaw: {},
    logLevel: "error",
  });
  const path = join(installed.folder, `${file}.mjs`);
  await writeFile(path, result.outputFiles[0]!.text);
  return path;
}
