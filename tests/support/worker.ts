// Runs a Worker in workerd, bundled as wrangler bundles it, with the WebAssembly module beside it.

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

/** Names of Node's built-in modules, without `node:`. */
const NODE_MODULES = new RegExp(`^(${builtinModules.join("|")})$`);

/** Bundles the Worker at `entry` into one module, with `opik-edge` from `installed` or else from pkg/. */
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
          // Imports in an example resolve here too, although the example is a separate package.
          onResolve({ filter: /^opik-edge/ }, ({ path, kind, resolveDir }) =>
            installed || resolveDir === ROOT ? undefined : resolveAgain(path, { kind, resolveDir: ROOT }),
          );
          onResolve({ filter: /\.wasm$/ }, ({ path }) => ({
            // WebAssembly of other packages is never loaded, so our module may stand for it.
            path: path.endsWith("llm_bg.wasm") ? "./llm_bg.wasm" : "./core_bg.wasm",
            external: true,
          }));
        },
      },
      {
        // Packages older than ES modules `require` modules that workerd only lets a module import.
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

/** The current workerd, or a version from half a year ago: people update it only with wrangler. */
export type Workerd = "current" | "old";

/** Options of `startWorker`. */
export interface WorkerOptions {
  /** The workerd to run in; the current one by default. */
  readonly workerd?: Workerd;
  readonly bindings?: Record<string, string>;
  readonly compatibilityDate?: string;
  readonly compatibilityFlags?: string[];
  readonly port?: number;
  /** The package to run with; by default the one in pkg/. */
  readonly installed?: Installed;
  /** More Miniflare options, in the shape of version 4: queues, service bindings, Durable Objects. */
  readonly miniflare?: MiniflareOptions;
  /** The source of a Worker that receives the events of this one as they happen: its `tailStream` is called. */
  readonly streamingTail?: string;
  /** Receives each line that the Worker writes to its console. */
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
  /** Calls the Worker by other means than HTTP. */
  readonly miniflare: Miniflare;
  close(): Promise<void>;
}

/** Starts the Worker at `entry` in workerd on 127.0.0.1. */
export async function startWorker(entry: string, options: WorkerOptions = {}): Promise<RunningWorker> {
  return startModules(await bundled(entry, options.installed), options);
}

/** Paths in the package of the modules that a Worker may import. */
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

/** The compatibility date and flags in the wrangler.jsonc of `folder`. Its comments must be on separate lines. */
export async function wranglerOptions(folder: string): Promise<WorkerOptions> {
  const text = await readFile(join(ROOT, folder, "wrangler.jsonc"), "utf8");
  const { compatibility_date, compatibility_flags = [] } = JSON.parse(text.replace(/^\s*\/\/.*$/gm, ""));
  return { compatibilityDate: compatibility_date, compatibilityFlags: compatibility_flags };
}

/** A file of a Worker. The entry comes first. */
export type WorkerModule =
  | { readonly type: "ESModule"; readonly path: string; readonly contents: string }
  | { readonly type: "CompiledWasm"; readonly path: string; readonly contents: Uint8Array };

/** Starts a Worker that is already bundled. */
export async function startModules(modules: WorkerModule[], options: WorkerOptions = {}): Promise<RunningWorker> {
  const own = {
    // Connects to the Worker directly: Miniflare's entry in front of it does not forward a client's disconnect.
    unsafeDirectSockets: [{ host: "127.0.0.1", port: options.port ?? 0 }],
    compatibilityDate: options.compatibilityDate ?? "2026-04-01",
    compatibilityFlags: options.compatibilityFlags ?? ["nodejs_als"],
    bindings: options.bindings ?? {},
    ...options.miniflare,
    modulesRoot: "/",
    modules,
  };
  const tail = options.streamingTail && {
    name: "tail",
    compatibilityDate: "2026-04-01",
    compatibilityFlags: ["streaming_tail_worker"],
    modulesRoot: "/",
    modules: [{ type: "ESModule" as const, path: "/tail.js", contents: options.streamingTail }],
  };
  const v4 = {
    host: "127.0.0.1",
    port: 0,
    handleStructuredLogs: ({ message }: { readonly message: string }) => {
      options.onLog?.(message); // the older Miniflare expects no result
    },
    ...(tail ? { workers: [{ name: "main", ...own, streamingTails: ["tail"] }, tail] } : own),
  };
  // The current Miniflare cannot configure an older workerd. The tests use only what both have in common.
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
