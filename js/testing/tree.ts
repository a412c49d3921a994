// Traces as trees, and whether they are the ones that were expected.

import type { ExportedRow, InMemoryExporter } from "./exporter.js";

/** A trace or a span with the spans under it, in the order in which they began. */
export interface Tree {
  /** Its row; of a trace that began elsewhere only the id is known. */
  readonly row: ExportedRow;
  /** Those directly under it. */
  readonly spans: readonly Tree[];
}

/**
 * What a trace or a span is expected to be: members of its row, of which nested objects may name a part, and the spans
 * under it, all of them when they are given at all.
 */
export interface ExpectedTree {
  /** All of those directly under it, in their order. */
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
  // Ids sort by the time at which they were made.
  const sorted = [...spans].sort((a, b) => (a.id < b.id ? -1 : 1));
  const under = (isChild: (span: ExportedRow) => boolean): Tree[] =>
    sorted.filter(isChild).map((row) => ({ row, spans: under((span) => span.parent_span_id === row.id) }));
  // The parent of a span that joined a trace was exported by somebody else.
  const isRoot = ({ parent_span_id }: ExportedRow): boolean => !parent_span_id || !ids.has(parent_span_id);
  const trees = [...roots.values()].map((row) => ({
    row,
    spans: under((span) => span.trace_id === row.id && isRoot(span)),
  }));
  // Of one that began elsewhere it counts when it was joined.
  const begun = ({ row, spans: [first] }: Tree): string => first?.row.id ?? row.id;
  return trees.sort((a, b) => (begun(a) < begun(b) ? -1 : 1));
}

/**
 * Throws, with the actual trees in its message, unless the exported or captured traces match the expected ones, in the order in which they
 * began.
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
