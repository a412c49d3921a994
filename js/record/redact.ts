// Removes secrets while a value is written as JSON: by the name of a member, by a pattern in a text, or by the user's own
// function. This happens before a value is cut, sent or stored.

import { invalid } from "../errors.js";
import type { Redact, RedactOptions } from "../settings.js";
import { knownAs, REDACTED } from "./json.js";

/** Characters removed from the end of a cut text, because a pattern does not match half a secret. */
const MARGIN = 4096;

const isText = (value: unknown): value is string => typeof value === "string";
const isPattern = (value: unknown): value is RegExp => value instanceof RegExp;

function checkList(name: string, list: unknown, what: string, is: (value: unknown) => boolean): void {
  if (!Array.isArray(list) || !list.every(is)) throw invalid(`redact.${name}`, `an array of ${what}`, list);
}

/**
 * The redactor for `options`. Throws an `OpikError` (`invalid_config`) if an option has the wrong type. Patterns see
 * `fieldBytes` characters of a text and a margin.
 */
export function redactor(options: RedactOptions, fieldBytes: number): Redact {
  const keys = options.keys ?? []; // JavaScript callers may pass null
  const patterns = options.patterns ?? [];
  const replace = options.replace ?? ((value) => value);
  checkList("keys", keys, "texts and regular expressions", (key) => isText(key) || isPattern(key));
  checkList("patterns", patterns, "regular expressions", isPattern);
  if (typeof replace !== "function") throw invalid("redact.replace", "a function", replace);
  const names = new Set(keys.filter(isText).map((key) => key.toLowerCase()));
  // Without the flags `g` and `y`: such a pattern remembers where it stopped.
  const namePatterns = keys.filter(isPattern).map((key) => withFlags(key, ""));
  const textPatterns = patterns.map((pattern) => withFlags(pattern, "g"));
  return (value, key) => {
    if (names.has(key.toLowerCase()) || namePatterns.some((pattern) => pattern.test(key))) return REDACTED;
    const replaced = replace(value, key);
    const shown = knownAs(replaced) ?? replaced;
    if (typeof shown !== "string" || textPatterns.length === 0) return shown;
    const seen = shown.slice(0, fieldBytes + 2 * MARGIN);
    const masked = textPatterns.reduce((text, pattern) => text.replace(pattern, REDACTED), seen);
    // Padded, so that the core cuts it and reports its original length.
    return seen === shown ? masked : masked.slice(0, -MARGIN).padEnd(shown.length);
  };
}

function withFlags({ source, flags }: RegExp, more: string): RegExp {
  return new RegExp(source, flags.replace(/[gy]/g, "") + more);
}
