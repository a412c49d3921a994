// The conversation of a tab: an id in sessionStorage, which each tab has for itself and which survives a reload.

import { type Names, tellUnknown } from "../names.js";
import { isBrowser, now, randomBytes } from "../platform/env.js";

/** Options of `tabThreadId`. */
export interface TabThreadOptions {
  /** After how long without a call a new conversation begins, in ms (default 30 minutes). */
  readonly idleMs?: number | undefined;
  /** `true` begins a new one now. */
  readonly renew?: boolean | undefined;
}

const OPTIONS: Names<TabThreadOptions> = { idleMs: 0, renew: 0 };
const IDLE_MS = 30 * 60 * 1000;
const KEY = "opik-edge thread";

/** Where there is no sessionStorage: in this page's memory. */
let inMemory: string | undefined;

/**
 * The id of this tab's conversation, for `threadId`: the same until nobody has asked for it for `idleMs`, reloads included.
 * `undefined` off a page, where one module serves many users.
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
  const { idleMs, renew = false } = options ?? {}; // JavaScript may say null
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
