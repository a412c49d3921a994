// A contender as a program of one file. The package is the packed one, from its tarball; peers are bundled with it.

import { writeFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
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
  const code = await bundle(
    `import { serve } from "./program.js"; await serve(() => import("./contenders/${file}.js"));`,
    {
      platform: "node",
      alias: OTLP_BY_FETCH,
      external: ["opik-edge", "opik-edge/*"],
      // CommonJS among the peers.
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    },
  );
  const path = join(installed.folder, `${file}.mjs`);
  await writeFile(path, code);
  return path;
}

/** `source` as a Worker of one module, the way wrangler does it: our WebAssembly module lies beside it. */
export function bundleWorker(installed: Installed, source: string, more: BuildOptions = {}): Promise<string> {
  return bundle(source, {
    platform: "browser",
    conditions: ["workerd", "worker", "browser"],
    // What Node has and a Worker with `nodejs_compat` too, under the name that workerd knows.
    external: ["node:*", "cloudflare:*"],
    plugins: [asInstalled(installed), NODE_BY_ITS_NAME],
    ...more,
  });
}

async function bundle(source: string, options: BuildOptions): Promise<string> {
  const result = await build({
    stdin: { contents: source, resolveDir: BENCH, loader: "ts" },
    absWorkingDir: BENCH,
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    tsconfigRaw: {},
    logLevel: "error",
    ...options,
  });
  return result.outputFiles![0]!.text;
}

function asInstalled({ folder }: Installed): Plugin {
  return {
    name: "as-installed",
    setup({ onResolve, resolve }) {
      onResolve({ filter: /^opik-edge/ }, ({ path, kind, resolveDir }) =>
        resolveDir === folder ? undefined : resolve(path, { kind, resolveDir: folder }),
      );
      onResolve({ filter: /\.wasm$/ }, () => ({ path: "./core_bg.wasm", external: true }));
    },
  };
}

/** As wrangler does: a Worker imports what Node has, also where CommonJS would require it. */
const NODE_BY_ITS_NAME: Plugin = {
  name: "node-by-its-name",
  setup({ onResolve, onLoad }) {
    const names = builtinModules.filter((name) => !name.startsWith("_")).join("|");
    onResolve({ filter: new RegExp(`^(node:)?(${names})$`) }, ({ path, kind }) => {
      const known = path.startsWith("node:") ? path : `node:${path}`;
      return kind === "require-call" ? { path: known, namespace: "required" } : { path: known, external: true };
    });
    onLoad({ filter: /./, namespace: "required" }, ({ path }) => ({
      contents: `import all from "${path}"; module.exports = all;`,
    }));
  },
};
