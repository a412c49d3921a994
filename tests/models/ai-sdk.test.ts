// Runs the unmodified AI SDK 7, 6 and 5 with telemetry and without. The host sees the same in both, and each call is recorded as the
// tree that its case says.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { closeAll } from "../support/closing.js";
import { type Collector, type StoredRow, startCollector } from "../support/collector.js";
import { type Job, type Run, type Tree, VERSIONS } from "./ai-sdk/case.js";
import { CASES } from "./ai-sdk/cases.js";
import { HI, KEY } from "./case.js";
import { RUNTIMES, runProgram } from "./running.js";
import { type ModelServer, startModels } from "./server.js";

const entriesOf = (suffix: string) => ({
  program: `tests/models/ai-sdk/program${suffix}.ts`,
  worker: `tests/models/ai-sdk/worker${suffix}.ts`,
});

describe("AI SDK", { concurrency: 2 }, () => {
  for (const runtime of RUNTIMES.slice(0, 2)) {
    for (const hasNoContext of [false, true]) {
      describe(`${runtime}${hasNoContext ? " without AsyncLocalStorage" : ""}`, () => {
        let collector: Collector;
        let server: ModelServer;
        let runs: Run[];
        before(async () => {
          collector = await startCollector();
          server = await startModels();
          const only = process.env["OPIK_EDGE_CASES"]?.split(";");
          const job: Job = { models: server.url, collector: collector.url, hasNoContext, ...(only && { only }) };
          runs = await runProgram(runtime, server, job, entriesOf(hasNoContext ? "-without-context" : ""));
        });
        after(() => closeAll(server, collector));

        test("a host sees and sends the same traced as untraced", () => {
          const seen = ({ outcome, requests }: Run) => [
            outcome,
            requests.map((request) => ({ ...(request as object), isJoined: undefined })),
          ];
          const keyOf = (run: Run): string => `${run.case} (${run.version})`;
          const plain = new Map(runs.filter(({ mode }) => mode === "plain").map((run) => [keyOf(run), seen(run)]));
          const wrong = runs.flatMap((run) => {
            const [traced, untraced] = [seen(run), plain.get(keyOf(run))];
            return isDeepStrictEqual(traced, untraced) ? [] : [{ name: run.name, traced, untraced }];
          });
          assert.deepEqual(wrong, []);
        });

        for (const version of VERSIONS) {
          test(`each call of AI SDK ${version} is recorded`, () => {
            const rows = collector.spans();
            const wrong = runs.flatMap((run) => {
              if (run.version !== version || run.mode === "plain") return [];
              const [tree, expected] = [treeOf(run, rows), expectedOf(run)];
              return isDeepStrictEqual(tree, expected) ? [] : [`${run.name}\n${tree.join("\n")}`];
            });
            assert.ok(wrong.length === 0, `${wrong.length} trees differ:\n${wrong.join("\n\n")}`);
          });
        }

        test("tokens stand once", () => {
          const rows = collector.spans();
          const wrong = runs.flatMap((run) => {
            const { id } = rows.find((row) => row["name"] === run.name) ?? {};
            const counted = below(rows, id).filter((row) => row["usage"]).length;
            const expected = run.mode === "plain" ? 0 : treesOf(run).filter((line) => line.endsWith(" tokens")).length;
            return counted === expected ? [] : [`${run.name}: ${counted}, not ${expected}`];
          });
          assert.deepEqual(wrong, []);
        });

        test("messages, answer, tags and thread are recorded in Opik's shapes", () => {
          for (const run of runs.filter(({ case: title, mode }) => title === "a text" && mode !== "plain")) {
            const { id, trace_id } = collector.spans().find((row) => row["name"] === run.name)!;
            const rows = below(collector.spans(), id);
            const call = rows.find(({ name }) => name === "ask")!;
            const model = rows.find((row) => row["type"] === "llm" && row.parent_span_id !== id)!;
            for (const row of [call, model]) {
              assert.deepEqual(row["input"], { messages: [SYSTEM, ...HI] }, run.name);
              assert.deepEqual(row["output"], { choices: [{ index: 0, message: ANSWER, finish_reason: "stop" }] });
            }
            assert.deepEqual([call["tags"], (call["metadata"] as { tenant?: string }).tenant], [["a", "b"], "t"]);
            assert.equal(collector.traces().find((trace) => trace.id === trace_id)?.["thread_id"], "thread-1");
            assert.deepEqual([model["model"], model["provider"]], ["gpt-4.1-mini-2025-04-14", "openai"]);
            assert.equal((model["metadata"] as { temperature?: number }).temperature, 0);
          }
        });

        test("the time to the first token of a stream is recorded", () => {
          for (const run of runs.filter(({ case: title, mode }) => title === "a stream" && mode !== "plain")) {
            const { id } = collector.spans().find((row) => row["name"] === run.name)!;
            const model = below(collector.spans(), id).find(
              (row) => row["type"] === "llm" && row.parent_span_id !== id,
            )!;
            assert.ok((model["ttft"] as number) >= 0, run.name);
          }
        });

        test("recordInputs and recordOutputs of a call keep its content out of its spans", () => {
          for (const run of runs.filter(({ case: title }) => title === "nothing of its content")) {
            const { id } = collector.spans().find((row) => row["name"] === run.name)!;
            const own = below(collector.spans(), id).filter((row) => !isOfObserver(run, row));
            assert.ok(!/a secret|Oslo|fine|Grüße/.test(JSON.stringify(own)), run.name);
          }
        });

        test("no key is recorded", () => {
          assert.ok(!JSON.stringify([collector.spans(), collector.traces()]).includes(KEY));
        });
      });
    }
  }
});

const SYSTEM = { role: "system", content: "Be kind" };
const ANSWER = { role: "assistant", content: "Grüße 🙂" };

/** `true` for a span in which an observer records, which has its own settings. */
function isOfObserver({ mode }: Run, { type }: StoredRow): boolean {
  return mode !== "traced" && type === "llm";
}

/** The tree of a run's case. */
const treesOf = (run: Run): Tree => CASES[run.case]!.trees[run.version === "7" ? 7 : 6];

/** The expected lines. If an observer cannot find the span of a model call, the tokens are in its own span. */
function expectedOf(run: Run): string[] {
  const { isOutside = false } = CASES[run.case]!;
  const isElsewhere =
    run.mode === "by a span" ||
    run.mode === "no context" ||
    (run.mode === "observed" && isOutside && run.version === "7");
  const lines = treesOf(run).map((line) => (isElsewhere ? line.replace(/ \d+ tokens$/, "") : line));
  if (run.mode !== "no context") return lines;
  // Without AsyncLocalStorage a call in a tool hangs under the run's span too.
  const inner = lines.findIndex((line) => line.endsWith("general inner"));
  if (inner < 0) return lines;
  const indent = lines[inner]!.indexOf("general");
  const end = lines.findIndex((line, at) => at > inner && line.search(/\S/) <= indent);
  const moved = lines.splice(inner, end - inner);
  return [...lines, ...moved.map((line) => line.slice(indent))];
}

/** All spans below one. */
function below(rows: readonly StoredRow[], id: string | undefined): StoredRow[] {
  const children = rows.filter((row) => row.parent_span_id === id);
  return children.flatMap((row) => [row, ...below(rows, row.id)]);
}

/** The spans of the AI SDK below the run's, as lines. An observer's own spans hang under the host's span or under a model call. */
function treeOf(run: Run, rows: readonly StoredRow[]): string[] {
  const lines = (above: StoredRow, isHost: boolean): string[] =>
    rows
      .filter(({ parent_span_id, name }) => parent_span_id === above.id && !String(name).startsWith("POST "))
      .filter(({ type }) => type !== "llm" || !(isHost || above["type"] === "llm"))
      .sort((one, two) => (one.id < two.id ? -1 : 1))
      .flatMap((row) => [lineOf(row), ...lines(row, false).map((line) => `  ${line}`)]);
  const root = rows.find((row) => row["name"] === run.name);
  assert.ok(root, run.name);
  return lines(rows.find((row) => row.parent_span_id === root.id && row["name"] === "host") ?? root, true);
}

/** AI SDK 7 reads on when its consumer has stopped, and sees the server leave. */
const READ_ON = "AI_APICallError: Failed to process successful response";

/** Its type and name; its tokens, its error and its ending, if there are any. */
function lineOf(row: StoredRow): string {
  const { total_tokens } = (row["usage"] ?? {}) as { total_tokens?: number };
  const error = row["error_info"] as { exception_type: string; message: string } | undefined;
  const metadata = (row["metadata"] ?? {}) as Record<string, unknown>;
  return [
    row["type"],
    row["name"],
    total_tokens && `${total_tokens} tokens`,
    error && `${error.exception_type}: ${error.message}`,
    metadata["opik_edge_cancelled"] && "cancelled",
    metadata["opik_edge_unfinished"] && "unfinished",
  ]
    .filter(Boolean)
    .join(" ")
    .replace(READ_ON, "unfinished");
}
