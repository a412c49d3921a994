// Says in words which field of a row was cut or left out, and why. What is done about it is the core's to decide (src/span.rs,
// src/cut.rs).

import { GUIDE } from "../errors.js";
import { SPAN_ROW } from "../platform/core.js";
import type { Row } from "../platform/model.js";
import type { Settings } from "../settings.js";

/** The fields of a row's text in their order; "" of those that a message has no use for. */
const FIELDS =
  ",,,name,type,tags,model,provider,usage,totalEstimatedCost,ttft,,error,error,threadId,,,metadata,input,output";
/** Characters of a span's name in a message. */
const MAX_NAME_CHARS = 60;
/** Characters of a refused field in a message. */
const MAX_SHOWN_CHARS = 200;
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

/** Tells of entries that the API would refuse, and that a row went without. `leftOut` is as the core gives it. */
export function explainLeftOut(row: Row, leftOut: number, tell: Tell): void {
  const [texts, names, of] = partsOf(row);
  for (const [at, field] of names.entries()) {
    if (!((leftOut >> at) & 1)) continue;
    const got = texts[at]?.slice(0, MAX_SHOWN_CHARS).replace(LONG, '"…"');
    tell(field, `${field}${of} was left out whole or in part: got ${got}; see field_dropped in ${GUIDE}`);
  }
}

function partsOf({ kind, text }: Row): readonly [texts: string[], names: string[], of: string] {
  const texts = text.split("\u001f");
  const name = texts[3]?.slice(0, MAX_NAME_CHARS) || "without a name";
  return [texts, FIELDS.split(","), ` of ${kind === SPAN_ROW ? "span" : "trace"} ${name}`];
}
