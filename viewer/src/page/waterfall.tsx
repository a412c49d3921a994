// Lines and their bars. Ruler, grid and bars are measured in one box, the track, so that they agree.

import type { JSX } from "preact";
import { duration, line, offset } from "./format.js";
import { Arrow } from "./json.js";
import { type Layout, type Line, ticksOf } from "./layout.js";
import { ErrorSign, Pill, Rows, Sender, senderColour } from "./parts.js";

const ROW_PX = 26;
const INDENT_PX = 14;
const MAX_INDENT = 24;
/** Behind it, in parts of the track, a bar's duration stands before it. */
const LABEL_LEFT = 0.88;

/** Properties of the waterfall. Numbers of lines are numbers in the layout. */
export interface WaterfallProps {
  readonly layout: Layout;
  readonly visible: readonly number[];
  readonly current: number;
  readonly folded: ReadonlySet<string>;
  /** Those that match the search. */
  readonly found: ReadonlySet<number> | undefined;
  readonly path: ReadonlySet<number>;
  readonly bySender: boolean;
  readonly onFold: (key: string) => void;
  readonly onSelect: (key: string) => void;
}

/** The waterfall of a trace. */
export function Waterfall(props: WaterfallProps): JSX.Element {
  const { layout, visible, current } = props;
  const { lines, from, to } = layout;
  const span = to - from;
  const ticks = ticksOf(span, 5);
  const place = (ms: number) => (span > 0 ? (ms - from) / span : 0);
  const ruler = (
    <div class="line ruler" aria-hidden="true">
      <div class="name" />
      <div class="lane">
        <div class="track">
          {ticks.map((tick) => (
            <span class="tick" key={tick} style={{ left: percent(span > 0 ? tick / span : 0) }}>
              {offset(tick, ticks[1] ?? span)}
            </span>
          ))}
        </div>
      </div>
    </div>
  );
  return (
    <section class="waterfall" aria-label="waterfall">
      <div class="line grid" aria-hidden="true">
        <div class="name" />
        <div class="lane">
          <div class="track">
            {ticks.map((tick) => (
              <span class="grid-line" key={tick} style={{ left: percent(span > 0 ? tick / span : 0) }} />
            ))}
          </div>
        </div>
      </div>
      <Rows
        count={visible.length}
        height={ROW_PX}
        current={visible.indexOf(current)}
        before={ruler}
        row={(at) => {
          const number = visible[at]!;
          return <LineView key={lines[number]!.span.key} number={number} place={place} {...props} />;
        }}
        attributes={{
          role: "tree",
          tabIndex: 0,
          "aria-label": "spans",
          "aria-activedescendant": current >= 0 ? `line-${current}` : undefined,
        }}
      />
    </section>
  );
}

function LineView(
  props: WaterfallProps & { readonly number: number; readonly place: (ms: number) => number },
): JSX.Element {
  const { layout, number, current, folded, found, path, onFold, onSelect } = props;
  const laid = layout.lines[number]!;
  const { span } = laid;
  const hasChildren = laid.end > number + 1;
  const isFolded = folded.has(span.key);
  const classes = [
    "line",
    number === current && "is-current",
    span.error !== null && "is-error",
    found && !found.has(number) && "is-dim",
    path.size > 0 && (path.has(number) ? "is-critical" : "is-dim"),
  ];
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the keys
    <div
      id={`line-${number}`}
      class={classes.filter(Boolean).join(" ")}
      role="treeitem"
      tabIndex={-1}
      aria-level={laid.depth + 1}
      aria-selected={number === current}
      aria-expanded={hasChildren ? !isFolded : undefined}
      onClick={() => onSelect(span.key)}
    >
      <div class="name" style={{ paddingLeft: `${8 + Math.min(laid.depth, MAX_INDENT) * INDENT_PX}px` }}>
        <span
          class="twist"
          aria-hidden="true"
          onClick={(event) => {
            if (!hasChildren) return;
            event.stopPropagation();
            onFold(span.key);
          }}
        >
          {hasChildren && <Arrow isOpen={!isFolded} />}
        </span>
        <Sender name={span.sender} />
        <bdi class="text">{line(span.name) || "(no name)"}</bdi>
        {span.error !== null && <ErrorSign />}
        {isFolded && <span class="pill">{laid.end - number - 1}</span>}
        {laid.orphaned && (
          <Pill short="?" why="its parent is missing">
            {laid.orphaned === "circle" ? "circle" : "parent missing"}
          </Pill>
        )}
        {span.cancelled && (
          <Pill short="×" why="its consumer went away">
            cancelled
          </Pill>
        )}
        {laid.isOtherClock && (
          <Pill short="≠" why="it starts before its parent">
            other clock
          </Pill>
        )}
        {laid.endsEarly && (
          <Pill short="<" why="it ends before it starts">
            backwards
          </Pill>
        )}
        {laid.isOtherProject && (
          <Pill short="P" why="its parent is in another project">
            other project
          </Pill>
        )}
        {span.sender !== layout.lines[laid.parent]?.span.sender && <bdi class="by">{line(span.sender, 60)}</bdi>}
      </div>
      <div class="lane">
        <Track line={laid} place={props.place} bySender={props.bySender} />
      </div>
    </div>
  );
}

function Track({
  line: laid,
  place,
  bySender,
}: {
  line: Line;
  place: (ms: number) => number;
  bySender: boolean;
}): JSX.Element {
  const { span, from, to, isOpen } = laid;
  const [left, right] = [place(from), place(to)];
  const width = right - left;
  const colour = bySender ? `sender-${senderColour(span.sender)}` : `type-${span.type}`;
  const within = (ms: number) => (to > from ? percent((ms - from) / (to - from)) : "0%");
  const isZero = !isOpen && to === from;
  const label = isOpen ? "open" : duration(to - from);
  const isLeft = right > LABEL_LEFT && left > 0.2;
  return (
    <div class="track">
      {isZero ? (
        <svg
          class={`zero ${colour}`}
          style={{ left: percent(left) }}
          viewBox="0 0 12 12"
          width="12"
          height="12"
          role="img"
          aria-label={describe(laid)}
        >
          <path d="M6 1l5 5-5 5-5-5z" />
        </svg>
      ) : (
        <span
          role="img"
          aria-label={describe(laid)}
          class={`bar ${colour}${isOpen ? " is-open" : ""}`}
          style={isOpen ? { left: percent(left) } : { left: percent(left), width: percent(width) }}
        >
          {laid.gaps.map(({ from: start, to: end }) => (
            <span
              class="gap"
              key={start}
              style={{ left: within(start), width: percent((end - start) / (to - from)) }}
            />
          ))}
          {span.ttft !== null && span.ttft < to - from && (
            <span class="first-token" style={{ left: within(from + span.ttft) }} />
          )}
        </span>
      )}
      <span
        class={`label${isLeft ? " is-left" : ""}`}
        style={isLeft ? { right: percent(1 - left) } : { left: percent(right) }}
      >
        {label}
      </span>
    </div>
  );
}

function percent(part: number): string {
  return `${Math.round(part * 1e6) / 1e4}%`;
}

/** Describes the bar in words. */
function describe({ span, gaps }: Line): string {
  return gaps.length > 0 ? `${span.type}, with gaps` : span.type;
}
