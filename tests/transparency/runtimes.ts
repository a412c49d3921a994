// Runs a program in every runtime, bundled with the package of pkg/. A program is a module that exports `run(config)`,
// from JSON to JSON, and uses only features that all its runtimes have. New programs use `RUNTIMES` or `execute`;
// differential.ts compares their results.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { text } from "node:stream/consumers";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { BROWSERS, type Browser, startBrowser } from "../browsers/webdriver.js";
import { LONG } from "../support/long.js";
import { PROGRAMS } from "../support/programs.js";
import { runtimeVersion } from "../support/versions.js";
import { ROOT, startWorker, type Workerd } from "../support/worker.js";

/** A runtime for programs. */
export interface Runtime {
  /** For example `Node 24`, `old workerd, nodejs_compat` or `Firefox, service worker` */
  readonly name: string;
  readonly kind: "process" | "worker" | "page" | "service worker";
  /** Starts the runtime with the program at `entry`, a path in the repository. Pages have the origin of `site`. */
  start(entry: string, site: Site): Promise<Running>;
}

/** A program running in its runtime. */
export interface Running {
  /** The version of the runtime. */
  readonly version: string;
  /** Calls the program's `run`, each time in a new process, page or service worker. A Worker is shared by all calls. */
  run(config: unknown): Promise<unknown>;
  close(): Promise<void>;
}

/** A server for pages; server.ts has an implementation. */
export interface Site {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Answers `path` with `body` from now on. */
  serve(path: string, type: string, body: string): void;
}

/** The end of a process. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

const WORKERD_FLAGS: Record<string, string[]> = {
  nodejs_compat: ["nodejs_compat"],
  nodejs_als: ["nodejs_als"],
  "no flag": [],
};

/** Every runtime. */
export const RUNTIMES: readonly Runtime[] = [
  ...Object.keys(PROGRAMS).map(processRuntime),
  ...Object.keys(WORKERD_FLAGS).map((flags) => workerRuntime("current", flags)),
  ...Object.keys(WORKERD_FLAGS).map((flags) => workerRuntime("old", flags)),
  ...Object.keys(BROWSERS).map(pageRuntime),
  ...Object.keys(BROWSERS).map(serviceWorkerRuntime),
];

/**
 * Pages whose requests are answered by a service worker. The page calls the program's `run`, which registers
 * `/worker-of-page.js`. That worker calls the program's `respond` when it starts.
 */
export const CONTROLLED_PAGES: readonly Runtime[] = Object.keys(BROWSERS).map((name) => {
  const page = pageRuntime(name);
  return {
    ...page,
    name: `${name}, behind a service worker`,
    async start(entry, site) {
      const stub = `import { respond } from ${JSON.stringify(join(ROOT, entry))}; respond();`;
      site.serve("/worker-of-page.js", "text/javascript", await bundleScript(stub));
      return page.start(entry, site);
    },
  };
});

/** `true` if every row runs in every runtime, with `scripts/check --long`. */
export const IS_WHOLE: boolean = LONG && !process.env["OPIK_EDGE_RUNTIMES"];

/** `true` if neither side is traced. Every difference is then a fault of the suite. */
export const IS_CONTROL: boolean = (process.env["OPIK_EDGE_CONTROL"] ?? "") !== "";

/** The runtimes to use: those matched by `OPIK_EDGE_RUNTIMES`, or all. */
export const TRIED: readonly Runtime[] = RUNTIMES.filter(({ name }) =>
  new RegExp(process.env["OPIK_EDGE_RUNTIMES"] ?? "").test(name),
);

/** Runtimes that run every row even in the short form. */
const WHOLE_IN = ["Node 24"];
/** Each other runtime runs one row in eight. Each takes a different share, so that together they run all. */
const PART = 8;
/** The same for suites that run only in processes, of which there are four others. */
export const PART_OF_PROCESSES = 4;

/** The rows to run in this runtime: all with `scripts/check --long` or if `OPIK_EDGE_RUNTIMES` is set, otherwise one in `part`. */
export function partOf<T>(runtime: string, rows: readonly T[], part: number = PART): readonly T[] {
  const isWhole = LONG || process.env["OPIK_EDGE_RUNTIMES"] || WHOLE_IN.includes(runtime);
  const others = RUNTIMES.filter(({ name }) => !WHOLE_IN.includes(name)).map(({ name }) => name);
  const at = others.indexOf(runtime);
  return isWhole || at < 0 ? rows : rows.filter((_, index) => index % part === at % part);
}

/** Folder of the bundles. They are kept so that stack traces point to a file, and are below the root so that packages resolve. */
const FOLDER = join(ROOT, "target/transparency");

// --- Processes: Node, Deno, Bun

/** Begins the line of the result, because a program may print other lines. */
const RESULT = "\u0001result ";

function processRuntime(name: string): Runtime {
  return {
    name,
    kind: "process",
    async start(entry) {
      const file = await bundleProcess(entry);
      return {
        version: /\d+\.\d+\.\d+/.exec((await spawned(name, ["--version"], "")).stdout)![0],
        async run(config) {
          const exit = await spawned(name, [file], JSON.stringify(config));
          const line = exit.stdout.split("\n").find((printed) => printed.startsWith(RESULT));
          if (line === undefined) throw new Error(`${name} printed no result: ${JSON.stringify(exit)}`);
          return JSON.parse(line.slice(RESULT.length));
        },
        async close() {},
      };
    },
  };
}

/**
 * Runs the module at `entry` as a separate program until it ends. `config` is its last argument; `flags` are further flags for the
 * runtime.
 */
export async function execute(
  runtime: string,
  entry: string,
  config: unknown,
  flags: readonly string[] = [],
): Promise<Exit> {
  const file = await bundleFile(`${basename(entry, ".ts")}.program`, { entryPoints: [join(ROOT, entry)] });
  return spawned(runtime, [...flags, file, JSON.stringify(config)], "");
}

async function spawned(runtime: string, given: readonly string[], input: string): Promise<Exit> {
  const [program, args] = PROGRAMS[runtime]!;
  const all = given[0] === "--version" ? given : [...args, ...given];
  const child = spawn(program, all, { cwd: FOLDER, timeout: 300_000, stdio: "pipe" });
  child.stdin.on("error", () => {}).end(input); // the program might not read its input
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit") as Promise<[number | null, string | null]>,
  ]);
  return { code, signal, stdout, stderr };
}

const bundleProcess = (entry: string): Promise<string> =>
  bundleFile(basename(entry, ".ts"), {
    stdin: {
      resolveDir: ROOT,
      contents: `import process from "node:process";
     import { run } from ${JSON.stringify(join(ROOT, entry))};
     let config = "";
     for await (const chunk of process.stdin.setEncoding("utf8")) config += chunk;
     const result = JSON.stringify(await run(JSON.parse(config)));
     process.stdout.write("\\n" + ${JSON.stringify(RESULT)} + result + "\\n", () => process.exit());`,
    },
  });

/** Leaves packages other than ours to the runtime. */
const OURS_ONLY: Plugin = {
  name: "ours-only",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./#]/ }, ({ path, kind }) =>
      kind === "entry-point" || path.startsWith("opik-edge") || path.startsWith("node:")
        ? undefined
        : { path, external: true },
    );
  },
};

const bundled = new Map<string, Promise<string>>();

/** Bundles each program once. */
function bundleFile(name: string, what: Pick<BuildOptions, "stdin" | "entryPoints">): Promise<string> {
  const file = join(FOLDER, `${name}.mjs`);
  const bundle = async (): Promise<string> => {
    await mkdir(FOLDER, { recursive: true });
    // Keeps the program's side effects, although its package.json declares `sideEffects` false.
    const options = { ...COMMON, ...what, ignoreAnnotations: true };
    await build({ ...options, platform: "node", plugins: [OURS_ONLY], outfile: file });
    return file;
  };
  const known = bundled.get(file) ?? bundle();
  bundled.set(file, known);
  return known;
}

const COMMON = { absWorkingDir: ROOT, bundle: true, format: "esm", target: "es2022", keepNames: true } as const;

// --- workerd

function workerRuntime(workerd: Workerd, flags: string): Runtime {
  const named = workerd === "old" ? "old workerd" : "workerd";
  return {
    name: `${named}, ${flags}`,
    kind: "worker",
    async start(entry) {
      const stub = await workerStub(entry);
      const lines: string[] = [];
      const worker = await startWorker(relative(ROOT, stub), {
        workerd,
        compatibilityFlags: WORKERD_FLAGS[flags]!,
        onLog: (line) => void lines.push(line),
      });
      return {
        version: runtimeVersion(named),
        async run(config) {
          const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(config) });
          const answer = await response.text();
          if (response.status !== 200) throw new Error(`${response.status} ${answer}\n${lines.join("")}`);
          return JSON.parse(answer);
        },
        close: () => worker.close(),
      };
    },
  };
}

const stubs = new Map<string, Promise<string>>();

/** Writes a Worker that runs the program. Written once, because another runtime may be reading it. */
function workerStub(entry: string): Promise<string> {
  const write = async (): Promise<string> => {
    const stub = join(FOLDER, `${basename(entry, ".ts")}.worker.ts`);
    await mkdir(FOLDER, { recursive: true });
    await writeFile(
      stub,
      `import { run } from ${JSON.stringify(join(ROOT, entry))};
       export default {
         fetch: async (request: Request) => Response.json(await run(await request.json())),
       };`,
    );
    return stub;
  };
  const known = stubs.get(entry) ?? write();
  stubs.set(entry, known);
  return known;
}

// --- Browsers

function pageRuntime(name: string): Runtime {
  return {
    name,
    kind: "page",
    async start(entry, site) {
      // The result crosses as JSON, because Firefox's driver does not support typed arrays.
      const stub = `import { run } from ${JSON.stringify(join(ROOT, entry))};
        globalThis.run = async (config) => JSON.parse(JSON.stringify(await run(config)));`;
      site.serve("/page.js", "text/javascript", await bundleScript(stub));
      site.serve("/page", "text/html", PAGE);
      return inBrowser(name, site, "/page");
    },
  };
}

const PAGE = `<!doctype html><meta charset="utf-8"><title>page</title><script type="module" src="/page.js"></script>`;

function serviceWorkerRuntime(name: string): Runtime {
  return {
    name: `${name}, service worker`,
    kind: "service worker",
    async start(entry, site) {
      const stub = `import { run } from ${JSON.stringify(join(ROOT, entry))};
        addEventListener("message", (event) => {
          const answer = (outcome) => event.ports[0].postMessage(outcome);
          const failed = (error) => answer({ error: String((error && error.stack) || error) });
          event.waitUntil(run(event.data).then((value) => answer({ value }), failed));
        });`;
      site.serve("/service-worker.js", "text/javascript", await bundleScript(stub));
      site.serve("/service-worker", "text/html", SERVICE_WORKER_PAGE);
      return inBrowser(name, site, "/service-worker");
    },
  };
}

/** A page that registers a new service worker for each call. Its scope excludes the page. */
const SERVICE_WORKER_PAGE = `<!doctype html><meta charset="utf-8"><title>service worker</title><script>
  globalThis.run = async (config) => {
    const registration = await navigator.serviceWorker.register("/service-worker.js", { scope: "/nowhere" });
    try {
      const worker = registration.installing ?? registration.waiting ?? registration.active;
      const { port1, port2 } = new MessageChannel();
      const answered = new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data); });
      worker.postMessage(config, [port2]);
      const { value, error } = await answered;
      if (error) throw new Error(error);
      return value;
    } finally {
      await registration.unregister();
    }
  };
</script>`;

async function inBrowser(name: string, site: Site, path: string): Promise<Running> {
  const browser: Browser = await startBrowser(name);
  return {
    version: browser.version,
    async run(config) {
      await browser.goTo(site.url + path);
      return browser.call("run", config);
    },
    close: () => browser.close(),
  };
}

/** Bundles a service worker as a classic script, because some browsers do not support modules there. */
async function bundleScript(contents: string): Promise<string> {
  const result = await build({
    ...COMMON,
    format: "iife",
    banner: { js: '"use strict";' }, // modules are strict too
    platform: "browser",
    write: false,
    stdin: { contents, resolveDir: ROOT, loader: "ts" },
  });
  return result.outputFiles[0]!.text;
}
