// Runs a Worker in workerd: bundled as wrangler bundles it, the WebAssembly module beside it.

import { readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare, type V4WorkerOptions } from "miniflare";
import { Miniflare as OldMiniflare } from "miniflare-old";
import { bundleForInstalled, type Installed } from "./installed.js";

/** The repository's root. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The conditions that wrangler activates. */
const CONDITIONS = ["workerd", "worker", "browser"];

/** Node's own modules, by the names without `node:`. */
const NODE_MODULES = new RegExp(`^(${builtinModules.join("|")})$`);

/** The Worker at `entry` as one module. `opik-edge` is the installed package, or else the one built in pkg/. */
export async function bundleWorker(entry: string, installed?: Installed): Promise<string> {
  const source = installed ? await bundleForInstalled(installed, entry) : undefined;
  const result = await build({
    ...(installed
      ? { stdin: { contents: source!, resolveDir: installed.folder } }
      : { entryPoints: [join(ROOT, entry)] }),
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    keepNames: true,
    conditions: CONDITIONS,
    external: ["node:*", "cloudflare:*"],
    absWorkingDir: ROOT,
    plugins: [
      {
        name: "wasm-module",
        setup({ onResolve, resolve: resolveAgain }) {
          // Also from an example, which is a package of its own.
          onResolve({ filter: /^opik-edge/ }, ({ path, kind, resolveDir }) =>
            installed || resolveDir === ROOT ? undefined : resolveAgain(path, { kind, resolveDir: ROOT }),
          );
          onResolve({ filter: /\.wasm$/ }, ({ path }) => ({
            // What others bring along is not loaded here: any module does.
            path: path.endsWith("llm_bg.wasm") ? "./llm_bg.wasm" : "./core_bg.wasm",
            external: true,
          }));
        },
      },
      {
        // Packages that are older than ES modules `require` what workerd lets one only import.
        name: "node-modules",
        setup({ onResolve, onLoad }) {
          onResolve({ filter: NODE_MODULES }, ({ path, kind }) =>
            kind === "require-call" ? { path, namespace: "required" } : { path: `node:${path}`, external: true },
          );
          onLoad({ filter: /./, namespace: "required" }, ({ path }) => ({
            contents: `import all from "node:${path}"; module.exports = all;`,
          }));
        },
      },
    ],
  });
  return result.outputFiles[0]!.text;
}

/** The workerd of today, or one that is half a year old: people update it when they update wrangler. */
export type Workerd = "current" | "old";

/** How a Worker is run. */
export interface WorkerOptions {
  /** Which workerd it runs in; by default the current one. */
  readonly workerd?: Workerd;
  readonly bindings?: Record<string, string>;
  readonly compatibilityDate?: string;
  readonly compatibilityFlags?: string[];
  readonly port?: number;
  /** The package to run it with; by default the one in pkg/. */
  readonly installed?: Installed;
  /** More of Miniflare's own options, in the shape of its version 4: queues, service bindings, Durable Objects. */
  readonly miniflare?: MiniflareOptions;
  /** Receives what the Worker writes to its console. */
  readonly onLog?: (line: string) => void;
}

/** Miniflare's options besides the Worker itself. */
export type MiniflareOptions = Readonly<Partial<Omit<V4WorkerOptions, "modules">>> & {
  unsafeTriggerHandlers?: boolean;
};

/** A running Worker. */
export interface RunningWorker {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** What calls it in other ways than by HTTP. */
  readonly miniflare: Miniflare;
  close(): Promise<void>;
}

/** Starts the Worker at `entry` in workerd on 127.0.0.1. */
export async function startWorker(entry: string, options: WorkerOptions = {}): Promise<RunningWorker> {
  return startModules(await bundled(entry, options.installed), options);
}

/** The modules that a Worker may import, where they are in the package. */
const WASM = ["core_bg.wasm", "llm/llm_bg.wasm"];

/** The Worker at `entry` and the modules that it imports. */
export async function bundled(entry: string, installed?: Installed): Promise<WorkerModule[]> {
  const contents = await bundleWorker(entry, installed);
  const imported = WASM.filter((path) => contents.includes(`./${basename(path)}`));
  return [
    { type: "ESModule", path: "/worker.js", contents },
    ...(await Promise.all(
      imported.map(async (path) => ({
        type: "CompiledWasm" as const,
        path: `/${basename(path)}`,
        contents: await readFile(join(ROOT, "pkg", path)),
      })),
    )),
  ];
}

/** The compatibility date and flags that the wrangler.jsonc of `folder` sets. Its comments are lines of their own. */
export async function wranglerOptions(folder: string): Promise<WorkerOptions> {
  const text = await readFile(join(ROOT, folder, "wrangler.jsonc"), "utf8");
  const { compatibility_date, compatibility_flags = [] } = JSON.parse(text.replace(/^\s*\/\/.*$/gm, ""));
  return { compatibilityDate: compatibility_date, compatibilityFlags: compatibility_flags };
}

/** A file of a Worker; its entry is the first. */
export type WorkerModule =
  | { readonly type: "ESModule"; readonly path: string; readonly contents: string }
  | { readonly type: "CompiledWasm"; readonly path: string; readonly contents: Uint8Array };

/** The same for one that is bundled already. */
export async function startModules(modules: WorkerModule[], options: WorkerOptions = {}): Promise<RunningWorker> {
  const v4 = {
    host: "127.0.0.1",
    port: 0,
    // Straight to the Worker: Miniflare's own entry in front of it does not pass on that a client hung up.
    unsafeDirectSockets: [{ host: "127.0.0.1", port: options.port ?? 0 }],
    handleStructuredLogs: ({ message }: { readonly message: string }) => {
      options.onLog?.(message); // the older Miniflare wants nothing back
    },
    compatibilityDate: options.compatibilityDate ?? "2026-04-01",
    compatibilityFlags: options.compatibilityFlags ?? ["nodejs_als"],
    bindings: options.bindings ?? {},
    ...options.miniflare,
    modulesRoot: "/",
    modules,
  };
  // The Miniflare of today can not configure an older workerd. What the tests use of them is the same in both.
  const miniflare =
    options.workerd === "old"
      ? (new OldMiniflare(v4 as ConstructorParameters<typeof OldMiniflare>[0]) as unknown as Miniflare)
      : new Miniflare(convertV4MiniflareOptions(v4));
  await miniflare.ready.catch(async (error: unknown) => {
    await miniflare.dispose();
    throw error;
  });
  const url = await miniflare.unsafeGetDirectURL();
  return { url: url.origin, miniflare, close: () => miniflare.dispose() };
}
