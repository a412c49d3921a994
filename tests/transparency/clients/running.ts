// Runs a client's cases in a runtime. Finds differences between traced and plain runs, and recorded spans that are wrong.

import { existsSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { build } from "esbuild";
import type { Collector, StoredRow } from "../../support/collector.js";
import { ROOT } from "../../support/worker.js";
import { execute, RUNTIMES } from "../runtimes.js";
import {
  type Case,
  type Ending,
  isTried,
  type Job,
  type Mode,
  modesOf,
  type Outcome,
  runName,
  tracesCalls,
  tracesFunctions,
} from "./case.js";
import type { Providers } from "./server.js";

/** Folder of the generated programs, with a link to the clients that scripts/setup installs. */
const FOLDER = "target/transparency";
const CLIENTS = "tests/transparency/clients";

/** The result of a client's cases. */
export interface Ended {
  readonly cases: Readonly<Record<string, Expected>>;
  readonly outcomes: ReadonlyMap<string, Outcome>;
  /** The process's exit code or signal; 0 for a Worker. */
  readonly exit: number | string;
  readonly errors: string;
}

/** A case as a program reports it. */
type Expected = Omit<Case, "run">;

/** Runs a client's cases in a runtime of ../runtimes.ts. */
export async function runClient(client: string, runtime: string, job: Job): Promise<Ended> {
  const isWorker = runtime.startsWith("workerd");
  const module = (name: string): string => JSON.stringify(join(ROOT, CLIENTS, `${name}.ts`));
  const given = `import { cases } from ${module(client)};`;
  const code = isWorker
    ? `${given} import { runInInvocation } from ${module("invocation")};
       export const run = (job) => runInInvocation(job, cases);`
    : `${given} import { printCases } from ${module("harness")};
       await printCases(JSON.parse(process.argv.at(-1)), cases);`;
  const file = join(FOLDER, `${job.client}.ts`);
  await mkdir(join(ROOT, FOLDER), { recursive: true });
  const link = join(ROOT, FOLDER, "node_modules");
  if (!existsSync(link)) await symlink(join(ROOT, CLIENTS, "node_modules"), link).catch(() => {}); // another run has made it
  await writeFile(join(ROOT, file), code);
  return isWorker ? runInWorker(runtime, file, job) : runInProcess(runtime, file, job);
}

/** Flags for clients in Deno, which need more than the network, and for garbage collection on demand. */
const FLAGS: Record<string, readonly string[]> = {
  Node: ["--expose-gc"],
  Deno: ["--allow-env", "--allow-sys", "--allow-read", "--v8-flags=--expose-gc"],
  Bun: [],
};

async function runInProcess(runtime: string, entry: string, job: Job): Promise<Ended> {
  const program = runtime.startsWith("Node") ? entry : await bundleAll(entry);
  const { code, signal, stdout, stderr } = await execute(runtime, program, job, FLAGS[runtime.split(" ", 1)[0]!]);
  const printed = stdout.split("\n").filter((line) => /^\{"(cases|run)"/.test(line));
  const [first, ...lines] = printed.map((line) => JSON.parse(line));
  return {
    cases: first?.cases ?? {},
    outcomes: new Map(lines.map(({ run, outcome }) => [run, outcome])),
    exit: code ?? signal ?? "",
    errors: stderr,
  };
}

async function runInWorker(runtime: string, entry: string, job: Job): Promise<Ended> {
  const nowhere = { url: "", serve() {} };
  const worker = await RUNTIMES.find(({ name }) => name === runtime)!.start(entry, nowhere);
  try {
    const { cases, outcomes } = (await worker.run(job)) as { cases: Ended["cases"]; outcomes: [string, Outcome][] };
    return { cases, outcomes: new Map(outcomes), exit: 0, errors: "" };
  } finally {
    await worker.close();
  }
}

/** Bundles the program with the client, for Deno and Bun. */
async function bundleAll(entry: string): Promise<string> {
  const outfile = entry.replace(/\.ts$/, ".all.mjs");
  await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    keepNames: true,
    logLevel: "error",
    ignoreAnnotations: true,
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  return outfile;
}

/** The host's and the server's view of one run. */
interface Seen {
  readonly outcome: Outcome | undefined;
  readonly requests: readonly unknown[];
}

/** Differences between traced and plain runs, one line each. */
export async function differences(job: Job, ended: Ended, providers: Providers): Promise<string[]> {
  const found: string[] = [];
  if (Object.keys(ended.cases).length === 0) found.push("there are no cases");
  if (ended.exit !== 0)
    found.push(
      `the program: it ended with ${ended.exit} after ${[...ended.outcomes.keys()].at(-1)}: ${ended.errors.trim().slice(-2000)}`,
    );
  for (const [index, [title, entry]] of Object.entries(ended.cases).entries()) {
    if (entry.crashes) continue;
    const of = (mode: Mode): Seen => {
      const run = runName(job.client, index, mode);
      return { outcome: ended.outcomes.get(run), requests: providers.requests(run) };
    };
    const plain = of("plain");
    const expected = (entry.calls ?? []).filter((call) => call !== "0 error").length;
    if (!plain.outcome || plain.requests.length !== expected) {
      found.push(
        `${title} (plain): ${plain.requests.length} requests, not ${expected}, ${JSON.stringify(plain.outcome)}`,
      );
      continue;
    }
    if (entry.hangUps) await providers.untilHungUp(runName(job.client, index, "plain"), entry.hangUps);
    for (const mode of modesOf(job, index)) {
      if (mode === "plain") continue;
      const traced = of(mode);
      if (!traced.outcome) found.push(`${title} (${mode}): it has no outcome`);
      else if (!isDeepStrictEqual(traced, plain)) found.push(`${title} (${mode}): ${differenceOf(plain, traced, "")}`);
      else if (entry.hangUps) await providers.untilHungUp(runName(job.client, index, mode), entry.hangUps);
    }
  }
  return found;
}

/** The first place in which two JSON values differ. */
function differenceOf(plain: unknown, traced: unknown, path: string): string | undefined {
  if (isDeepStrictEqual(plain, traced)) return undefined;
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  if (isObject(plain) && isObject(traced) && Array.isArray(plain) === Array.isArray(traced)) {
    for (const key of new Set([...Object.keys(plain), ...Object.keys(traced)])) {
      const found = differenceOf(plain[key], traced[key], `${path}.${key}`);
      if (found) return found;
    }
  }
  const text = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 300);
  return `${path.slice(1)} is ${text(traced)}, and without tracing ${text(plain)}`;
}

/** Recorded spans that differ from the expected ones, one line each. */
export function misrecorded(job: Job, ended: Ended, providers: Providers, collector: Collector): string[] {
  const found: string[] = [];
  const byRun = rowsByRun(collector);
  for (const [index, [title, { crashes, calls = [], spans = [] }]] of Object.entries(ended.cases).entries()) {
    for (const mode of modesOf(job, index)) {
      const run = runName(job.client, index, mode);
      if (crashes || mode === "plain" || !ended.outcomes.has(run)) continue;
      const rows = byRun.get(run) ?? { calls: [], functions: [] };
      const told = (what: string): void => void found.push(`${title} (${mode}): ${what}`);
      if (tracesCalls(mode)) {
        const traces = providers.traces(run);
        const sent = new Map(traces.map(({ spanId, bytes }) => [spanId, bytes]));
        compare(
          "calls",
          calls,
          rows.calls.map((row) => `${statusOf(row)} ${ending(row, sent.get(row.id))}`),
          told,
        );
        for (const [at, { traceId, spanId }] of traces.entries()) {
          const its = rows.calls.find(({ id }) => id === spanId);
          const isUnder = rows.functions.some(({ id }) => id === its?.["parent_span_id"]);
          if (!traceId) told(`request ${at + 1} carries no trace headers`);
          else if (its && mode === "both" && rows.functions.length > 0 && !isUnder)
            told(`request ${at + 1} is not under the function's span`);
        }
      }
      if (tracesFunctions(mode))
        compare(
          "functions",
          spans,
          rows.functions.map((row) => ending(row)),
          told,
        );
    }
  }
  return found;
}

function compare(
  what: string,
  expected: readonly string[],
  got: readonly string[],
  told: (what: string) => void,
): void {
  const isOne = (either: string, ending: string | undefined): boolean =>
    either.split("|").some((one) => one === ending || one.replace("read", "done") === ending);
  if (expected.length !== got.length || !expected.every((either, index) => isOne(either, got[index])))
    told(`${what} are [${got.join(", ")}], not [${expected.join(", ")}]`);
}

interface Rows {
  readonly calls: StoredRow[];
  readonly functions: StoredRow[];
}

/** The spans of each run, in the order in which they began. A function's span has the run's name, a call's span has its URL. */
function rowsByRun(collector: Collector): Map<string, Rows> {
  const byRun = new Map<string, Rows>();
  const sorted = collector.spans().sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const row of sorted) {
    const name = String(row["name"]);
    const [, called] = /^[A-Z]+ [^/]+\/([^/]+)\//.exec(name) ?? [];
    const run = called ?? name;
    const rows = byRun.get(run) ?? { calls: [], functions: [] };
    byRun.set(run, rows);
    (called ? rows.calls : rows.functions).push(row);
  }
  return byRun;
}

/** The ending of a row's span. `bytes` is the length of a body that the consumer did not read to the end. */
function ending(row: StoredRow, bytes?: number): Ending {
  const metadata = (row["metadata"] ?? {}) as Record<string, unknown>;
  if (row["error_info"]) return "error";
  if (metadata["opik_edge_unfinished"]) return "unfinished";
  if (metadata["opik_edge_cancelled"]) return "cancelled";
  const stoppedAt = metadata["opik_edge_stopped_reading"];
  if (stoppedAt === undefined) return "done";
  return stoppedAt === bytes ? "read" : "stopped";
}

const statusOf = (row: StoredRow): number => ((row["output"] ?? {}) as { status?: number }).status ?? 0;

/** Compares the exit of processes that have to crash, with tracing and without. Gives one line per difference. */
export async function otherEnds(client: string, runtime: string, job: Job, ended: Ended): Promise<string[]> {
  const found: string[] = [];
  for (const [index, [title, entry]] of Object.entries(ended.cases).entries()) {
    if (!entry.crashes || !isTried(job, index)) continue;
    const endOf = async (mode: Mode): Promise<string> => {
      const { exit, errors } = await runClient(client, runtime, { ...job, only: { index, mode } });
      const [error] = /^\w*Error\b.*$/m.exec(errors) ?? [""];
      return `${exit} ${error}`.replaceAll(runName(job.client, index, mode), "RUN");
    };
    const plain = await endOf("plain");
    if (/^0/.test(plain)) found.push(`${title} (plain): the process has survived`);
    for (const mode of ["opik.track", "both"] as const) {
      const traced = await endOf(mode);
      if (traced !== plain)
        found.push(`${title} (${mode}): the process ends with ${traced}, and without tracing with ${plain}`);
    }
  }
  return found;
}
