// Rows → what lists show of them.

import type { RowSummary, Score, TraceSummary } from "../api.js";
import type { Kept, StoredRow } from "./shelf.js";
import { msOf } from "./time.js";

/** In characters. Any field may hold megabytes. */
const MAX_TEXT = 500;

/** A trace as the list shows it. */
export function summarise(id: string, n: number, kept: readonly Kept[]): TraceSummary {
  const traces = kept.filter(({ entity }) => entity === "traces");
  const spans = kept.filter(({ entity }) => entity === "spans");
  const own = traces[0]?.row;
  const root = spans.find(({ row }) => row.parent_span_id === undefined)?.row ?? spans[0]?.row;
  let start = Number.POSITIVE_INFINITY;
  let end = Number.NEGATIVE_INFINITY;
  let isOpen = false;
  for (const { row } of own ? traces : spans) {
    const from = msOf(row["start_time"]);
    const to = msOf(row["end_time"]);
    start = Math.min(start, from ?? start);
    if (to === undefined) isOpen = true;
    else end = Math.max(end, to);
  }
  if (start === Number.POSITIVE_INFINITY) start = timeOfId(id);
  let [errors, tokens, cost] = [0, 0, 0];
  for (const { row } of spans) {
    if (row["error_info"] !== undefined) errors += 1;
    tokens += tokensOf(row) ?? 0;
    cost += typeof row["total_estimated_cost"] === "number" ? row["total_estimated_cost"] : 0;
  }
  if (spans.length === 0 && own?.["error_info"] !== undefined) errors += 1;
  return {
    id,
    n,
    name: textOf(own?.["name"] ?? root?.["name"]) ?? "",
    projects: distinct(kept.map(({ row }) => textOf(row["project_name"]) ?? "")),
    start,
    ms: isOpen || end === Number.NEGATIVE_INFINITY ? null : Math.max(0, end - start),
    spans: spans.length,
    errors,
    tokens,
    cost,
    thread: textOf(own?.["thread_id"]) ?? null,
    senders: distinct(kept.map(({ sender }) => sender)),
    hasRow: own !== undefined,
    error: exceptionOf(own ?? {}),
  };
}

/** A row without its input, output and metadata. */
export function summariseRow({ key, row, sender }: Kept, scores: readonly Score[]): RowSummary {
  const metadata = row["metadata"] as Record<string, unknown> | undefined;
  return {
    key,
    id: row.id,
    parent: row.parent_span_id ?? null,
    project: textOf(row["project_name"]) ?? "",
    name: textOf(row["name"]) ?? "",
    type: textOf(row["type"]) ?? "general",
    start: msOf(row["start_time"]) ?? null,
    end: msOf(row["end_time"]) ?? null,
    error: exceptionOf(row),
    model: textOf(row["model"]) ?? null,
    provider: textOf(row["provider"]) ?? null,
    tokens: tokensOf(row) ?? null,
    cost: typeof row["total_estimated_cost"] === "number" ? row["total_estimated_cost"] : null,
    ttft: typeof row["ttft"] === "number" ? row["ttft"] : null,
    sender,
    cancelled: Boolean(metadata?.["opik_edge_cancelled"]),
    unfinished: Boolean(metadata?.["opik_edge_unfinished"]),
    scores: summariseScores(scores),
  };
}

/** Scores, cut for the page. */
export function summariseScores(scores: readonly Score[]): Score[] {
  return scores.map(({ name, value, reason }) => ({
    name: textOf(name)!,
    value,
    ...(reason !== undefined && { reason: textOf(reason)! }),
  }));
}

/** All tokens of a model call. */
export function tokensOf(row: Partial<StoredRow>): number | undefined {
  const usage = row["usage"] as Record<string, number> | undefined;
  if (usage === undefined) return undefined;
  const { total_tokens, prompt_tokens = 0, completion_tokens = 0 } = usage;
  return total_tokens ?? prompt_tokens + completion_tokens;
}

function exceptionOf(row: Partial<StoredRow>): string | null {
  const error = row["error_info"] as { exception_type?: string } | undefined;
  return error === undefined ? null : (textOf(error.exception_type) ?? "error");
}

/** Cuts a text for a list. The row keeps the whole text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, MAX_TEXT) : undefined;
}

/** A UUIDv7 begins with its time. */
function timeOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].filter(Boolean);
}
