// Lays the rows of a trace out as the lines of a waterfall: depth, place in time, oddities.
// Pure, without recursion, and linear except for sorting: a trace can be one long chain or one wide fan.

import type { RowSummary, TraceAnswer } from "../api.js";

/** A stretch of time, in ms since 1970. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Reason for a root line whose span names a parent. */
export type Orphaned = "no trace row" | "no such span" | "circle";

/** One line. */
export interface Line {
  readonly span: RowSummary;
  readonly depth: number;
  /** The number of its parent's line, or -1. */
  readonly parent: number;
  /** The number of the line behind its last descendant. */
  readonly end: number;
  readonly from: number;
  /** Equal to `from` where it is open or ends before it starts. */
  readonly to: number;
  readonly isOpen: boolean;
  readonly endsEarly: boolean;
  /** It starts before its parent: their clocks differ. */
  readonly isOtherClock: boolean;
  readonly orphaned: Orphaned | null;
  /** Its parent's row is in another project. */
  readonly isOtherProject: boolean;
  /** When no child of it ran. */
  readonly gaps: readonly Stretch[];
}

/** All lines, parents before their children. */
export interface Layout extends Stretch {
  readonly lines: readonly Line[];
  /** Number of visited spans. It grows linearly with the number of spans. */
  readonly visits: number;
}

/** The shortest gap, as a part of the trace. */
const MIN_GAP = 0.02;
/** Workers and pages cut their clocks to a ms. A smaller difference does not mean another clock. */
const CLOCK_MS = 1;

interface Node {
  readonly span: RowSummary;
  parent: Node | undefined;
  readonly children: Node[];
  orphaned: Orphaned | null;
  mark: number;
}

/** Lays a trace out. */
export function layout({ summary, traces, spans }: Pick<TraceAnswer, "summary" | "traces" | "spans">): Layout {
  let visits = 0;
  const nodes = spans.map((span): Node => ({ span, parent: undefined, children: [], orphaned: null, mark: 0 }));
  const byId = new Map<string, Node[]>();
  for (const node of nodes) {
    visits += 1;
    const same = byId.get(node.span.id);
    if (same) same.push(node);
    else byId.set(node.span.id, [node]);
  }
  const missing: Orphaned = traces.length > 0 ? "no such span" : "no trace row";
  for (const node of nodes) {
    visits += 1;
    const { parent, project } = node.span;
    if (parent === null) continue;
    const found = byId.get(parent);
    node.parent = found?.find((one) => one.span.project === project) ?? found?.[0];
    if (!node.parent) node.orphaned = missing;
  }
  visits += cutCircles(nodes);

  const roots: Node[] = [];
  let from = traces.length > 0 ? summary.start : Number.POSITIVE_INFINITY;
  let to = summary.ms === null ? from : summary.start + summary.ms;
  if (traces.length === 0) to = Number.NEGATIVE_INFINITY;
  for (const node of nodes) {
    visits += 1;
    (node.parent ? node.parent.children : roots).push(node);
    const start = startOf(node.span, summary.start);
    from = Math.min(from, start);
    to = Math.max(to, start, node.span.end ?? start);
  }
  if (from > to) [from, to] = [summary.start, summary.start];

  const lines: Mutable<Line>[] = [];
  // Orphans stand below the roots.
  const rank = (node: Node) => (node.orphaned ? 1 : 0);
  roots.sort((a, b) => rank(a) - rank(b) || inTime(a, b));
  const open = roots.map((node) => ({ node, depth: 0, parent: -1 })).reverse();
  for (let next = open.pop(); next; next = open.pop()) {
    visits += 1;
    const { node, depth, parent } = next;
    node.children.sort(inTime);
    const at = lines.length;
    lines.push(
      lineOf(node, depth, parent, parent < 0 ? undefined : lines[parent]!, (to - from) * MIN_GAP, summary.start),
    );
    for (let child = node.children.length - 1; child >= 0; child -= 1) {
      open.push({ node: node.children[child]!, depth: depth + 1, parent: at });
    }
  }
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    visits += 1;
    const line = lines[at]!;
    line.end = Math.max(line.end, at + 1);
    const parent = lines[line.parent];
    if (parent) parent.end = Math.max(parent.end, line.end);
  }
  return { lines, from, to, visits };
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function lineOf(
  { span, parent: above, children, orphaned }: Node,
  depth: number,
  parent: number,
  line: Line | undefined,
  minGap: number,
  preset: number,
): Mutable<Line> {
  const from = startOf(span, preset);
  const to = Math.max(from, span.end ?? from);
  return {
    span,
    depth,
    parent,
    end: 0,
    from,
    to,
    isOpen: span.end === null,
    endsEarly: span.end !== null && span.end < from,
    isOtherClock: line !== undefined && from < line.from - CLOCK_MS,
    orphaned,
    isOtherProject: above !== undefined && above.span.project.toLowerCase() !== span.project.toLowerCase(),
    gaps: gapsOf(from, to, children, minGap),
  };
}

/** Of a span with children: when none of them ran. They are in the order of their start. */
function gapsOf(from: number, to: number, children: readonly Node[], minGap: number): Stretch[] {
  if (children.length === 0 || to <= from) return [];
  const gaps: Stretch[] = [];
  let covered = from;
  const gapUntil = (start: number) => {
    if (start - covered > minGap) gaps.push({ from: covered, to: start });
  };
  for (const { span } of children) {
    const start = startOf(span, from);
    if (start >= to) break;
    gapUntil(start);
    // An open child may still run.
    covered = Math.max(covered, span.end ?? to);
  }
  gapUntil(to);
  return gaps;
}

/** Parents may form a circle, of one span or more: its youngest span becomes a root. */
function cutCircles(nodes: readonly Node[]): number {
  let visits = 0;
  nodes.forEach((start, at) => {
    const mark = at + 1;
    let node: Node | undefined = start;
    for (; node && node.mark === 0; node = node.parent) {
      visits += 1;
      node.mark = mark;
    }
    if (node?.mark !== mark) return;
    let youngest = node;
    for (let one = node.parent!; one !== node; one = one.parent!) {
      visits += 1;
      if (one.span.id > youngest.span.id) youngest = one;
    }
    youngest.parent = undefined;
    youngest.orphaned = "circle";
  });
  return visits;
}

/** A row of which only an update is there has no start: it stands at the trace's. */
function startOf(span: RowSummary, preset: number): number {
  return span.start ?? preset;
}

function inTime(a: Node, b: Node): number {
  const order = (a.span.start ?? 0) - (b.span.start ?? 0);
  return order || (a.span.id < b.span.id ? -1 : a.span.id > b.span.id ? 1 : a.span.key < b.span.key ? -1 : 1);
}

/** The numbers of the visible lines. Lines in `folded` hide the lines below them. */
export function visibleLines(lines: readonly Line[], folded: ReadonlySet<string>): number[] {
  const visible: number[] = [];
  for (let at = 0; at < lines.length; ) {
    visible.push(at);
    const line = lines[at]!;
    at = folded.has(line.span.key) ? line.end : at + 1;
  }
  return visible;
}

/** The lines without which the trace would have been shorter: from its end back, the child that ended last. */
export function criticalPath({ lines }: Pick<Layout, "lines">): Set<number> {
  const path = new Set<number>();
  const last = new Map<number, number>();
  lines.forEach(({ parent, to }, at) => {
    const before = last.get(parent);
    if (before === undefined || lines[before]!.to <= to) last.set(parent, at);
  });
  for (let at = last.get(-1); at !== undefined; at = last.get(at)) path.add(at);
  return path;
}

/** Round times for a ruler, at most `count`: offsets from its beginning in ms, 0 among them. */
export function ticksOf(ms: number, count: number): number[] {
  if (!(ms > 0) || count < 1) return [0];
  const power = 10 ** Math.floor(Math.log10(ms / count));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => ms / one <= count)!;
  return Array.from({ length: Math.floor(ms / step) + 1 }, (_, n) => n * step);
}
