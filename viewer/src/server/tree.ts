// Rows → the text of a trace as a tree: what ran under what, how long, and what went wrong.

import type { Store, StoredRow, StoredScore } from "./store.js";
import { tokensOf } from "./summary.js";
import { msOf } from "./time.js";

/** The deepest indent. Without it, the text of a long chain would grow quadratically. */
const MAX_INDENT = 40 * 3;

/** The tree of one trace. It flags spans whose parent is missing, and a trace without a row. */
export function treeOf(traceId: string, store: Store): string {
  const kept = store.ofTrace(traceId);
  const scoresOf = store.scoresIn(traceId);
  const trace = kept.find(({ entity }) => entity === "traces");
  const spans = kept.filter(({ entity }) => entity === "spans").map(({ row }) => row);
  spans.sort(byStart);
  const head = trace ? describe(trace.row, scoresOf(trace)) : "(no trace row)";
  return [`trace ${traceId} ${head}`, ...branches(spans, (row) => scoresOf({ entity: "spans", row }))].join("\n");
}

interface Branch {
  readonly span: StoredRow;
  readonly note: string;
  readonly indent: string;
  readonly isLast: boolean;
}

/** Without recursion, as deep as rows may go. A cycle has no root: it is cut at its first span. */
function branches(spans: readonly StoredRow[], scoresOf: (row: StoredRow) => readonly StoredScore[]): string[] {
  const ids = new Set(spans.map(({ id }) => id));
  const children = new Map<string, StoredRow[]>();
  for (const span of spans) {
    const parent = span.parent_span_id ?? "";
    const siblings = children.get(parent);
    if (siblings) siblings.push(span);
    else children.set(parent, [span]);
  }
  const drawn = new Set<StoredRow>();
  const lines: string[] = [];
  const isOrphan = ({ parent_span_id: id }: StoredRow) => id !== undefined && !ids.has(id);
  const roots = [
    ...spans.filter(({ parent_span_id }) => parent_span_id === undefined).map((span) => ({ span, note: "" })),
    ...spans.filter(isOrphan).map((span) => ({ span, note: ` (orphan: no span ${span.parent_span_id})` })),
  ];
  const draw = (from: readonly Omit<Branch, "indent" | "isLast">[]) => {
    const open: Branch[] = from.map((root, at) => ({ ...root, indent: "", isLast: at === from.length - 1 })).reverse();
    for (let next = open.pop(); next; next = open.pop()) {
      const { span, note, indent, isLast } = next;
      if (drawn.has(span)) continue;
      drawn.add(span);
      lines.push(`${indent}${isLast ? "└─ " : "├─ "}${describe(span, scoresOf(span))}${note}`);
      const below = children.get(span.id) ?? [];
      const deeper = indent.length < MAX_INDENT ? `${indent}${isLast ? "   " : "│  "}` : indent;
      for (let at = below.length - 1; at >= 0; at -= 1) {
        open.push({ span: below[at]!, note: "", indent: deeper, isLast: at === below.length - 1 });
      }
    }
  };
  draw(roots);
  for (const span of spans) if (!drawn.has(span)) draw([{ span, note: " (its parents are a circle)" }]);
  return lines;
}

function describe(row: StoredRow, scores: readonly StoredScore[]): string {
  const error = row["error_info"] as { exception_type: string; message?: string } | undefined;
  const metadata = row["metadata"] as Record<string, unknown> | undefined;
  const tokens = tokensOf(row);
  return [
    JSON.stringify(row["name"] ?? null),
    row["type"],
    duration(row),
    row["thread_id"] && `thread=${row["thread_id"]}`,
    row["model"] && `model=${row["model"]}`,
    tokens !== undefined && `tokens=${tokens}`,
    typeof row["ttft"] === "number" && `ttft=${Math.round(row["ttft"])} ms`,
    metadata?.["opik_edge_cancelled"] && "CANCELLED",
    metadata?.["opik_edge_unfinished"] && "UNFINISHED",
    ...scores.map(({ name, value }) => `${name}=${value}`),
    error && `ERROR ${[error.exception_type, error.message].filter(Boolean).join(": ")}`,
  ]
    .filter(Boolean)
    .join("  ");
}

function duration(row: StoredRow): string {
  if (typeof row["end_time"] !== "string") return "open";
  const ms = Date.parse(row["end_time"]) - Date.parse(String(row["start_time"]));
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function byStart(a: StoredRow, b: StoredRow): number {
  const order = (msOf(a["start_time"]) ?? Number.NaN) - (msOf(b["start_time"]) ?? Number.NaN);
  return order || (a.id < b.id ? -1 : 1);
}
