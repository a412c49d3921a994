// The names of everything that the public API takes as an object. A member of another name does nothing, so it is reported: a
// typo has no other symptom. What may be an object of the host's own class (a transport, an observer, a `parent`) is not looked at.

import { isObject, OpikError, type OpikErrorCode, Reporter } from "./errors.js";

/** As much of a name as is told. */
const MAX_NAME_CHARS = 60;

/** A table of the names of `T`; the compiler asks for each. */
export type Names<T> = { readonly [name in keyof Required<T>]: unknown };

/**
 * A sentence for each member of `given` that `known` does not have: "modle is no field of a span: did you mean model?". `what` says
 * what its members are, `path` stands before each name. One sentence where `given` is no object, none where it is missing or can not
 * be read.
 */
export function unknownNames(given: unknown, what: string, known: object, path = ""): string[] {
  try {
    if ((given ?? undefined) === undefined) return []; // JavaScript may say null
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

/** Reports where no client is at hand: by `console.warn`. */
export function ofNobody(): Reporter {
  nobody ??= new Reporter();
  return nobody;
}

/** Why tracing is off somewhere, as the host was told. */
const off = new Set<string>();

/** Says why tracing is off: where nobody listens, the console is told of each reason once, whoever is off for it. */
export function tellOff(error: unknown, listener?: Reporter): void {
  const message = error instanceof Error ? error.message : String(error);
  if (!listener && off.has(message)) return;
  off.add(message);
  (listener ?? ofNobody()).once("invalid_config", `tracing is off: ${message}`, error, listener ? "" : message);
}

/** Reports each such sentence once; without a client at hand, by `console.warn`. */
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

/** Throws an `OpikError` (`invalid_config`) where there is such a sentence: of options that keep somebody out. */
export function refuseUnknown(given: unknown, what: string, known: object, path = ""): void {
  const [sentence] = unknownNames(given, what, known, path);
  if (sentence) throw new OpikError("invalid_config", sentence);
}

/**
 * The name that is most like `name`: of the same letters, or one that has those of the other in their order and is at most three
 * times as long. Finds `model` for `modle`, `url` for `apiUrl` and `projectName` for `projctName`.
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
