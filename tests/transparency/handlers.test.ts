// Compares servers with tracing and without, as their clients and handlers see them. Covers every value that a handler
// can return and every way of wrapping it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { PROGRAMS } from "../support/programs.js";
import { ROOT, startWorker, type Workerd } from "../support/worker.js";
import { type Compared, Suite } from "./differential.js";
import { type Certificate, ENDLESS_LISTENER, isHttp2, isSecure, LISTENERS, ownAnswers, SERVERS } from "./frameworks.js";
import type { CrashConfig } from "./frameworks-crash-program.js";
import { CRASHES } from "./frameworks-crashes.js";
import { ANSWERS, ENDLESS, ENTRIES } from "./handlers.js";
import { askByFetch, askInDetail, askOverHttp2, type Question } from "./handlers-client.js";
import type { HandlersConfig, Listening } from "./handlers-program.js";
import { execute, PART_OF_PROCESSES, partOf } from "./runtimes.js";
import type { Side } from "./sides.js";
import type { Columns, Row } from "./table.js";

const FRAMEWORKS_OF_OTHERS = join(ROOT, "tests/transparency/frameworks/package.json");
const require = createRequire(FRAMEWORKS_OF_OTHERS);

type Generate = (attributes: object[], options: object) => Promise<{ readonly private: string; readonly cert: string }>;
const { generate } = require("selfsigned") as { generate: Generate };
const made = await generate([{ name: "commonName", value: "localhost" }], {
  keyType: "ec",
  extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }],
});
const CERTIFICATE: Certificate = { key: made.private, cert: made.cert };

/** A running server of one side. */
interface Served {
  /** Origin and path for the row's entry. */
  at(row: Row): { readonly origin: string; readonly path: string };
  /** The handlers' notes of a case. Waits for the note `awaits`. */
  notes(id: string, awaits: string | undefined): Promise<Record<string, unknown>>;
  /** Stops the server and returns the number of traces that it began. */
  close(): Promise<number>;
}

const METHODS = ["GET", "HEAD", "POST", "OPTIONS"];

const HANDLERS: Columns = {
  entry: [...Object.keys(ENTRIES), "worker", "worker around hono"],
  answer: Object.keys(ANSWERS),
  method: METHODS,
};
const FRAMEWORKS: Columns = {
  entry: Object.keys(SERVERS),
  answer: [...new Set([...Object.keys(LISTENERS), ...Object.keys(SERVERS).flatMap(ownAnswers)])],
  method: METHODS,
};

/** Answers that some servers never send, so the client gives up. */
const UNANSWERED = ["101", "205"];
/** Answers that fail to come in some runtimes: Bun has no timeouts for TLS connections. */
const MAY_BE_UNANSWERED = [...UNANSWERED, "a timeout of its own"];

/** Servers that run every answer in a FULL runtime. */
const WHOLE = ["express", "http2", "fastify", "https", "http2 over TLS", "koa"];

/** Runtimes that run everything. The others run every answer, but not in every server. */
const FULL = ["Node 24", "workerd, nodejs_compat"];

/**
 * The first entry runs every answer. Each other entry runs every fourth, so that together they cover all. If FULL
 * includes `runtime`, the first entry uses every method and the entries in `whole` run every answer too.
 */
function rowsOf(
  runtime: string,
  entries: readonly string[],
  whole: readonly string[],
  answersOf: (entry: string) => readonly string[],
): Row[] {
  const isFull = FULL.includes(runtime);
  return entries.flatMap((entry, at) =>
    answersOf(entry).flatMap((answer, index) => {
      const isOnce = UNANSWERED.includes(answer);
      if (at > 0 && (isOnce || (!(isFull && whole.includes(entry)) && index % 4 !== at % 4))) return [];
      const isSent = answer.startsWith("what was sent");
      const isAlone = isOnce || /endless|trailers/.test(answer);
      const methods = isAlone ? ["GET"] : isFull && at === 0 ? METHODS : [isSent ? "POST" : "GET"];
      return methods.map((method) => ({ entry, answer, method }));
    }),
  );
}

const awaitedBy = (answer: string): string | undefined =>
  ENDLESS.includes(answer) ? "cancelled" : answer === ENDLESS_LISTENER ? "closed" : undefined;

/** Sends the requests of a row. */
async function observe(served: Served, row: Row, id: string): Promise<unknown> {
  const { entry, answer, method } = row as { entry: string; answer: string; method: string };
  const { origin, path } = served.at(row);
  const awaits = awaitedBy(answer);
  const leaves = awaits !== undefined;
  const question = (suffix: string): Question => ({
    origin,
    path: `${path}?id=${id}${suffix}`,
    method,
    leaves,
    givesUpMs: MAY_BE_UNANSWERED.includes(answer) ? 5000 : 60_000,
    certificate: isSecure(entry) ? CERTIFICATE.cert : undefined,
  });
  if (isHttp2(entry)) {
    const client = await askOverHttp2(question("h"));
    return { client, ...(await served.notes(`${id}h`, awaits)) };
  }
  const client = await askInDetail(question("c"));
  const notes = await served.notes(`${id}c`, awaits);
  const { lacks } = notes["handler"] as { lacks?: string };
  if (lacks) return { lacks };
  // `fetch` would have to abort an endless answer. One entry of each kind is enough.
  if (leaves || answer === "101" || !["server", "http"].includes(entry)) return { client, ...notes };
  const byFetch = await askByFetch(question("f"));
  const more = await served.notes(`${id}f`, undefined);
  return { client, ...notes, byFetch, unhandledByFetch: more["unhandled"] };
}

/** Runs the rows one after the other, so that an unhandled rejection belongs to the current case. */
async function observeAll(served: Served, rows: readonly Row[]): Promise<Map<Row, unknown>> {
  const seen = new Map<Row, unknown>();
  for (const [index, row] of rows.entries()) seen.set(row, await observe(served, row, String(index)));
  return seen;
}

async function compareSides(
  start: (side: Side) => Promise<Served>,
  suites: readonly [suite: Suite, rows: readonly Row[]][],
  runtime: string,
): Promise<void> {
  const sides = await Promise.all(
    (["plain", "traced"] as const).map(async (side) => {
      const served = await start(side);
      const started = performance.now();
      const seen: Map<Row, unknown>[] = [];
      for (const [, rows] of suites) seen.push(await observeAll(served, rows));
      const traces = await served.close();
      return { seen, traces, seconds: (performance.now() - started) / 1000 };
    }),
  );
  const [plain, traced] = sides as [(typeof sides)[0], (typeof sides)[0]];
  const asked = suites.reduce((sum, [, rows]) => sum + rows.length, 0);
  assert.equal(plain.traces, 0);
  assert.ok(traced.traces > asked, `${traced.traces} traces of ${asked} cases`);
  const failed: unknown[] = [];
  for (const [index, [suite, rows]] of suites.entries()) {
    const compared: Compared[] = rows.map((row) => ({
      row,
      plain: plain.seen[index]!.get(row),
      traced: traced.seen[index]!.get(row),
    }));
    await suite.compare(runtime, compared, traced.seconds).catch((error) => failed.push(error));
  }
  if (failed.length > 0)
    throw failed.length === 1 ? failed[0] : new AggregateError(failed, failed.map(String).join("\n\n"));
}

/** Permissions that Express, Fastify and Node's servers need in Deno. */
const grantedTo = (runtime: string): string[] =>
  runtime === "Deno" ? ["--allow-env", "--allow-read", "--allow-sys"] : [];

/** Starts the program in Node, Deno or Bun. */
async function startProgram(runtime: string, side: Side): Promise<Served> {
  let listens: (listening: Listening) => void = () => {};
  const listening = new Promise<Listening>((resolve) => {
    listens = resolve;
  });
  const control = createServer(async (request, response) => {
    listens(JSON.parse(await text(request)));
    response.end();
  });
  await new Promise<void>((resolve) => control.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(control.address() as AddressInfo).port}`;
  const config: HandlersConfig = { side, control: url, certificate: CERTIFICATE, frameworks: FRAMEWORKS_OF_OTHERS };
  const exited = execute(runtime, "tests/transparency/handlers-program.ts", config, grantedTo(runtime));
  const failed = exited.then(({ code, stderr }) => {
    throw new Error(`${runtime} has ended with ${code}: ${stderr}`);
  });
  const { admin, web, servers } = await Promise.race([listening, failed]).finally(() => control.close());
  failed.catch(() => {});
  const origin = (port: number, scheme = "http"): string => `${scheme}://127.0.0.1:${port}`;
  const ask = async (path: string): Promise<Record<string, unknown>> =>
    (await fetch(`${origin(admin)}${path}`)).json() as Promise<Record<string, unknown>>;
  return {
    at({ entry, answer }) {
      const port = servers[entry!];
      const name = encodeURIComponent(answer!);
      if (port !== undefined) return { origin: origin(port, isSecure(entry!) ? "https" : "http"), path: `/${name}` };
      return { origin: origin(web), path: `/${encodeURIComponent(entry!)}/${name}` };
    },
    notes: (id, awaits) => ask(`/notes?id=${id}${awaits ? `&awaits=${awaits}` : ""}`),
    async close() {
      const { traces } = await ask("/exit");
      await exited;
      return traces as number;
    },
  };
}

async function startInWorkerd(workerd: Workerd, flags: string[], side: Side): Promise<Served> {
  const worker = await startWorker("tests/transparency/handlers-worker.ts", {
    workerd,
    compatibilityFlags: flags,
    bindings: { SIDE: side },
  });
  const ask = async (path: string): Promise<Record<string, unknown>> =>
    (await fetch(`${worker.url}/-admin${path}`)).json() as Promise<Record<string, unknown>>;
  return {
    at: ({ entry, answer }) => ({
      origin: worker.url,
      path: `/${encodeURIComponent(entry!)}/${encodeURIComponent(answer!)}`,
    }),
    notes: (id, awaits) => ask(`/notes?id=${id}${awaits ? `&awaits=${awaits}` : ""}`),
    async close() {
      const { traces } = await ask("/exit");
      await worker.close();
      return traces as number;
    },
  };
}

const handlers = new Suite("handlers", HANDLERS);
const frameworks = new Suite("frameworks", FRAMEWORKS);

const crashes = new Suite("crashes", { crash: Object.keys(CRASHES) });
const MESSAGE = /TypeError: [a-z ,]+/;

async function runCrash(runtime: string, side: Side, crash: string): Promise<unknown> {
  const config: CrashConfig = { side, crash };
  const { code, signal, stdout, stderr } = await execute(
    runtime,
    "tests/transparency/frameworks-crash-program.ts",
    config,
  );
  const said = MESSAGE.exec(stderr)?.[0];
  return { exit: { code, signal, stdout, said } };
}

const handlerRows = (runtime: string, entries: readonly string[]): Row[] =>
  rowsOf(runtime, entries, ["hono", "worker"], () => HANDLERS["answer"]!);
const frameworkRows = (runtime: string): Row[] =>
  rowsOf(runtime, FRAMEWORKS["entry"]!, WHOLE, (entry) => [...Object.keys(LISTENERS), ...ownAnswers(entry)]);
const isAsked = (name: string): boolean =>
  !process.env["OPIK_EDGE_RUNTIMES"] || new RegExp(process.env["OPIK_EDGE_RUNTIMES"]).test(name);

describe("servers, plain and traced", { concurrency: 2 }, () => {
  for (const runtime of Object.keys(PROGRAMS).filter(isAsked)) {
    test(`are the same in ${runtime}`, () =>
      compareSides(
        (side) => startProgram(runtime, side),
        [
          [handlers, handlerRows(runtime, Object.keys(ENTRIES))],
          [frameworks, frameworkRows(runtime)],
        ],
        runtime,
      ));
  }
  for (const workerd of ["current", "old"] as const) {
    for (const flags of [["nodejs_compat"], ["nodejs_als"], []]) {
      const name = `${workerd === "old" ? "old workerd" : "workerd"}, ${flags[0] ?? "no flag"}`;
      if (!isAsked(name)) continue;
      test(`are the same in ${name}`, () =>
        compareSides(
          (side) => startInWorkerd(workerd, flags, side),
          [[handlers, handlerRows(name, HANDLERS["entry"]!)]],
          name,
        ));
    }
  }
  for (const runtime of Object.keys(PROGRAMS).filter(isAsked)) {
    test(`end alike in ${runtime}`, async () => {
      const started = performance.now();
      const compared: Compared[] = [];
      for (const crash of partOf(runtime, Object.keys(CRASHES), PART_OF_PROCESSES)) {
        const [plain, traced] = await Promise.all(
          (["plain", "traced"] as const).map((side) => runCrash(runtime, side, crash)),
        );
        compared.push({ row: { crash }, plain, traced });
      }
      await crashes.compare(runtime, compared, (performance.now() - started) / 1000);
    });
  }
  if (!process.env["OPIK_EDGE_RUNTIMES"])
    test("every row of accepted.ts is needed", () => {
      assert.deepEqual(
        [handlers, frameworks, crashes].flatMap((suite) => suite.unused()),
        [],
      );
    });
  after(() => console.log([handlers, frameworks, crashes].map((suite) => suite.report()).join("\n")));
});
