// Two traces beside each other.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { TraceAnswer } from "../api.js";
import { compare, type Pair } from "./compare.js";
import { type Asked, useAnswer } from "./data.js";
import { count, duration, line, time } from "./format.js";
import { type Line, layout } from "./layout.js";
import { ErrorSign, Notice, Rows, Sender } from "./parts.js";
import { hrefOf } from "./route.js";

const ROW_PX = 28;
const [INDENT_PX, MAX_INDENT] = [14, 24];
/** Smaller changes are not marked, as a part of the longer span. */
const MARKED = 0.1;

/** The view of two traces. The second one is the newer. */
export function Compare({ ids }: { readonly ids: readonly [string, string] }): JSX.Element {
  const [first, second] = [useTrace(ids[0]), useTrace(ids[1])];
  const error = first.error ?? second.error;
  if (error !== undefined) return <Notice isError>{error}</Notice>;
  return first.data && second.data ? <Loaded first={first.data} second={second.data} /> : <Notice>…</Notice>;
}

function useTrace(id: string): Asked<TraceAnswer> {
  return useAnswer(`traces/${encodeURIComponent(id)}`, ({ traces }) => traces === null || traces.includes(id));
}

function Loaded({ first, second }: { first: TraceAnswer; second: TraceAnswer }): JSX.Element {
  const pairs = useMemo(() => compare(layout(first), layout(second)), [first, second]);
  const nowMs = Date.now();
  return (
    <div class="compare">
      <section class="bands" aria-label="the two traces">
        <h1>Compare</h1>
        {[first, second].map(({ summary }) => (
          <p class="meta" key={summary.id}>
            <a href={hrefOf(`trace/${summary.id}`)}>{line(summary.name) || "(no name)"}</a>
            <span>{time(summary.start, nowMs)}</span>
            <strong>{summary.ms === null ? "open" : duration(summary.ms)}</strong>
            <span>
              {count(summary.spans)} {summary.spans === 1 ? "span" : "spans"}
            </span>
            {summary.tokens > 0 && <span>{count(summary.tokens)} tokens</span>}
            {summary.errors > 0 && (
              <span class="is-error">
                {count(summary.errors)} {summary.errors === 1 ? "error" : "errors"}
              </span>
            )}
          </p>
        ))}
      </section>
      <Rows
        count={pairs.length}
        height={ROW_PX}
        before={
          <div class="pair head" aria-hidden="true">
            <span>span</span>
            <span class="number">first</span>
            <span class="number">second</span>
            <span class="number">change</span>
            <span class="number tokens">tokens</span>
          </div>
        }
        row={(at) => <PairView key={at} pair={pairs[at]!} />}
        attributes={{ tabIndex: 0, role: "region", "aria-label": "spans" }}
      />
    </div>
  );
}

function PairView({ pair: { depth, first, second } }: { pair: Pair }): JSX.Element {
  const { span } = (second ?? first)!;
  const change = first && second && !first.isOpen && !second.isOpen ? msOf(second) - msOf(first) : undefined;
  const isMarked = change !== undefined && Math.abs(change) > MARKED * Math.max(msOf(first!), msOf(second!), 1);
  const tokens = (second?.span.tokens ?? 0) - (first?.span.tokens ?? 0);
  return (
    <div class={`pair${isMarked ? " is-marked" : ""}`}>
      <span class="title" style={{ paddingLeft: `${Math.min(depth, MAX_INDENT) * INDENT_PX}px` }}>
        <Sender name={span.sender} />
        <bdi class="text">{line(span.name) || "(no name)"}</bdi>
        {(first?.span.error ?? second?.span.error ?? null) !== null && <ErrorSign />}
        {!(first && second) && <span class="pill">{first ? "only first" : "only second"}</span>}
      </span>
      <span class="number">{labelOf(first)}</span>
      <span class="number">{labelOf(second)}</span>
      <span class="number change">{change === undefined ? "" : signed(change, duration)}</span>
      <span class="number tokens">{first && second && tokens !== 0 ? signed(tokens, count) : ""}</span>
    </div>
  );
}

function msOf({ from, to }: Line): number {
  return to - from;
}

function labelOf(laid: Line | undefined): string {
  if (!laid) return "";
  return laid.isOpen ? "open" : duration(msOf(laid));
}

function signed(value: number, format: (value: number) => string): string {
  if (value === 0) return "same";
  return `${value < 0 ? "−" : "+"}${format(Math.abs(value))}`;
}
