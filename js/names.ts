// Checks the names of options, settings and fields. A misspelt name has no other symptom, so it is reported. Objects that may
// belong to one of the host's classes (a transport, an observer, a `parent`) are not checked.

import { isObject, OpikError, type OpikErrorCode, Reporter } from "./errors.js";

/** Longest part of a name that a message quotes. */
const MAX_NAME_CHARS = 60;

/** A table of the names of `T`; the compiler requires each of them. */
export type Names<T> = { readonly [name in keyof Required<T>]: unknown };

/**
 * One sentence for each member of `given` that `known` lacks: `modle is no field of a span: did you mean model?`. `what` is the
 * kind of member, and `path` precedes each name. One sentence if `given` is not an object; none if it is missing or unreadable.
 */
export function unknownNames(given: unknown, what: string, known: object, path = ""): string[] {
  try {
    if ((given ?? undefined) === undefined) return []; // JavaScript callers may pass null
    if (!isObject(given))
      return [`${path.replace(".", ": ")}expected an object, got ${typeof given}, which has no ${what}`];
    return Object.keys(given)
      .filter((name) => !Object.hasOwn(known, name))
      .map((name) => {
        const near = nearest(name, Object.keys(known));
        return `${path}${name.slice(0, MAX_NAME_CHARS)} is no ${what}${near ? `: did you mean ${path}${near}?` : ""}`;
      });
  } catch {
    return []; // a revoked proxy
  }
}

let nobody: Reporter | undefined;

/** The reporter for code without a client: it writes to `console.warn`. */
export function ofNobody(): Reporter {
  nobody ??= new Reporter();
  return nobody;
}

/** The reasons for disabled tracing that were already reported. */
const off = new Set<string>();

/** Reports why tracing is off; without a listener, each reason once on the console, for all handlers together. */
export function tellOff(error: unknown, listener?: Reporter): void {
  const message = error instanceof Error ? error.message : String(error);
  if (!listener && off.has(message)) return;
  off.add(message);
  (listener ?? ofNobody()).once("invalid_config", `tracing is off: ${message}`, error, listener ? "" : message);
}

/** Reports each unknown name once; without a client, to `console.warn`. */
export function tellUnknown(
  reporter: Reporter | undefined = ofNobody(),
  given: unknown,
  what: string,
  known: object,
  code: OpikErrorCode = "invalid_config",
): void {
  for (const sentence of unknownNames(given, what, known)) {
    reporter.once(code, sentence, undefined, sentence);
  }
}

/** Throws an `OpikError` (`invalid_config`) for the first unknown name: for options that restrict access. */
export function refuseUnknown(given: unknown, what: string, known: object, path = ""): void {
  const [sentence] = unknownNames(given, what, known, path);
  if (sentence) throw new OpikError("invalid_config", sentence);
}

/**
 * The name most similar to `name`. Two names are similar if they have the same letters, or if one contains the letters of the
 * other in order and is at most three times as long. Finds `model` for `modle`, `url` for `apiUrl` and `projectName` for
 * `projctName`.
 */
export function nearest(name: string, known: string[]): string | undefined {
  const letters = (text: string): string[] => text.toLowerCase().match(/[a-z]/g) ?? [];
  const isIn = (part: string, whole: string): boolean =>
    part.length * 3 >= whole.length && RegExp(letters(part).join(".*")).test(letters(whole).join(""));
  const sorted = (text: string): string => `${letters(text).sort()}`;
  const more = (one: string): number => Math.abs(one.length - name.length);
  return known
    .filter((one) => isIn(one, name) || isIn(name, one) || sorted(one) === sorted(name))
    .sort((a, b) => more(a) - more(b))[0];
}
