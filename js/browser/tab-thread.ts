// The conversation of a tab: an id in sessionStorage, which is separate for each tab and survives a reload.

import { type Names, tellUnknown } from "../names.js";
import { isBrowser, now, randomBytes } from "../platform/env.js";

/** Options of `tabThreadId`. */
export interface TabThreadOptions {
  /** A new conversation begins after this time without a call, in ms (default 30 minutes). */
  readonly idleMs?: number | undefined;
  /** `true` begins a new conversation now. */
  readonly renew?: boolean | undefined;
}

const OPTIONS: Names<TabThreadOptions> = { idleMs: 0, renew: 0 };
const IDLE_MS = 30 * 60 * 1000;
const KEY = "opik-edge thread";

/** Replaces sessionStorage where it is missing. */
let inMemory: string | undefined;

/**
 * The id of this tab's conversation, for `threadId`. It stays the same, even after reloads, until this function has not
 * been called for `idleMs`. `undefined` outside pages, where one module serves many users.
 *
 * @example
 * ```ts
 * import { Opik, tabThreadId } from "opik-edge";
 *
 * const opik = new Opik({ relayUrl: "/opik" });
 *
 * export function ask(question: string) {
 *   const span = opik.span({ name: "ask", input: { question }, threadId: tabThreadId() });
 *   return span.fetch("/chat", { method: "POST", body: question }).finally(() => span.end());
 * }
 * ```
 */
export function tabThreadId(options?: TabThreadOptions): string | undefined {
  if (!isBrowser()) return undefined;
  tellUnknown(undefined, options, "option of tabThreadId", OPTIONS);
  const { idleMs, renew = false } = options ?? {}; // JavaScript callers may pass null
  const most = typeof idleMs === "number" && idleMs >= 0 ? idleMs : IDLE_MS;
  const [id, askedMs] = read()?.split(" ") ?? [];
  const isOver = renew || !id || !(now() - Number(askedMs) <= most);
  const current = isOver ? newId() : id;
  write(`${current} ${now()}`);
  return current;
}

function newId(): string {
  return Array.from(randomBytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function read(): string | undefined {
  try {
    return sessionStorage.getItem(KEY) ?? inMemory;
  } catch {
    return inMemory; // forbidden
  }
}

function write(text: string): void {
  inMemory = text;
  try {
    sessionStorage.setItem(KEY, text);
  } catch {
    // Forbidden, or full.
  }
}
