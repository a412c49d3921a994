// How the rows of a trace become the lines of a waterfall.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RowSummary, TraceAnswer } from "../../viewer/src/api.js";
import { compare } from "../../viewer/src/page/compare.js";
import { criticalPath, type Layout, layout, ticksOf, visibleLines } from "../../viewer/src/page/layout.js";

type Fields = Partial<RowSummary> & { id: string };

function row({ id, ...fields }: Fields): RowSummary {
  return {
    key: id,
    id,
    parent: null,
    project: "p",
    name: id,
    type: "general",
    start: 0,
    end: 100,
    error: null,
    model: null,
    provider: null,
    tokens: null,
    cost: null,
    ttft: null,
    sender: "",
    cancelled: false,
    unfinished: false,
    scores: [],
    ...fields,
  };
}

function lay(spans: readonly Fields[], trace: { start?: number; ms?: number | null } | null = {}): Layout {
  const { start = 0, ms = 100 } = trace ?? {};
  const summary = { start, ms } as TraceAnswer["summary"];
  return layout({ summary, traces: trace ? [row({ id: "trace" })] : [], spans: spans.map(row) });
}

/** Each line as its depth and its name. */
const shape = ({ lines }: Layout) => lines.map(({ depth, span }) => `${"-".repeat(depth)}${span.id}`);

describe("every span is one line", () => {
  test("below its parent, in the order of their start", () => {
    const laid = lay([
      { id: "c", parent: "a", start: 50 },
      { id: "b", parent: "a", start: 10 },
      { id: "d", parent: "b", start: 20 },
      { id: "a" },
    ]);
    assert.deepEqual(shape(laid), ["a", "-b", "--d", "-c"]);
    assert.deepEqual(
      laid.lines.map(({ parent, end }) => [parent, end]),
      [
        [-1, 4],
        [0, 3],
        [1, 3],
        [0, 4],
      ],
    );
  });

  test("below the roots where its parent is missing, with the reason", () => {
    const spans = [{ id: "o", parent: "gone", start: -5 }, { id: "below", parent: "o" }, { id: "a" }];
    const laid = lay(spans);
    assert.deepEqual(shape(laid), ["a", "o", "-below"]);
    assert.deepEqual(
      laid.lines.map(({ orphaned }) => orphaned),
      [null, "no such span", null],
    );
    assert.equal(lay(spans, null).lines[1]!.orphaned, "no trace row");
  });

  test("also in circles, which are cut at their youngest span", () => {
    const laid = lay([
      { id: "1", parent: "3" },
      { id: "2", parent: "1" },
      { id: "3", parent: "2" },
      { id: "self", parent: "self" },
      { id: "tail", parent: "1" },
    ]);
    assert.deepEqual(shape(laid), ["3", "-1", "--2", "--tail", "self"]);
    assert.deepEqual(laid.lines.filter(({ orphaned }) => orphaned === "circle").length, 2);
  });

  test("also twice: a child stands below its own project's parent", () => {
    const laid = lay([
      { id: "a", key: "a p" },
      { id: "a", key: "a q", project: "q" },
      { id: "b", parent: "a", project: "q" },
      { id: "c", parent: "a", project: "r" },
    ]);
    assert.deepEqual(
      laid.lines.map(({ span, parent, isOtherProject }) => [span.key, parent, isOtherProject]),
      [
        ["a p", -1, false],
        ["c", 0, true],
        ["a q", -1, false],
        ["b", 2, false],
      ],
    );
  });

  test("with any parents", () => {
    // Every function of parents on few spans is tried, and many on more.
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    for (let round = 0; round < 2000; round += 1) {
      const size = 1 + random(8);
      const spans = Array.from({ length: size }, (_, n): Fields => {
        const parent = random(size + 2);
        const start = random(50);
        return {
          id: `${n}`,
          parent: parent === size ? null : `${parent}`,
          start,
          end: random(3) ? start + random(50) - 5 : null,
        };
      });
      const { lines, from, to } = lay(spans, random(2) ? {} : null);
      assert.deepEqual(lines.map(({ span }) => span.id).sort(), spans.map(({ id }) => id).sort());
      lines.forEach((line, at) => {
        assert.ok(line.parent < at && line.end > at && line.from >= from && line.to <= to && line.from <= line.to);
        assert.equal(line.depth, line.parent < 0 ? 0 : lines[line.parent]!.depth + 1);
        assert.ok(line.end <= (lines[line.parent]?.end ?? lines.length));
      });
      assert.equal(visibleLines(lines, new Set()).length, size);
    }
  });
});

describe("time is shown as it came", () => {
  test("the axis covers the trace's row and all spans", () => {
    const { from, to } = lay([
      { id: "a", start: -20, end: 10 },
      { id: "b", start: 50, end: 170 },
    ]);
    assert.deepEqual([from, to], [-20, 170]);
    assert.deepEqual((({ from, to }) => [from, to])(lay([])), [0, 100]);
    assert.deepEqual((({ from, to }) => [from, to])(lay([{ id: "a", start: 10, end: 20 }], null)), [10, 20]);
  });

  test("a child that starts 1 ms before its parent has another clock, and keeps its place", () => {
    const laid = lay([
      { id: "a", start: 10 },
      { id: "b", parent: "a", start: 5 },
      { id: "c", parent: "a", start: 9.2 },
    ]);
    assert.deepEqual(
      laid.lines.map(({ isOtherClock, from }) => [isOtherClock, from]),
      [
        [false, 10],
        [true, 5],
        [false, 9.2],
      ],
    );
  });

  test("open spans, spans that end before they start, and spans without a start keep a valid place", () => {
    const laid = lay(
      [
        { id: "a", end: null },
        { id: "b", start: 50, end: 40 },
        { id: "c", start: null, end: null },
      ],
      { start: 3 },
    );
    const by = Object.fromEntries(laid.lines.map((line) => [line.span.id, line]));
    assert.deepEqual([by["a"]!.isOpen, by["a"]!.to], [true, 0]);
    assert.deepEqual([by["b"]!.endsEarly, by["b"]!.from, by["b"]!.to], [true, 50, 50]);
    assert.deepEqual([by["c"]!.isOpen, by["c"]!.from], [true, 3]);
  });

  test("gaps are where no child ran, from two in a hundred on", () => {
    const gaps = (...children: [number, number | null][]) =>
      lay([
        { id: "a" },
        ...children.map(([start, end], n) => ({ id: `b${n}`, parent: "a", start, end })),
      ]).lines[0]!.gaps.map(({ from, to }) => [from, to]);
    assert.deepEqual(gaps([0, 30], [50, 100]), [[30, 50]]);
    assert.deepEqual(gaps([0, 30], [31, 99]), []);
    assert.deepEqual(gaps([10, 60], [20, 40]), [
      [0, 10],
      [60, 100],
    ]);
    assert.deepEqual(gaps([10, null]), [[0, 10]]);
    assert.deepEqual(gaps([150, 200]).length, 1);
    assert.deepEqual(gaps(), []);
  });

  test("the critical path is the child that ended last, from root to leaf", () => {
    const laid = lay([
      { id: "a" },
      { id: "b", parent: "a", end: 40 },
      { id: "c", parent: "a", start: 40, end: 99 },
      { id: "d", parent: "c", start: 50, end: 60 },
    ]);
    assert.deepEqual(
      [...criticalPath(laid)].map((at) => laid.lines[at]!.span.id),
      ["a", "c", "d"],
    );
  });

  test("a ruler has round steps, and no more than asked for", () => {
    assert.deepEqual(ticksOf(2840, 5), [0, 1000, 2000]);
    assert.deepEqual(ticksOf(100, 5), [0, 20, 40, 60, 80, 100]);
    assert.deepEqual(ticksOf(0, 5), [0]);
    for (const ms of [0.004, 0.9, 1, 7, 63, 999, 86_400_000]) {
      const ticks = ticksOf(ms, 5);
      assert.ok(ticks.length >= 3 && ticks.length <= 6 && ticks.at(-1)! <= ms, `${ms}: ${ticks}`);
    }
  });
});

test("folding hides only the lines below a line", () => {
  const { lines } = lay([{ id: "a" }, { id: "b", parent: "a" }, { id: "c", parent: "b" }, { id: "d", start: 1 }]);
  assert.deepEqual(visibleLines(lines, new Set(["b"])), [0, 1, 3]);
  assert.deepEqual(visibleLines(lines, new Set(["a", "b"])), [0, 3]);
});

test("two traces are aligned by the names of their spans, in order", () => {
  const named = (id: string, name: string, parent: string | null, start: number) => ({ id, name, parent, start });
  const first = lay([
    named("1", "a", null, 0),
    named("2", "b", "1", 1),
    named("3", "b", "1", 2),
    named("4", "c", "2", 2),
  ]);
  const second = lay([
    named("5", "a", null, 0),
    named("6", "b", "5", 1),
    named("7", "d", "5", 2),
    named("8", "c", "6", 3),
  ]);
  assert.deepEqual(
    compare(first, second).map((pair) => [pair.depth, pair.first?.span.id, pair.second?.span.id]),
    [
      [0, "1", "5"],
      [1, "2", "6"],
      [2, "4", "8"],
      [1, "3", undefined],
      [1, undefined, "7"],
    ],
  );
  assert.deepEqual(compare(lay([]), lay([])), []);
});

for (const [what, parentOf] of [
  ["a chain", (n: number) => (n === 0 ? null : `${n - 1}`)],
  ["a fan", (n: number) => (n === 0 ? null : "0")],
  ["a circle", (n: number, size: number) => `${(n + size - 1) % size}`],
  ["orphans", () => "gone"],
] as const) {
  test(`${what} of 100,000 spans takes ten times as many looks as one of 10,000, and no deep stack`, () => {
    const visits = (size: number) =>
      lay(Array.from({ length: size }, (_, n) => ({ id: `${n}`, parent: parentOf(n, size), start: n, end: n + 1 })))
        .visits / size;
    assert.ok(Math.abs(visits(10_000) - visits(100_000)) < 0.01, `${visits(10_000)}, ${visits(100_000)}`);
  });
}
