// Compares the recorded spans with the expected ones.

import { isDeepStrictEqual } from "node:util";
import type { StoredRow } from "../support/collector.js";
import { ANY, type Expected, type Run, SAID_HI, type Told } from "./case.js";
import { fixture } from "./fixtures.js";

/** Differences between the rows of a run and its expectations, one line each. `rows` are all spans. */
export function misrecorded(told: Told, run: Run, rows: readonly StoredRow[]): string[] {
  const { cases, spans: common } = told.sdks[run.sdk]!;
  const { answers, spans = [] } = cases[run.case]!;
  const root = rows.find((row) => row["name"] === run.name);
  const models = rows
    .filter((row) => row.parent_span_id === root?.id && row["type"] === "llm")
    .sort((one, two) => (one.id < two.id ? -1 : 1));
  if (!root) return ["there is no span around it"];
  const found: string[] = [];
  if (models.length !== answers.length) found.push(`${models.length} spans of models, not ${answers.length}`);
  for (const [at, answer] of answers.entries()) {
    const row = models[at];
    if (!row) continue;
    const title = typeof answer === "string" ? answer : answer.of;
    const { headers, expected: ofFixture } = fixture(title);
    const isWhole = headers["content-type"]!.startsWith("application/json");
    const expected: Expected = {
      input: SAID_HI,
      has_first_token: !isWhole && ofFixture.output !== null,
      ...{ error_type: null, error_message: null, total_estimated_cost: null },
      ...outOf(ofFixture),
      ...common,
      ...spans[at],
    };
    const { isJoined = false } = run.requests[at] ?? {};
    // The instrumented global `fetch` sends no trace headers.
    const joins = run.mode === "fetch" && (expected.isJoined ?? false);
    if (isJoined !== joins) found.push(`call ${at + 1}: trace headers: ${isJoined}`);
    for (const difference of differences(row, expected)) found.push(`call ${at + 1}: ${difference}`);
  }
  return found;
}

/** The fixture's expectations that hold for any request with this answer. Its input and metadata belong to another request. */
function outOf({ input: _, metadata: __, ...expected }: Expected): Expected {
  return expected;
}

function differences(row: StoredRow, expected: Expected): string[] {
  const found: string[] = [];
  const { metadata, ending = "done", has_first_token, ...fields } = expected;
  const error = row["error_info"] as { exception_type?: string; message?: string } | undefined;
  const recorded = row["metadata"] as Record<string, unknown> | undefined;
  const actual: Record<string, unknown> = {
    ...row,
    error_type: error?.exception_type,
    error_message: error?.message,
  };
  for (const name of FIELDS) {
    const wanted = fields[name];
    if (!(name in fields) || wanted === ANY) continue;
    const is = actual[name] ?? null;
    if (!isDeepStrictEqual(is, wanted)) found.push(`${name} is ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
  }
  for (const [name, wanted] of Object.entries(metadata ?? {})) {
    const is = recorded?.[name];
    if (!isDeepStrictEqual(is, wanted))
      found.push(`metadata.${name} is ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
  }
  const how = ENDINGS.find(([mark]) => recorded?.[mark])?.[1] ?? "done";
  if (!ending.split("|").includes(how)) found.push(`it is ${how}, not ${ending}`);
  const ttft = row["ttft"];
  if (has_first_token ? typeof ttft !== "number" || ttft < 0 : ttft !== undefined) found.push(`ttft is ${ttft}`);
  return found;
}

/** Metadata that marks an incomplete call, and the ending that it stands for. */
const ENDINGS = [
  ["opik_edge_cancelled", "cancelled"],
  ["opik_edge_stopped_reading", "stopped"],
  ["opik_edge_unfinished", "unfinished"],
] as const;

const FIELDS = [
  "provider",
  "model",
  "input",
  "output",
  "usage",
  "total_estimated_cost",
  "error_type",
  "error_message",
] as const;
