// A trace: its numbers, its waterfall, and the row that is selected.

import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { ListAnswer, TraceAnswer } from "../api.js";
import { useAnswer } from "./data.js";
import { Detail, headersOf } from "./detail.js";
import { cost, count, duration, line } from "./format.js";
import { criticalPath, type Layout, layout, visibleLines } from "./layout.js";
import { Fact, Notice, Sender } from "./parts.js";
import { hrefOf, hrefOfThread } from "./route.js";
import { Waterfall } from "./waterfall.js";

const NO_LINES: ReadonlySet<number> = new Set();

/** The view of a trace. `selected` is the key of a row, and "trace" the trace's own. */
export function TraceView({
  id,
  selected,
}: {
  readonly id: string;
  readonly selected: string | undefined;
}): JSX.Element {
  const path = `traces/${encodeURIComponent(id)}`;
  const { data, error } = useAnswer<TraceAnswer>(path, ({ traces }) => traces === null || traces.includes(id));
  if (error !== undefined) {
    return (
      <Notice isError>
        {error}. It may have made room for newer ones. <a href={hrefOf("")}>All traces</a>
      </Notice>
    );
  }
  return data ? <Loaded data={data} selected={selected} /> : <Notice>…</Notice>;
}

function Loaded({ data, selected }: { data: TraceAnswer; selected: string | undefined }): JSX.Element {
  const { summary, traces } = data;
  const laid = useMemo(() => layout(data), [data]);
  const { lines } = laid;
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const visible = useMemo(() => visibleLines(lines, folded), [lines, folded]);
  const [text, setText] = useState("");
  const [bySender, setBySender] = useState(false);
  const [showsPath, setShowsPath] = useState(false);
  const [isKeyShown, setKeyShown] = useState(false);
  const [cursor, setCursor] = useState<string | undefined>(selected);
  const search = useRef<HTMLInputElement>(null);
  const found = useMemo(() => find(laid, text), [laid, text]);
  const path = useMemo(() => (showsPath ? criticalPath(laid) : NO_LINES), [laid, showsPath]);

  const current = lines.findIndex(({ span }) => span.key === (selected ?? cursor));
  const line0 = selected === undefined ? undefined : lines[current];
  const own = selected === "trace" ? traces[0] : undefined;
  const go = (key: string | undefined) => {
    location.replace(hrefOf(`trace/${summary.id}${key === undefined ? "" : `/${encodeURIComponent(key)}`}`));
  };
  const move = (at: number | undefined) => {
    const key = at === undefined ? undefined : lines[at]?.span.key;
    if (key === undefined) return;
    reveal(at!);
    setCursor(key);
    if (selected !== undefined) go(key);
  };
  const reveal = (at: number) => {
    const hidden: string[] = [];
    for (let above = lines[at]!.parent; above >= 0; above = lines[above]!.parent) {
      if (folded.has(lines[above]!.span.key)) hidden.push(lines[above]!.span.key);
    }
    if (hidden.length > 0) setFolded(new Set([...folded].filter((key) => !hidden.includes(key))));
  };
  const fold = (key: string, isFolded = !folded.has(key)) => {
    const next = new Set(folded);
    if (isFolded) next.add(key);
    else next.delete(key);
    setFolded(next);
  };
  const step = (by: number) => {
    const at = visible.indexOf(current);
    move(visible[Math.min(visible.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
  };
  const nextOf = (matches: (at: number) => boolean) => {
    for (let by = 1; by <= lines.length; by += 1) {
      const at = (Math.max(current, -1) + by) % lines.length;
      if (matches(at)) return move(at);
    }
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    j: () => step(1),
    k: () => step(-1),
    PageDown: () => step(20),
    PageUp: () => step(-20),
    Home: () => step(-lines.length),
    End: () => step(lines.length),
    ArrowRight: () =>
      lines[current] && folded.has(lines[current].span.key) ? fold(lines[current].span.key, false) : step(1),
    ArrowLeft: () => {
      const laidLine = lines[current];
      if (!laidLine) return;
      const hasShown = laidLine.end > current + 1 && !folded.has(laidLine.span.key);
      if (hasShown) fold(laidLine.span.key, true);
      else if (laidLine.parent >= 0) move(laidLine.parent);
    },
    l: () => keys["ArrowRight"]!(),
    h: () => keys["ArrowLeft"]!(),
    Enter: () => go(lines[current]?.span.key),
    Escape: () => go(undefined),
    e: () => nextOf((at) => lines[at]!.span.error !== null),
    n: () => nextOf((at) => found?.has(at) ?? false),
    c: () => {
      if (lines[current]) navigator.clipboard.writeText(headersOf(summary.id, lines[current].span.id));
    },
    "/": () => search.current?.focus(),
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target instanceof HTMLInputElement;
    if (isTyping && event.key === "Enter") nextOf((at) => found?.has(at) ?? false);
    if (isTyping && event.key === "Escape") (event.target as HTMLInputElement).blur();
    const isButton = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
    if (isTyping || (isButton && event.key === "Enter")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  const zeros = lines.filter(
    ({ span }) => isWorker(span.sender) && span.end !== null && span.end === span.start,
  ).length;
  const senders = [...new Set(lines.map(({ span }) => span.sender))].filter(Boolean);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys reach the tree from wherever in the view they are pressed
    <div class={`trace${line0 || own ? " has-detail" : ""}`} onKeyDown={onKey}>
      <section class="bands" aria-label="about the trace">
        <div class="summary">
          <h1>
            <bdi>{line(summary.name) || "(no name)"}</bdi>
          </h1>
          <Fact name="duration">
            <strong>{summary.ms === null ? "open" : duration(summary.ms)}</strong>
          </Fact>
          <Fact name="spans">
            <strong>{count(summary.spans)}</strong>
          </Fact>
          {summary.errors > 0 && (
            <Fact name="errors">
              <strong class="is-error">{count(summary.errors)}</strong>
            </Fact>
          )}
          {summary.tokens > 0 && (
            <Fact name="tokens">
              <strong>{count(summary.tokens)}</strong>
            </Fact>
          )}
          {summary.cost > 0 && (
            <Fact name="cost">
              <strong>{cost(summary.cost)}</strong>
            </Fact>
          )}
          {summary.thread !== null && (
            <Fact name="thread">
              <a href={hrefOfThread(summary)}>{line(summary.thread, 60)}</a>
            </Fact>
          )}
          <Fact name="project">
            <strong>{summary.projects.map((name) => line(name, 60)).join(", ")}</strong>
          </Fact>
          {traces.length > 0 ? (
            <button type="button" class="link" onClick={() => go("trace")}>
              trace row
            </button>
          ) : (
            <span class="hint-inline">no trace row yet: its caller writes it</span>
          )}
          <Before summary={summary} />
          <a href={`/api/viewer/export?trace=${encodeURIComponent(summary.id)}`} download>
            export
          </a>
        </div>
        <div class="filter">
          <input
            ref={search}
            type="search"
            aria-label="search spans"
            placeholder="Search spans  /"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
          {found && (
            <span role="status">
              {count(found.size)} found{found.size > 0 ? ", Enter goes on" : ""}
            </span>
          )}
          <button
            type="button"
            class="key-button link"
            aria-expanded={isKeyShown}
            onClick={() => setKeyShown(!isKeyShown)}
          >
            key
          </button>
          <div class={`legend${isKeyShown ? " is-shown" : ""}`}>
            {senders.map((sender) => (
              <span key={sender}>
                <Sender name={sender} /> {line(sender, 60)}
              </span>
            ))}
            <span class="rule" />
            {["general", "llm", "tool", "guardrail"].map((type) => (
              <span key={type}>
                <span class={`type type-${type}`} /> {type}
              </span>
            ))}
            <button type="button" class="link" aria-pressed={bySender} onClick={() => setBySender(!bySender)}>
              {bySender ? "bars by type" : "bars by service"}
            </button>
            <button type="button" class="link" aria-pressed={showsPath} onClick={() => setShowsPath(!showsPath)}>
              critical path
            </button>
          </div>
        </div>
        {zeros > 0 && (
          <p class={`hint${isKeyShown ? " is-shown" : ""}`}>
            <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
              <path d="M6 1l5 5-5 5-5-5z" fill="none" stroke="currentColor" stroke-width="1.4" />
            </svg>
            {zeros === 1 ? "1 span reads" : `${count(zeros)} spans read`} 0 ms: shorter than a millisecond, or pure
            computation, during which a Worker’s clock stands still. {zeros > 1 && "Their order is true."}
          </p>
        )}
      </section>
      <div class="panes">
        <Waterfall
          layout={laid}
          visible={visible}
          current={current}
          folded={folded}
          found={found}
          path={path}
          bySender={bySender}
          onFold={fold}
          onSelect={(key) => {
            setCursor(key);
            go(key);
          }}
        />
        {line0 && (
          <Detail
            key={line0.span.key}
            trace={summary.id}
            row={line0.span}
            line={line0}
            from={laid.from}
            onClose={() => go(undefined)}
          />
        )}
        {own && <Detail trace={summary.id} row={own} line={undefined} from={laid.from} onClose={() => go(undefined)} />}
      </div>
    </div>
  );
}

/** The link that compares the trace with the last earlier trace of its name. */
function Before({ summary: { id, n, name } }: { summary: TraceAnswer["summary"] }): JSX.Element | null {
  const { data } = useAnswer<ListAnswer>(
    `traces?name=${encodeURIComponent(name.toWellFormed())}&before=${n}&limit=1`,
    () => false,
  );
  const before = data?.traces[0];
  return before ? <a href={hrefOf(`compare/${before.id}/${id}`)}>compare with the one before</a> : null;
}

/** `true` if the sender's clock stands still during computation. */
export function isWorker(sender: string): boolean {
  return /(?:^|· )(?:workerd|Worker)$/.test(sender);
}

function find({ lines }: Layout, text: string): Set<number> | undefined {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return undefined;
  const found = new Set<number>();
  lines.forEach(({ span }, at) => {
    const { name, type, error, model, provider, sender, id } = span;
    if ([name, type, error, model, provider, sender, id].some((one) => one?.toLowerCase().includes(wanted)))
      found.add(at);
  });
  return found;
}
