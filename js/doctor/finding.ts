// The result of one check.

import { printable } from "../errors.js";

/** A finding of the doctor. */
export interface Finding {
  /** The name of the check. */
  readonly check: string;
  /** `ok`: works; `note`: works, with a limit; `problem`: traces are lost or broken until it is fixed. */
  readonly level: "ok" | "note" | "problem";
  /** The result, in words. */
  readonly found: string;
  /** The remedy, in one line. */
  readonly fix?: string;
}

/** A check without a problem. */
export function ok(check: string, found: string): Finding {
  return { check, level: "ok", found: printable(found) };
}

/** A check that found a limit. */
export function note(check: string, found: string, fix: string): Finding {
  return { check, level: "note", found: printable(found), fix };
}

/** A check that found a problem. */
export function problem(check: string, found: string, fix: string): Finding {
  return { check, level: "problem", found: printable(found), fix };
}
