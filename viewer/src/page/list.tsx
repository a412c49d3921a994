// All traces, newest first.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ListAnswer, TraceSummary } from "../api.js";
import { ask, onChange, pause } from "./data.js";
import { count, duration, line, time } from "./format.js";
import { ErrorSign, Notice, Rows, Sender } from "./parts.js";
import { hrefOf } from "./route.js";

const ROW_PX = 34;
/** Ends of the scale of durations, as powers of ten of a ms. */
const [SHORTEST, LONGEST] = [0, 5];

interface Listed {
  readonly traces: readonly TraceSummary[];
  readonly before: number | null;
}

/** The list. */
export function List(): JSX.Element {
  const [text, setText] = useState("");
  const [hasErrors, setErrors] = useState(false);
  const [isPaused, setPaused] = useState(false);
  const [listed, setListed] = useState<Listed>();
  const [fresh, setFresh] = useState<Listed>();
  const [error, setError] = useState<string>();
  const [cursor, setCursor] = useState(-1);
  const isAtTop = useRef(true);
  const search = useRef<HTMLInputElement>(null);
  const query = useMemo(() => {
    const fields = new URLSearchParams({ limit: "100" });
    if (text.trim() !== "") fields.set("q", text.trim());
    if (hasErrors) fields.set("error", "1");
    return fields.toString();
  }, [text, hasErrors]);

  const shown = useRef(listed);
  shown.current = listed;
  useEffect(() => {
    let isGone = false;
    const load = async (isFirst: boolean) => {
      try {
        const answer = await ask<ListAnswer>(`traces?${query}`);
        if (isGone) return;
        setError(undefined);
        const known = isFirst ? undefined : shown.current;
        if (!known || known.traces.length <= answer.traces.length) {
          // The list stays still for a reader further down: new traces wait for a click, known traces change in place.
          if (!known || isAtTop.current) return setListed(answer);
        }
        setFresh(answer);
        const byId = new Map(answer.traces.map((trace) => [trace.id, trace]));
        setListed({ ...known!, traces: known!.traces.map((trace) => byId.get(trace.id) ?? trace) });
      } catch (failed) {
        if (!isGone) setError((failed as Error).message);
      }
    };
    const timer = setTimeout(() => load(true), shown.current ? 150 : 0);
    setFresh(undefined);
    const stop = onChange(() => load(false));
    return () => {
      isGone = true;
      clearTimeout(timer);
      stop();
    };
  }, [query]);

  const more = async () => {
    if (!listed || listed.before === null) return;
    const { before, traces } = listed;
    setListed({ traces, before: null });
    const answer = await ask<ListAnswer>(`traces?${query}&before=${before}`);
    setListed({ traces: [...traces, ...answer.traces], before: answer.before });
  };
  const known = new Set(listed?.traces.map(({ id }) => id));
  const arrived = fresh ? fresh.traces.filter(({ id }) => !known.has(id)).length : 0;
  const showFresh = () => {
    setListed(fresh);
    setFresh(undefined);
    document.querySelector(".list .scroller")?.scrollTo({ top: 0 });
  };
  const traces = listed?.traces ?? [];
  const step = (by: number) => setCursor(Math.min(traces.length - 1, Math.max(0, cursor + by)));
  const keys: Record<string, () => void> = {
    ArrowDown: () => step(1),
    j: () => step(1),
    ArrowUp: () => step(-1),
    k: () => step(-1),
    PageDown: () => step(15),
    PageUp: () => step(-15),
    Home: () => step(-traces.length),
    End: () => step(traces.length),
    "/": () => search.current?.focus(),
    Enter: () => {
      const trace = traces[cursor];
      if (trace) location.hash = hrefOf(`trace/${trace.id}`);
    },
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement) {
      if (event.key === "Escape") (event.target as HTMLInputElement).blur();
      return;
    }
    if (event.target instanceof HTMLButtonElement && event.key === "Enter") return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  const nowMs = Date.now();
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys reach the list from wherever in the view they are pressed
    <div class="list" onKeyDown={onKey}>
      <section class="bands" aria-label="filter">
        <h1 class="hidden">Traces</h1>
        <div class="filter">
          <input
            ref={search}
            type="search"
            aria-label="search traces"
            placeholder="Search traces and their contents  /"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
          <label>
            <input
              type="checkbox"
              checked={hasErrors}
              onChange={({ currentTarget }) => setErrors(currentTarget.checked)}
            />
            with errors
          </label>
          <button
            type="button"
            class="link"
            aria-pressed={isPaused}
            onClick={() => {
              pause(!isPaused);
              setPaused(!isPaused);
            }}
          >
            {isPaused ? "paused: go on" : "pause"}
          </button>
          {arrived > 0 && (
            <button type="button" class="arrived" onClick={showFresh}>
              {arrived} new
            </button>
          )}
        </div>
      </section>
      {error !== undefined && <Notice isError>{error}</Notice>}
      {listed && traces.length === 0 && (text || hasErrors ? <Notice>No trace is like that.</Notice> : <Welcome />)}
      {traces.length > 0 && (
        <Rows
          count={traces.length}
          height={ROW_PX}
          current={cursor}
          onEnd={more}
          onScroll={(top) => {
            isAtTop.current = top === 0;
          }}
          before={
            <div class="row head" aria-hidden="true">
              <span>time</span>
              <span>trace</span>
              <span class="number">spans</span>
              <span class="number">errors</span>
              <span class="number">tokens</span>
              <span class="scale">duration</span>
            </div>
          }
          row={(at) => <Row key={traces[at]!.id} trace={traces[at]!} isCurrent={at === cursor} nowMs={nowMs} />}
          attributes={{ tabIndex: 0, role: "region", "aria-label": "traces" }}
        />
      )}
    </div>
  );
}

function Row({ trace, isCurrent, nowMs }: { trace: TraceSummary; isCurrent: boolean; nowMs: number }): JSX.Element {
  const { id, name, start, ms, spans, errors, tokens, thread, senders, projects, error } = trace;
  return (
    <a class={`row${isCurrent ? " is-current" : ""}${errors > 0 ? " is-error" : ""}`} href={hrefOf(`trace/${id}`)}>
      <span class="time">{time(start, nowMs)}</span>
      <span class="title">
        <span class="senders">
          {senders.map((sender) => (
            <Sender key={sender} name={sender} />
          ))}
        </span>
        <bdi class="text">{line(name) || "(no name)"}</bdi>
        {errors > 0 && <ErrorSign />}
        <span class="about">
          {[error, thread !== null && `thread ${line(thread, 20)}`, projects.join(", ")]
            .filter((one): one is string => Boolean(one))
            .map((one) => line(one, 60))
            .join(" · ")}
        </span>
      </span>
      <span class="number spans">{count(spans)}</span>
      <span class="number errors">{errors > 0 ? count(errors) : ""}</span>
      <span class="number tokens">{tokens > 0 ? count(tokens) : ""}</span>
      <span class="scale">
        {ms !== null && <span class="bar" style={{ width: `${widthOf(ms)}%` }} />}
        <span class="label">{ms === null ? "open" : duration(ms)}</span>
      </span>
    </a>
  );
}

/** On a scale of powers of ten, in percent. */
function widthOf(ms: number): number {
  const power = (Math.log10(Math.max(ms, 1)) - SHORTEST) / (LONGEST - SHORTEST);
  return Math.round(Math.min(1, power) * 1000) / 10;
}

/** Before anything has come. */
function Welcome(): JSX.Element {
  const url = `${location.origin}/api`;
  return (
    <div class="welcome">
      <h2>Waiting for the first trace</h2>
      <p>Set one variable where your code runs. opik-edge and the official SDKs of Opik read it.</p>
      <dl>
        <dt>A shell</dt>
        <dd>
          <code>OPIK_URL_OVERRIDE={url} your-command</code>
        </dd>
        <dt>A Worker, in .dev.vars</dt>
        <dd>
          <code>OPIK_URL_OVERRIDE={url}</code>
        </dd>
        <dt>Python</dt>
        <dd>
          <code>opik.configure(use_local=True, url_override="{location.origin}")</code>
        </dd>
      </dl>
      <p>Traces are listed here as they arrive. What Opik would refuse is under Refusals.</p>
    </div>
  );
}
