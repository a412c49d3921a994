// Aligns two traces span by span: spans with the same path of names stand in one row, in the order of their start.

import type { Layout, Line } from "./layout.js";

/** One row: a span of the first trace, of the second, or of both. */
export interface Pair {
  readonly depth: number;
  readonly first: Line | undefined;
  readonly second: Line | undefined;
}

interface Level {
  readonly depth: number;
  readonly first: readonly number[];
  readonly second: readonly number[];
}

/** All rows. A row's children follow it. */
export function compare(first: Layout, second: Layout): Pair[] {
  const pairs: Pair[] = [];
  const below = [childrenOf(first), childrenOf(second)] as const;
  const open: (Level | Pair)[] = [{ depth: 0, first: below[0].get(-1) ?? [], second: below[1].get(-1) ?? [] }];
  for (let next = open.pop(); next; next = open.pop()) {
    if (!Array.isArray(next.first)) {
      pairs.push(next as Pair);
      continue;
    }
    const level = next as Level;
    const todo: (Level | Pair)[] = [];
    for (const [one, other] of aligned(level, first, second)) {
      todo.push({ depth: level.depth, first: first.lines[one ?? -1], second: second.lines[other ?? -1] });
      todo.push({
        depth: level.depth + 1,
        first: (one === undefined ? undefined : below[0].get(one)) ?? [],
        second: (other === undefined ? undefined : below[1].get(other)) ?? [],
      });
    }
    open.push(...todo.reverse());
  }
  return pairs;
}

/** The numbers of the lines below each line. Roots are below -1. */
function childrenOf({ lines }: Layout): Map<number, number[]> {
  const children = new Map<number, number[]>();
  lines.forEach(({ parent }, at) => {
    const known = children.get(parent);
    if (known) known.push(at);
    else children.set(parent, [at]);
  });
  return children;
}

/** Pairs the nth span of a name with the nth of the same name. Spans of the second trace alone follow. */
function aligned(level: Level, first: Layout, second: Layout): [number | undefined, number | undefined][] {
  const waiting = new Map<string, number[]>();
  for (const at of level.second) {
    const { name } = second.lines[at]!.span;
    const known = waiting.get(name);
    if (known) known.push(at);
    else waiting.set(name, [at]);
  }
  const taken = new Set<number>();
  const pairs = level.first.map((at): [number | undefined, number | undefined] => {
    const other = waiting.get(first.lines[at]!.span.name)?.shift();
    if (other !== undefined) taken.add(other);
    return [at, other];
  });
  for (const at of level.second) if (!taken.has(at)) pairs.push([undefined, at]);
  return pairs;
}
