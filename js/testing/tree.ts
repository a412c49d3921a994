// Builds trees from exported traces, and compares them with expected trees.

import type { ExportedRow, InMemoryExporter } from "./exporter.js";

/** A trace or a span with the spans under it, in the order in which they began. */
export interface Tree {
  /** The row. Only the id is known of a trace that began elsewhere. */
  readonly row: ExportedRow;
  /** The direct children. */
  readonly spans: readonly Tree[];
}

/**
 * The expected members of a trace or span. You need to name only the fields you care about, at any depth. `spans` is the exception:
 * if you give it, list all children in order.
 */
export interface ExpectedTree {
  /** All direct children, in order. */
  readonly spans?: readonly ExpectedTree[];
  readonly [field: string]: unknown;
}

/**
 * The exported traces as trees, in the order in which they began.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Opik } from "opik-edge";
 * import { InMemoryExporter, treesOf } from "opik-edge/testing";
 *
 * const exporter = new InMemoryExporter();
 * const opik = new Opik({ transport: exporter, background: false });
 * opik.span({ name: "chat" }, (chat) => chat.span({ name: "search" }).end());
 * await opik.flush();
 *
 * const [trace] = treesOf(exporter);
 * assert.equal(trace?.spans[0]?.spans[0]?.row.name, "search");
 * ```
 */
export function treesOf({ traces, spans }: InMemoryExporter): Tree[] {
  const roots = new Map<string, ExportedRow>(traces.map((trace) => [trace.id, trace]));
  for (const { trace_id } of spans) if (trace_id && !roots.has(trace_id)) roots.set(trace_id, { id: trace_id });
  const ids = new Set(spans.map(({ id }) => id));
  // Ids sort by creation time.
  const sorted = [...spans].sort((a, b) => (a.id < b.id ? -1 : 1));
  const under = (isChild: (span: ExportedRow) => boolean): Tree[] =>
    sorted.filter(isChild).map((row) => ({ row, spans: under((span) => span.parent_span_id === row.id) }));
  // Another process exported the parent of a span that joined a trace.
  const isRoot = ({ parent_span_id }: ExportedRow): boolean => !parent_span_id || !ids.has(parent_span_id);
  const trees = [...roots.values()].map((row) => ({
    row,
    spans: under((span) => span.trace_id === row.id && isRoot(span)),
  }));
  // A trace that began elsewhere is sorted by its first span here.
  const begun = ({ row, spans: [first] }: Tree): string => first?.row.id ?? row.id;
  return trees.sort((a, b) => (begun(a) < begun(b) ? -1 : 1));
}

/**
 * Throws unless the exported or captured traces match the expected trees, in the order in which they began. The message shows the
 * actual trees.
 *
 * @example
 * ```ts
 * import { Opik } from "opik-edge";
 * import { assertTrees, InMemoryExporter } from "opik-edge/testing";
 *
 * const exporter = new InMemoryExporter();
 * const opik = new Opik({ transport: exporter, background: false });
 * opik.span({ name: "chat" }, (chat) => chat.span({ name: "search", type: "tool" }).end());
 * await opik.flush();
 *
 * assertTrees(exporter, [{ name: "chat", spans: [{ name: "chat", spans: [{ name: "search", type: "tool" }] }] }]);
 * ```
 */
export function assertTrees(recorded: InMemoryExporter | readonly Tree[], expected: readonly ExpectedTree[]): void {
  const trees = "traces" in recorded ? treesOf(recorded) : recorded;
  const difference = differenceOf(trees, expected, "traces");
  if (difference) throw new Error(`${difference}\nexported:\n${trees.map((tree) => drawn(tree, "")).join("")}`);
}

function differenceOf(trees: readonly Tree[], expected: readonly ExpectedTree[], path: string): string | undefined {
  if (trees.length !== expected.length) return `${path}: expected ${expected.length}, got ${trees.length}`;
  for (const [index, { spans, ...fields }] of expected.entries()) {
    const tree = trees[index] as Tree;
    const here = `${path}[${index}]`;
    for (const [name, value] of Object.entries(fields)) {
      const got = tree.row[name];
      if (!matches(got, value)) return `${here}.${name}: expected ${shown(value)}, got ${shown(got)}`;
    }
    const below = spans && differenceOf(tree.spans, spans, `${here}.spans`);
    if (below) return below;
  }
  return undefined;
}

function matches(got: unknown, expected: unknown): boolean {
  if (typeof expected !== "object" || expected === null) return Object.is(got, expected);
  if (typeof got !== "object" || got === null || Array.isArray(got) !== Array.isArray(expected)) return false;
  if (Array.isArray(expected) && (got as unknown[]).length !== expected.length) return false;
  return Object.entries(expected).every(([name, value]) => matches((got as Record<string, unknown>)[name], value));
}

function shown(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

function drawn({ row, spans }: Tree, indent: string): string {
  const { name = row.id, type } = row as { name?: string; type?: string; id: string };
  const below = spans.map((tree) => drawn(tree, `${indent}  `)).join("");
  return `${indent}${name}${type ? ` (${type})` : ""}\n${below}`;
}
