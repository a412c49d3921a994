// Rows → the text of a trace as a tree: what ran under what, how long, and what went wrong.

import type { Store, StoredRow, StoredScore } from "./store.js";

/** The tree of one trace. It flags spans whose parent is missing, and a trace without a row. */
export function treeOf(traceId: string, store: Store): string {
  const spans = store.rows("spans");
  const trace = store.rows("traces").find(({ id }) => id === traceId);
  const own = spans.filter((span) => span.trace_id === traceId).sort(byStart);
  const ids = new Set(own.map(({ id }) => id));
  const roots = own.filter(({ parent_span_id }) => parent_span_id === undefined);
  const orphans = own.filter(({ parent_span_id }) => parent_span_id !== undefined && !ids.has(parent_span_id));
  const all = { spans: own, scores: store.scores() };
  const lines = [trace ? `trace ${traceId} ${describe(trace, all.scores)}` : `trace ${traceId} (no trace row)`];
  const branches: [StoredRow, string][] = [
    ...roots.map((span): [StoredRow, string] => [span, ""]),
    ...orphans.map((span): [StoredRow, string] => [span, ` (orphan: no span ${span.parent_span_id})`]),
  ];
  branches.forEach(([span, note], index) => {
    draw(lines, span, note, all, "", index === branches.length - 1);
  });
  return lines.join("\n");
}

function draw(
  lines: string[],
  span: StoredRow,
  note: string,
  all: { readonly spans: readonly StoredRow[]; readonly scores: readonly StoredScore[] },
  indent: string,
  isLast: boolean,
): void {
  lines.push(`${indent}${isLast ? "└─ " : "├─ "}${describe(span, all.scores)}${note}`);
  const children = all.spans.filter(({ parent_span_id }) => parent_span_id === span.id);
  children.forEach((child, index) => {
    draw(lines, child, "", all, `${indent}${isLast ? "   " : "│  "}`, index === children.length - 1);
  });
}

function describe(row: StoredRow, scores: readonly StoredScore[]): string {
  const error = row["error_info"] as { exception_type: string; message?: string } | undefined;
  const metadata = row["metadata"] as Record<string, unknown> | undefined;
  const usage = row["usage"] as Record<string, number> | undefined;
  return [
    JSON.stringify(row["name"] ?? null),
    row["type"],
    duration(row),
    row["thread_id"] && `thread=${row["thread_id"]}`,
    row["model"] && `model=${row["model"]}`,
    usage && `tokens=${usage["total_tokens"] ?? Object.values(usage).reduce((sum, n) => sum + n, 0)}`,
    typeof row["ttft"] === "number" && `ttft=${Math.round(row["ttft"])} ms`,
    metadata?.["opik_edge_cancelled"] && "CANCELLED",
    metadata?.["opik_edge_unfinished"] && "UNFINISHED",
    ...scores.filter((score) => belongs(score, row)).map(({ name, value }) => `${name}=${value}`),
    error && `ERROR ${[error.exception_type, error.message].filter(Boolean).join(": ")}`,
  ]
    .filter(Boolean)
    .join("  ");
}

/** A score in another project than its row's is of no row. */
function belongs(score: StoredScore, row: StoredRow): boolean {
  const [one, other] = [score, row].map(({ project_name }) => String(project_name).toLowerCase());
  return score.id === row.id && one === other;
}

function duration(row: StoredRow): string {
  if (typeof row["end_time"] !== "string") return "open";
  const ms = Date.parse(row["end_time"]) - Date.parse(String(row["start_time"]));
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function byStart(a: StoredRow, b: StoredRow): number {
  const order = Date.parse(String(a["start_time"])) - Date.parse(String(b["start_time"]));
  return order || a.id.localeCompare(b.id);
}
