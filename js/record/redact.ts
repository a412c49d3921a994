// What must not be recorded, taken out while a value is written as JSON: by the name of a member, by a pattern
// in a text, or by the user's own function. Runs before anything is cut, sent or stored.

import type { Redact, RedactOptions } from "../settings.js";
import { knownAs, REDACTED } from "./json.js";

/** What is left out at the end of a text that was cut, in characters: half a secret matches nothing. */
const MARGIN = 4096;

/** The redactor that `options` ask for. Of a text patterns see `fieldBytes` characters and a margin. */
export function redactor(
  { keys = [], patterns = [], replace = (value) => value }: RedactOptions,
  fieldBytes: number,
): Redact {
  const names = new Set(keys.filter((key) => typeof key === "string").map((key) => key.toLowerCase()));
  // Without state of their own: one that is global remembers where it stopped.
  const namePatterns = keys.filter((key) => key instanceof RegExp).map((key) => withFlags(key, ""));
  const textPatterns = patterns.map((pattern) => withFlags(pattern, "g"));
  return (value, key) => {
    if (names.has(key.toLowerCase()) || namePatterns.some((pattern) => pattern.test(key))) return REDACTED;
    const replaced = replace(value, key);
    const shown = knownAs(replaced) ?? replaced;
    if (typeof shown !== "string" || textPatterns.length === 0) return shown;
    const seen = shown.slice(0, fieldBytes + 2 * MARGIN);
    const masked = textPatterns.reduce((text, pattern) => text.replace(pattern, REDACTED), seen);
    // So long that the core cuts it, and says how long it was.
    return seen === shown ? masked : masked.slice(0, -MARGIN).padEnd(shown.length);
  };
}

function withFlags({ source, flags }: RegExp, more: string): RegExp {
  return new RegExp(source, flags.replace(/[gy]/g, "") + more);
}
