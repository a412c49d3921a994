// Compares the result of a traced function with the untraced result in every runtime, and checks how its span ends.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { type Compared, Suite } from "./differential.js";
import type { Ending } from "./results/index.js";
import { columnsOf, FAMILIES, type Recorded, type ResultsConfig, type ResultsResult } from "./results.js";
import { IS_CONTROL, IS_WHOLE, partOf, type Running, TRIED } from "./runtimes.js";
import { type RecordingServer, startServer } from "./server.js";
import type { Side } from "./sides.js";
import { pairs, type Row } from "./table.js";

const SEED = 15;
/** Number of cases per page, process or call of a Worker. */
const BATCH = 500;

async function runCases(
  running: Running,
  server: RecordingServer,
  family: string,
  rows: readonly Row[],
): Promise<Compared[]> {
  const compared: Compared[] = [];
  for (let from = 0; from < rows.length; from += BATCH) {
    const cases = rows.slice(from, from + BATCH).map((row, index) => ({ id: from + index, row }));
    const ask = async (side: Side): Promise<ResultsResult> =>
      (await running.run({
        side,
        isTraced: side === "traced" && !IS_CONTROL,
        url: server.url,
        family,
        cases,
      } satisfies ResultsConfig)) as ResultsResult;
    const plain = await ask("plain");
    const traced = await ask("traced");
    for (const { id, row } of cases) {
      const isLost = row["entry"]!.includes("of the package") && !traced.hasAsyncContext;
      const wanted = isLost || IS_CONTROL ? undefined : endingsOf(family, row, plain.observations[id] as Observed);
      const recorded = wanted && (traced.recorded[id] ?? []).map(({ how }) => how);
      compared.push({
        row,
        plain: { ...(plain.observations[id] as object), recorded: wanted },
        traced: {
          ...(traced.observations[id] as object),
          recorded: isCollectable(row) ? recorded?.filter((how) => how !== "unfinished") : recorded,
        },
      });
    }
  }
  return compared;
}

const TABLES = Object.keys(FAMILIES).map((family) => {
  const columns = columnsOf(family);
  return { family, rows: pairs(columns, SEED), suite: new Suite(family, columns) };
});

describe("results, plain and traced", { concurrency: 3 }, () => {
  for (const runtime of TRIED) {
    test(`in ${runtime.name}`, async (t) => {
      const server = await startServer();
      const running = await runtime.start("tests/transparency/results.ts", server);
      try {
        for (const { family, rows, suite } of TABLES) {
          await t.test(`${family} are the same`, async () => {
            const started = performance.now();
            const run = (some: readonly Row[]): Promise<Compared[]> => runCases(running, server, family, some);
            const compared = await run(partOf(runtime.name, rows));
            await suite.compare(runtime.name, compared, (performance.now() - started) / 1000, run);
          });
        }
      } finally {
        await running.close();
        await server.close();
      }
    });
  }
  if (IS_WHOLE)
    for (const { family, suite } of TABLES)
      test(`every row of accepted.ts is needed: ${family}`, () => assert.deepEqual(suite.unused(), []));
  after(() => console.log(TABLES.map(({ suite }) => suite.report()).join("\n")));
});

/** The ending of a row's span according to the table; `any` if the table does not say. */
function expected(family: string, { result, use, kind }: Row): Ending {
  const { results, ends, isAwaited } = FAMILIES[family]!;
  const own = results[result!]!.ends;
  if (kind!.includes("async") && isAwaited) return "any";
  if (kind!.includes("generator")) return "any";
  const usual = typeof ends === "string" ? ends : (ends[use!] ?? "any");
  return typeof own === "string" ? own : (own?.[use!] ?? usual);
}

/** Outside an invocation, an unfinished span is written when its result is garbage-collected, or never. */
const isCollectable = ({ place, entry }: Row): boolean =>
  place !== "in an invocation" || entry === "trace.span" || entry!.startsWith("distributedHeaders");

/** The observation of a call without tracing. */
interface Observed {
  readonly outcome?: string;
}

/** The expected endings of a call's spans, or `undefined` if the table does not say. */
function endingsOf(family: string, row: Row, observed: Observed): Recorded["how"][] | undefined {
  const { client, entry, place, kind } = row;
  // A caller's trace is always sampled.
  const isSampled = client === "recording" || (client === "in no sample" && entry === "distributedHeaders");
  if (!isSampled || kind === "class" || entry === "distributedHeaders, no span") return [];
  if (entry!.includes("of the package") && place === "outside") return [];
  const hasFailed = observed.outcome === "thrown" || observed.outcome === "rejected";
  const ending = hasFailed ? "failed" : expected(family, row);
  if (ending === "any") return undefined;
  const how = ending === "at once" ? "done" : ending === "failed at once" ? "failed" : ending;
  const isThere = how !== "unfinished" || !isCollectable(row);
  return Array.from({ length: !isThere ? 0 : entry!.includes("twice") ? 2 : 1 }, () => how);
}
