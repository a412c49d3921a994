// What a look at one thing has found.

import { printable } from "../errors.js";

/** What the doctor has found. */
export interface Finding {
  /** What was looked at. */
  readonly check: string;
  /** `ok`; `note`: works, with a limit; `problem`: traces are lost or broken until it is fixed. */
  readonly level: "ok" | "note" | "problem";
  /** What is the case. */
  readonly found: string;
  /** What to do about it, in one line. */
  readonly fix?: string;
}

/** All is well. */
export function ok(check: string, found: string): Finding {
  return { check, level: "ok", found: printable(found) };
}

/** It works, with a limit. */
export function note(check: string, found: string, fix: string): Finding {
  return { check, level: "note", found: printable(found), fix };
}

/** Something has to be done. */
export function problem(check: string, found: string, fix: string): Finding {
  return { check, level: "problem", found: printable(found), fix };
}
