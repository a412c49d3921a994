// Shows a value as a tree. Closed branches cost nothing.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { count, line } from "./format.js";

/** Number of members before a button shows more. */
const PAGE = 100;
/** Number of characters before a button shows the rest. */
const MAX_TEXT = 2000;
/** Small things are open from the beginning. */
const OPEN_MEMBERS = 30;

/** A value. */
export function Json({ value, name, depth = 0 }: { value: unknown; name?: string; depth?: number }): JSX.Element {
  const label = name !== undefined && <span class="member">{line(name, 100)}</span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div class="leaf">
        {label}
        <Scalar value={value} />
      </div>
    );
  }
  return <Branch value={value} label={label} depth={depth} />;
}

function Branch({ value, label, depth }: { value: object; label: JSX.Element | false; depth: number }): JSX.Element {
  const members: [string, unknown][] = Array.isArray(value)
    ? value.map((member, at) => [String(at), member])
    : Object.entries(value);
  const [isOpen, setOpen] = useState(depth < 3 && members.length <= OPEN_MEMBERS);
  const [shown, setShown] = useState(PAGE);
  const size = Array.isArray(value) ? `[${count(members.length)}]` : `{${count(members.length)}}`;
  return (
    <div class="branch">
      <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <Arrow isOpen={isOpen} />
        {label}
        <span class="size">{size}</span>
      </button>
      {isOpen && (
        <div class="members">
          {members.slice(0, shown).map(([name, member]) => (
            <Json key={name} name={name} value={member} depth={depth + 1} />
          ))}
          {members.length > shown && (
            <button type="button" class="more" onClick={() => setShown(shown + 10 * PAGE)}>
              {count(members.length - shown)} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Scalar({ value }: { value: unknown }): JSX.Element {
  if (typeof value === "string") return <Text text={value} />;
  return <span class="scalar">{String(value)}</span>;
}

/** A text, of which a long one shows its beginning. */
export function Text({ text }: { text: string }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  const rest = text.length - MAX_TEXT;
  return (
    <span class="text">
      {isWhole ? text : text.slice(0, MAX_TEXT)}
      {rest > 0 && !isWhole && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          show all, {count(rest)} characters more
        </button>
      )}
    </span>
  );
}

/** The arrow of a branch. */
export function Arrow({ isOpen }: { isOpen: boolean }): JSX.Element {
  return (
    <svg class="arrow" viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
      <path d={isOpen ? "M1 3h8L5 8z" : "M3 1v8l5-4z"} />
    </svg>
  );
}
