// Compares calls of a traced `fetch`, and their responses, with the same calls without tracing, in every runtime.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { LONG } from "../support/long.js";
import { freePort } from "../support/ports.js";
import { ROOT } from "../support/worker.js";
import { ANSWERS } from "./answers.js";
import { ARGUMENTS, clashes, hasMembers, REFUSED, racesToAbort } from "./arguments.js";
import type { CallsConfig, CallsResult } from "./calls.js";
import { CONSUMERS, STEPS } from "./consumers.js";
import { type Compared, Suite } from "./differential.js";
import { DOMS } from "./doms.js";
import { ENTRY } from "./entries.js";
import { ALL_IDIOMS } from "./idioms.js";
import { RESPONDS } from "./responding.js";
import { CONTROLLED_PAGES, IS_CONTROL, IS_WHOLE, partOf, type Running, type Runtime, TRIED } from "./runtimes.js";
import { type RecordingServer, type Seen, startServer } from "./server.js";
import type { Side } from "./sides.js";
import { anyRows, type Columns, pairs, product, type Row, random, usual } from "./table.js";

const SEED = 15;
/** Random rows per runtime, in place of the pairs, with `scripts/check --long`. */
const LONG_ROWS = 20_000;

interface Table {
  /** The runtimes to run in; all by default. */
  readonly runtimes?: readonly Runtime[];
  /** Further settings for the program. */
  readonly config?: object;
  /** The program's name; `calls` by default. */
  readonly program?: string;
  readonly suite: Suite;
  readonly rows: (runtime: Runtime) => Row[];
}

/** Defaults for the arguments that a row does not set. */
const ABORTABLE: Row = { init: "plain", signal: "live" };

const wholeRow = (row: Row): Row => ({ ...usual(ARGUMENTS, ABORTABLE), ...row });

/** Answers that differ in their bodies. OTHERS has the remaining answers that need no steps. */
const BODIES: readonly string[] = [
  ...[
    "text",
    "json",
    "not json",
    "form data",
    "url-encoded",
    "bytes",
    "not UTF-8",
    "large",
    "empty",
    "chunked",
    "events",
  ],
  ...["204", "gzip", "br", "not gzip", "302", "500", "cut short", "chunked, cut short", "closes at once"],
];
/** Answers after which a client might assume a stale connection and retry the request. */
const BROKEN = ["cut short", "chunked, cut short", "closes at once"];
const OTHERS = Object.keys(ANSWERS).filter((name) => !BODIES.includes(name) && !/never|endless|step/.test(name));

/** Variations of the call. */
const CALLS: Columns = {
  ...ENTRY,
  ...ARGUMENTS,
  answer: ["text", ...OTHERS],
  consumer: ["arrayBuffer", "text", "reader"],
};

/** Variations of the response. */
const RESPONSES: Columns = {
  ...ENTRY,
  answer: BODIES,
  consumer: Object.keys(CONSUMERS),
  looked: ["before", "after"],
  method: ["absent", '"POST"', '"HEAD"'],
};

/** Consumers that read a whole body, or nothing. */
const WHOLE = ["text", "json", "arrayBuffer", "bytes", "blob", "formData", "not at all"];

/** `true` if timing decides how much of a body has arrived when it breaks off or is passed on. */
function races({ answer, consumer }: Row): boolean {
  if (answer === "large") return consumer === "a request of its body";
  if (answer === "not gzip" && consumer === "cancelled unread") return true;
  return BROKEN.includes(answer!) && !WHOLE.includes(consumer!);
}

/** Variations of a response that comes step by step. */
const STREAMS: Columns = { ...ENTRY, consumer: Object.keys(STEPS), looked: ["before", "after"] };

/** Forms of an init that differ in the reading of their members. */
const FORMS = ["plain", "undefined", "inherited", "of a class", "Proxy", "Request"];

/** Rows for each refused value: combined with each form of init, and with random values for the rest. */
function refusedRows(): Row[] {
  const next = random(SEED);
  return Object.entries(REFUSED).flatMap(([column, values]) =>
    values.flatMap((value) => {
      const [other, others] = column === "init" ? ["input", ARGUMENTS["input"]!] : ["init", FORMS];
      return others.map((form) => {
        const some = (of: readonly string[]): string => of[Math.floor(next() * of.length)]!;
        const entry = { entry: some(ENTRY["entry"]!), propagate: some(ENTRY["propagate"]!) };
        const input = column === "input" || column === "init" ? {} : { input: some(ARGUMENTS["input"]!) };
        return usual(CALLS, { ...entry, ...input, [other!]: form, [column]: value });
      });
    }),
  );
}

/** Computes the rows once and returns the same rows afterwards. */
function once(make: () => Row[]): () => Row[] {
  let rows: Row[] | undefined;
  return () => {
    rows ??= make();
    return rows;
  };
}

const long = (columns: Columns, rows: () => Row[]): (() => Row[]) =>
  once(LONG ? () => anyRows(columns, SEED, LONG_ROWS) : rows);

/** Ways in which hosts use the `fetch` function. */
const IDIOMS: Columns = { ...ENTRY, idiom: Object.keys(ALL_IDIOMS) };

/** Variations of a response that a page gets from a service worker. */
const RESPONDING: Columns = {
  respond: Object.keys(RESPONDS),
  ...ENTRY,
  answer: [
    ...BODIES.filter((name) => !BROKEN.includes(name)),
    "301",
    "302 elsewhere",
    "cookies",
    "repeated headers",
    "status text",
  ],
  consumer: ["arrayBuffer", "text", "reader", "clone, both read", "pipeThrough", "cancelled unread"],
  method: ["GET", "POST", "HEAD"],
};

/** Globals that a host's tests define in Node. */
const DOM_LIBRARIES: Columns = { ...DOMS, ...ENTRY };

const TABLES: readonly Table[] = [
  {
    suite: new Suite("calls", CALLS, LONG),
    rows: long(CALLS, () => [...pairs(CALLS, SEED, { clashes, races: racesToAbort }), ...refusedRows()]),
  },
  { suite: new Suite("responses", RESPONSES, LONG), rows: long(RESPONSES, () => pairs(RESPONSES, SEED, { races })) },
  { suite: new Suite("streams", STREAMS), rows: once(() => pairs(STREAMS, SEED)) },
  {
    program: "responding",
    suite: new Suite("respondWith", RESPONDING),
    rows: once(() => pairs(RESPONDING, SEED, { races })),
    runtimes: CONTROLLED_PAGES,
  },
  {
    program: "doms",
    suite: new Suite("DOM libraries", DOM_LIBRARIES),
    rows: once(() => pairs(DOM_LIBRARIES, SEED)),
    runtimes: TRIED.filter(({ name }) => name.startsWith("Node") && (LONG || name === "Node 24")),
    config: { doms: join(ROOT, "tests/transparency/doms/package.json") },
  },
  { suite: new Suite("idioms", IDIOMS), rows: once(() => pairs(IDIOMS, SEED)) },
  {
    suite: new Suite("arguments", CALLS),
    rows: ({ name }) => {
      const { input, init, method, body } = ARGUMENTS;
      // About 30,000 rows.
      return LONG && name === "Node 24"
        ? product(CALLS, { input: input!, init: init!, method: method!, body: body! })
        : [];
    },
  },
];

/** Number of cases per page, process or call of a Worker. */
const BATCH = 500;

/** Every case has a different id, because a request may arrive late. */
let nextId = 0;

async function runCases(
  running: Running,
  server: RecordingServer,
  { config = {} }: Table,
  rows: readonly Row[],
): Promise<Compared[]> {
  const refused = `http://127.0.0.1:${await freePort()}`;
  const servers = { url: server.url, other: server.other, refusing: server.refusing, refused };
  const compared: Compared[] = [];
  for (let from = 0; from < rows.length; from += BATCH) {
    const batch = rows.slice(from, from + BATCH).map((row) => ({ id: nextId++, row }));
    const cases = batch.map(({ id, row }) => ({ id, row: wholeRow(row) }));
    const sides: Record<Side, CallsResult["observations"]> = { plain: {}, traced: {} };
    for (const side of ["plain", "traced"] as const) {
      const result = (await running.run({
        ...config,
        side,
        isTraced: side === "traced" && !IS_CONTROL,
        servers,
        cases,
      } satisfies CallsConfig)) as CallsResult;
      sides[side] = result.observations;
    }
    for (const { id, row } of batch) {
      const observed = (side: Side): unknown => withRequests(sides[side][id] as object, row, server.take(side, id));
      compared.push({ row, plain: observed("plain"), traced: observed("traced") });
    }
  }
  assert.ok(IS_CONTROL || server.traced() > 0, "some requests carry trace headers");
  return compared;
}

/** Headers by name. Fields with the same name are combined, as in HTTP (RFC 9110, section 5.3). */
function combined(headers: Seen["headers"]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [given, value] of headers) {
    const name = given.toLowerCase();
    fields[name] = name in fields ? `${fields[name]}, ${value}` : value;
  }
  return fields;
}

/** The observation of a case with its requests, one member per aspect. */
function withRequests(observed: object, row: Row, all: readonly Seen[]): object {
  // In development, our page code probes the URL of a failed cross-origin call by HEAD, to report the cause (warn-of-cors.ts).
  const isHead = row["method"] === '"HEAD"' && hasMembers(wholeRow(row));
  const isProbe = ({ method, origin }: Seen): boolean => method === "HEAD" && origin !== "own" && !isHead;
  const isAgain = (one: Seen, index: number): boolean => JSON.stringify(one) === JSON.stringify(own[index - 1]);
  const own = all.filter((one) => !isProbe(one));
  const isRepeated = BROKEN.includes(row["answer"]!) || row["signal"] === "aborted during headers";
  const seen = isRepeated ? own.filter((one, index) => !isAgain(one, index)) : own;
  const requests = {
    lines: seen.map(({ method, path, origin }) => `${method} ${path} (${origin})`),
    headers: seen.map(({ headers }) => combined(headers)),
    spelling: seen.map(({ headers }) => headers.map(([name]) => name)),
    bodies: seen.map(({ body }) => body),
    complete: seen.map(({ complete }) => complete),
  };
  // The network decides when a failure arrives, so its time is not compared once a request was seen.
  return { ...observed, requests, ...(seen.length > 0 && { at: undefined }) };
}

/** The tables of one program in one runtime. The runtime is started once for all of them. */
interface Session {
  readonly runtime: Runtime;
  readonly program: string;
  readonly tables: readonly Table[];
}

const SESSIONS: readonly Session[] = [...new Set([...TRIED, ...CONTROLLED_PAGES])].flatMap((runtime) => {
  const here = TABLES.filter(({ runtimes = TRIED, rows }) => runtimes.includes(runtime) && rows(runtime).length > 0);
  return [...new Set(here.map(({ program }) => program ?? "calls"))].map((program) => ({
    runtime,
    program,
    tables: here.filter((table) => (table.program ?? "calls") === program),
  }));
});

describe("calls, plain and traced", { concurrency: 3 }, () => {
  for (const { runtime, program, tables } of SESSIONS) {
    test(`in ${runtime.name}: ${program}`, async (t) => {
      const server = await startServer();
      const running = await runtime.start(`tests/transparency/${program}.ts`, server);
      try {
        for (const table of tables) {
          await t.test(`${table.suite.name} are the same`, async () => {
            const started = performance.now();
            const run = (rows: readonly Row[]): Promise<Compared[]> => runCases(running, server, table, rows);
            const compared = await run(partOf(runtime.name, table.rows(runtime)));
            await table.suite.compare(runtime.name, compared, (performance.now() - started) / 1000, run);
          });
        }
      } finally {
        await running.close();
        await server.close();
      }
    });
  }
  if (IS_WHOLE)
    for (const { suite } of TABLES)
      test(`every row of accepted.ts is needed: ${suite.name}`, () => assert.deepEqual(suite.unused(), []));
  after(() => console.log(TABLES.map(({ suite }) => suite.report()).join("\n")));
});
