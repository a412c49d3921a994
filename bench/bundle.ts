// The contenders as programs and as Workers. The package is the packed one, from its tarball; peers are bundled, which spares
// them the many files that their imports would otherwise be.

import { builtinModules } from "node:module";
import { dirname, join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
import type { Installed } from "../tests/support/installed.js";
import { ENTRIES } from "./contenders.js";

const BENCH = import.meta.dirname;

/** OTLP over `fetch`, which the exporter has for pages and Workers: in Node it would go past the sink, by way of node:http. */
const OTLP_BY_FETCH: Plugin = {
  name: "otlp-by-fetch",
  setup({ onResolve }) {
    onResolve({ filter: /^(#|\.\/)platform$/ }, ({ importer }) =>
      importer.includes("/exporter-trace-otlp-http/")
        ? { path: join(dirname(importer), "platform/browser", importer.endsWith(".mjs") ? "index.mjs" : "index.js") }
        : undefined,
    );
  },
};

const programs = new WeakMap<Installed, Promise<string>>();

/** The arguments that run the contender in `contenders/FILE.ts` in Node, Deno or Bun: a program, and what it is to load. */
export async function programOf(installed: Installed, file: string): Promise<[program: string, file: string]> {
  let built = programs.get(installed);
  if (!built) {
    built = buildPrograms(installed);
    programs.set(installed, built);
  }
  return [await built, file];
}

async function buildPrograms({ folder }: Installed): Promise<string> {
  const outdir = join(folder, "programs");
  await build({
    ...COMMON,
    entryPoints: ["program.ts", ...ENTRIES.map(({ file }) => `contenders/${file}.ts`)],
    entryNames: "[name]",
    outdir,
    outExtension: { ".js": ".mjs" },
    splitting: true,
    platform: "node",
    external: ["opik-edge", "opik-edge/*"],
    plugins: [OTLP_BY_FETCH],
    // CommonJS among the peers.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  return join(outdir, "program.mjs");
}

/** `source` as a Worker of one module, the way wrangler does it: our WebAssembly module lies beside it. */
export async function bundleWorker(installed: Installed, source: string): Promise<string> {
  const result = await build({
    ...COMMON,
    stdin: { contents: source, resolveDir: BENCH, loader: "ts" },
    write: false,
    minify: true,
    platform: "browser",
    conditions: ["workerd", "worker", "browser"],
    // Modules of Node that a Worker with `nodejs_compat` has too, under the name that workerd knows.
    external: ["node:*", "cloudflare:*"],
    plugins: [asInstalled(installed), NODE_BY_ITS_NAME, OTLP_BY_FETCH],
  });
  return result.outputFiles[0]!.text;
}

const COMMON = {
  absWorkingDir: BENCH,
  bundle: true,
  format: "esm",
  target: "es2022",
  tsconfigRaw: {},
  logLevel: "error",
} as const satisfies BuildOptions;

function asInstalled({ folder }: Installed): Plugin {
  return {
    name: "as-installed",
    setup({ onResolve, resolve }) {
      onResolve({ filter: /^opik-edge/ }, ({ path, kind, resolveDir }) =>
        resolveDir === folder ? undefined : resolve(path, { kind, resolveDir: folder }),
      );
      onResolve({ filter: /\.wasm$/ }, ({ path }) => ({
        // Modules of other packages are not loaded here: any module does.
        path: path.endsWith("llm_bg.wasm") ? "./llm_bg.wasm" : "./core_bg.wasm",
        external: true,
      }));
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
