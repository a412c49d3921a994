// Explains which field of a row was cut or left out, and why. The core makes that decision (src/span.rs, src/cut.rs).

import { GUIDE } from "../errors.js";
import { SPAN_ROW } from "../platform/core.js";
import type { Row } from "../platform/model.js";
import type { Settings } from "../settings.js";

/** The fields of a row's text, in order; "" for those that no message names. */
const FIELDS =
  ",,,name,type,tags,model,provider,usage,totalEstimatedCost,ttft,,error,error,threadId,projectName,environment,metadata,input,output";
/** Longest part of a span's name that a message quotes. */
const MAX_NAME_CHARS = 60;
/** Longest part of a refused field that a message quotes. */
const MAX_SHOWN_CHARS = 200;
/** Texts that may be secrets. */
const LONG = /"[^"]{13,}("(?!:)|$)/g;

/** Gets a field and the sentence about it. */
export type Tell = (field: string, sentence: string) => void;

/** Explains why a row was cut. `firstCut` is the value that the core returns. */
export function explainCut(row: Row, firstCut: number, limits: Settings["limits"], tell: Tell): void {
  const [texts, names, of] = partsOf(row);
  const at = firstCut & 31;
  const limit = firstCut < 32 ? "fieldBytes" : row.room < limits.rowBytes ? "traceBytes" : "rowBytes";
  const name = limit === "rowBytes" ? "spanBytes" : limit;
  const why = firstCut > 63 ? "base64 is kept up to 64 KB" : `raise limits.${name} (${limits[limit]})`;
  tell(names[at] as string, `${names[at]}${of} was cut from ${texts[at]?.length} characters: ${why}, or record less`);
}

/** Explains which fields lost entries because the API would refuse them. `leftOut` has a bit for each position, from the core. */
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
