// Parts of several views.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { line } from "./format.js";

/** Copies a text, and confirms it. */
export function Copy({ text, children }: { text: string; children: ComponentChildren }): JSX.Element {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="copy" onClick={copy}>
      {isDone ? "copied" : children}
    </button>
  );
}

const SENDER_COLOURS = 6;

/** The number of a sender's colour. The browser remembers the last ones, so that a reload or a link changes none. */
export function senderColour(sender: string): number {
  const known = colours.get(sender);
  if (known !== undefined) return known;
  let colour =
    Array.from(sender).reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)!) % 9973, 7) % SENDER_COLOURS;
  const taken = new Set(colours.values());
  while (taken.size < SENDER_COLOURS && taken.has(colour)) colour = (colour + 1) % SENDER_COLOURS;
  colours.set(sender, colour);
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify([...colours].slice(-SENDER_COLOURS)));
  } catch {
    // The browser stores nothing.
  }
  return colour;
}

const REMEMBERED = "sender-colours";
const colours = new Map<string, number>(remembered());

function remembered(): [string, number][] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(REMEMBERED) ?? "[]");
    const isPair = (one: unknown): one is [string, number] =>
      Array.isArray(one) && typeof one[0] === "string" && one[1] >= 0 && one[1] < SENDER_COLOURS;
    return Array.isArray(stored) ? stored.filter(isPair) : [];
  } catch {
    return [];
  }
}

/** The square of a sender. */
export function Sender({ name }: { name: string }): JSX.Element {
  return <span class={`sender sender-${senderColour(name)}`} role="img" aria-label={line(name)} title={line(name)} />;
}

/** A word in a frame, with the reason as its title. */
export function Pill({ children, why, short }: { children: string; why?: string; short?: string }): JSX.Element {
  return (
    <span class="pill" title={why}>
      <span class="wide">{children}</span>
      {short !== undefined && (
        <span class="narrow" aria-hidden="true">
          {short}
        </span>
      )}
    </span>
  );
}

/** The sign of an error. */
export function ErrorSign(): JSX.Element {
  return (
    <span class="error-sign" role="img" aria-label="error">
      !
    </span>
  );
}

/** A key and its value. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <span class="fact">
      <span class="key">{name}</span> {children}
    </span>
  );
}

/** A message in place of content. */
export function Notice({ children, isError }: { children: ComponentChildren; isError?: boolean }): JSX.Element {
  return (
    <div class={isError ? "notice is-error" : "notice"} role={isError ? "alert" : "status"}>
      {children}
    </div>
  );
}

/** Properties of `Rows`. */
export interface RowsProps {
  readonly count: number;
  /** Of a row, in px. */
  readonly height: number;
  readonly row: (at: number) => JSX.Element;
  /** The number of the row that has to be seen. */
  readonly current?: number;
  readonly before?: ComponentChildren;
  readonly onEnd?: (() => void) | undefined;
  readonly onScroll?: (top: number) => void;
  /** Of the scrolling element. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** Rows of one height, of which only those are elements that can be seen. */
export function Rows({ count, height, row, current, before, onEnd, onScroll, attributes }: RowsProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const measure = () => {
    if (!scroller.current) return;
    const { scrollTop, clientHeight } = scroller.current;
    setView((known) =>
      known.top === scrollTop && known.height === clientHeight ? known : { top: scrollTop, height: clientHeight },
    );
  };
  useEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(view.top / height) - 8);
  const last = Math.min(count, Math.ceil((view.top + view.height) / height) + 8);
  useLayoutEffect(() => {
    const element = scroller.current!;
    if (current === undefined || current < 0) return;
    const head = element.firstElementChild?.clientHeight ?? 0;
    const top = current * height;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + height + head > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + height + head - element.clientHeight;
    }
  }, [current]);
  useEffect(() => {
    if (last >= count) onEnd?.();
  }, [last, count]);
  const shown = [];
  for (let at = first; at < last; at += 1) shown.push(row(at));
  const scrolled = () => {
    measure();
    if (scroller.current) onScroll?.(scroller.current.scrollTop);
  };
  return (
    <div class="scroller" ref={scroller} onScroll={scrolled} {...attributes}>
      <div class="rows-head">{before}</div>
      <div class="rows" role="presentation" style={{ height: `${count * height}px` }}>
        <div class="shown" role="presentation" style={{ transform: `translateY(${first * height}px)` }}>
          {shown}
        </div>
      </div>
    </div>
  );
}
