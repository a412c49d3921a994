// A page's rows that were made by a wrong clock, put right: their times, and those in the ids that are the page's own. All by as
// much, which keeps parents and traces together. Used by outbox.ts.

import { shiftId, type Visit } from "./visit.js";

/** Fields of a row that are ids, */
const IDS = ["id", "trace_id", "parent_span_id"];
/** and that are times. */
const TIMES = ["start_time", "end_time", "last_updated_at"];

/** A row of a page, or a score. */
export interface Shiftable {
  json: Uint8Array<ArrayBuffer>;
  /** When it was kept, by the page's clock. */
  readonly ms: number;
}

/** How far the rows of a visit are moved in time. */
export class Shift {
  readonly #visit: Visit;
  readonly #ms: number;
  /** Ids that have changed, as they were. Handles still have them, so that scores and later rows do. */
  readonly #changed = new Set<unknown>();

  /** Moves rows of `visit` on by `ms`, which is at least 2000 or at most -2000. */
  constructor(visit: Visit, ms: number) {
    this.#visit = visit;
    this.#ms = ms;
  }

  /** Puts a row right, unless its trace began by the right clock already. Gives whether it has changed. */
  apply(row: Shiftable): boolean {
    const fields: Record<string, unknown> = JSON.parse(new TextDecoder().decode(row.json));
    const [id] = [fields["id"]];
    const updatedMs = timeOf(fields["last_updated_at"]);
    // A row is kept in the moment in which it is written; a trace has one clock from its beginning to its end.
    const isWrong = Math.abs(updatedMs - row.ms) < Math.abs(this.#ms) / 2;
    for (const name of IDS) {
      const value = fields[name];
      if (typeof value !== "string" || !(this.#changed.has(value) || (isWrong && this.#visit.owns(value)))) continue;
      this.#changed.add(value);
      fields[name] = shiftId(value, this.#ms);
    }
    if (isWrong) {
      // biome-ignore lint/style/noRestrictedGlobals: writes a time that is given, reads no clock
      const moved = (time: unknown): string => new Date(timeOf(time) + this.#ms).toISOString();
      for (const name of TIMES) if (fields[name] !== undefined) fields[name] = moved(fields[name]);
      // Who was given it in a header has it still.
      if (!("trace_id" in fields)) fields["metadata"] = { ...(fields["metadata"] as object), opik_edge_former_id: id };
    }
    if (!isWrong && fields["id"] === id) return false;
    row.json = new TextEncoder().encode(JSON.stringify(fields));
    return true;
  }
}

function timeOf(time: unknown): number {
  // biome-ignore lint/style/noRestrictedGlobals: reads a time that is given, no clock
  return Date.parse(time as string);
}
