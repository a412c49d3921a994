// The page. The link selects the view.

import { type JSX, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Status } from "../api.js";
import { Compare } from "./compare-view.js";
import { useAnswer } from "./data.js";
import { count, line } from "./format.js";
import { List } from "./list.js";
import { RefusalsView } from "./refusals.js";
import { hrefOf, routeOf } from "./route.js";
import { Thread } from "./thread.js";
import { TraceView } from "./trace.js";

function Page(): JSX.Element {
  const [route, setRoute] = useState(routeOf(location.hash));
  const [isHelpShown, setHelp] = useState(false);
  const { data: status, error } = useAnswer<Status>("status");
  useEffect(() => {
    const follow = () => setRoute(routeOf(location.hash));
    const onKey = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement || !event.isTrusted) return;
      if (event.key === "?") setHelp((isShown) => !isShown);
      if (event.key === "Escape") setHelp(false);
      // Keys belong to the view, also before anything in it was clicked.
      if (event.target === document.body) {
        const view = document.querySelector<HTMLElement>("[role=tree], .list .scroller");
        view?.dispatchEvent(new KeyboardEvent("keydown", { key: event.key, bubbles: true, cancelable: true }));
        if (event.key === "/") event.preventDefault();
      }
    };
    addEventListener("hashchange", follow);
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("hashchange", follow);
      removeEventListener("keydown", onKey);
    };
  }, []);
  const { view, parts } = route;
  const [first = "", second] = parts;
  useEffect(() => {
    document.title = view === "" ? "Traces" : `${view} ${first.slice(0, 13)}`;
  }, [view, first]);
  return (
    <>
      <nav aria-label="views">
        <a href={hrefOf("")} aria-current={view === "" ? "page" : undefined}>
          Traces
        </a>
        <a href={hrefOf("refusals")} aria-current={view === "refusals" ? "page" : undefined}>
          Refusals{status && status.refusals > 0 ? <span class="badge">{count(status.refusals)}</span> : null}
        </a>
        <span class="status" role="status">
          {error !== undefined ? "the viewer does not answer" : status && <Held status={status} />}
        </span>
        <button type="button" class="link" aria-expanded={isHelpShown} onClick={() => setHelp(!isHelpShown)}>
          keys
        </button>
      </nav>
      <main>
        {view === "trace" ? (
          <TraceView key={first} id={first} selected={second} />
        ) : view === "thread" || view === "thread-of" ? (
          <Thread key={first} id={first} isTrace={view === "thread-of"} />
        ) : view === "compare" ? (
          <Compare key={parts.join()} ids={[first, second ?? ""]} />
        ) : view === "refusals" ? (
          <RefusalsView />
        ) : (
          <List />
        )}
      </main>
      {isHelpShown && <Help onClose={() => setHelp(false)} />}
    </>
  );
}

function Held({ status: { spans, dropped, file, forward } }: { status: Status }): JSX.Element {
  return (
    <>
      {count(spans)} {spans === 1 ? "span" : "spans"} in {file === null ? "memory" : line(file, 60)}
      {dropped > 0 && `, the oldest ${count(dropped)} traces dropped`}
      {forward &&
        `, passed on to ${line(forward.url, 60)}: ${count(forward.accepted)} accepted, ${count(forward.failed)} failed`}
    </>
  );
}

const KEYS: readonly [string, string][] = [
  ["↑ ↓, j k", "line up, down"],
  ["← →, h l", "fold or to the parent, unfold"],
  ["Enter, Esc", "open, close the detail"],
  ["Home, End", "first, last line"],
  ["e", "next error"],
  ["/, n", "search, next that is found"],
  ["c", "copy the headers of the span"],
  ["?", "these keys"],
];

function Help({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <section class="help" aria-label="keys">
      <header>
        <h2>Keys</h2>
        <button type="button" class="close" onClick={onClose} aria-label="close the keys">
          ×
        </button>
      </header>
      <dl class="table">{KEYS.map(([key, what]) => [<dt key={key}>{key}</dt>, <dd key={what}>{what}</dd>])}</dl>
    </section>
  );
}

render(<Page />, document.body);
