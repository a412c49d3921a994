// Says in words which field of a row was cut or left out, and why. What is done about it is the core's to decide (src/span.rs,
// src/cut.rs).

import { GUIDE } from "../errors.js";
import { SPAN_ROW } from "../platform/core.js";
import type { Row } from "../platform/model.js";
import type { Settings } from "../settings.js";

/** The fields of a row's text in their order; "" of those that a message has no use for. */
const FIELDS =
  ",,,name,type,tags,model,provider,usage,totalEstimatedCost,ttft,,error,error,threadId,,,metadata,input,output";
/** What the API would refuse in a field's JSON: all of it, or an entry. */
const WRONG: Record<string, RegExp> = {
  type: /^(?!"(general|tool|llm|guardrail)"$|null).+/s,
  tags: /^[^[n].*|(?<=^\[("(\\.|[^"\\])*",)*)[^"\]].*/s,
  usage: /"(\\.|[^"\\])*":(?!(-?[12]?\d{1,9}|null)[,}]|{)[^,}]*|^[^{n].*/s,
  totalEstimatedCost: /^[^\dn].*/s,
  ttft: /^[^\dn].*/s,
};
/** Characters that are told of a name, or of a value. */
const MAX_CHARS = 60;
/** How much of a value is looked through. */
const MAX_CHECKED_CHARS = 9999;
/** Texts that may be secrets. */
const LONG = /"[^"]{13,}("(?!:)|$)/g;

/** Told a sentence of a field. */
export type Tell = (field: string, sentence: string) => void;

/** Tells why a row was cut. `firstCut` is as the core gives it. */
export function explainCut(row: Row, firstCut: number, limits: Settings["limits"], tell: Tell): void {
  const [texts, names, of] = partsOf(row);
  const at = firstCut & 31;
  const limit = firstCut < 32 ? "fieldBytes" : row.room < limits.rowBytes ? "traceBytes" : "rowBytes";
  const name = limit === "rowBytes" ? "spanBytes" : limit;
  const why = firstCut > 63 ? "base64 is kept up to 64 KB" : `raise limits.${name} (${limits[limit]})`;
  tell(names[at] as string, `${names[at]}${of} was cut from ${texts[at]?.length} characters: ${why}, or record less`);
}

/** Tells of entries that the API would refuse, and that were left out of a row. */
export function explainLeftOut(row: Row, tell: Tell): void {
  const [texts, names, of] = partsOf(row);
  let isTold = false;
  const say = (field: string, got = "too much"): void => {
    isTold = true;
    const shown = got.replace(LONG, '"…"').slice(0, MAX_CHARS);
    tell(field, `${field}${of} was left out whole or in part: got ${shown}; see field_dropped in ${GUIDE}`);
  };
  for (const [at, field] of names.slice(0, 15).entries()) {
    const [got] = (WRONG[field] ?? /^[^"n].*/s).exec(`${texts[at]}`.slice(0, MAX_CHECKED_CHARS)) ?? [];
    if (got && field) say(field, got);
  }
  // Each entry is right, so there are too many.
  if (!isTold) say("tags or usage");
}

function partsOf({ kind, text }: Row): readonly [texts: string[], names: string[], of: string] {
  const texts = text.split("\u001f");
  const name = texts[3]?.slice(0, MAX_CHARS) || "without a name";
  return [texts, FIELDS.split(","), ` of ${kind === SPAN_ROW ? "span" : "trace"} ${name}`];
}
