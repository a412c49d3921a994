// Corrects a page's rows that a wrong clock made: their times, and the times in the page's own ids. All are moved by the
// same amount, so that parents and traces stay together. Used by outbox.ts.

import { shiftId, type Visit } from "./visit.js";

/** Fields of a row that hold ids. */
const IDS = ["id", "trace_id", "parent_span_id"];
/** Fields of a row that hold times. */
const TIMES = ["start_time", "end_time", "last_updated_at"];

/** A row of a page, or a score. */
export interface Shiftable {
  json: Uint8Array<ArrayBuffer>;
  /** The time at which it was kept, by the page's clock. */
  readonly ms: number;
}

/** Moves the rows of a visit in time. */
export class Shift {
  readonly #visit: Visit;
  readonly #ms: number;
  /** Original values of the changed ids. Handles still use them, so scores and later rows contain them too. */
  readonly #changed = new Set<unknown>();

  /** Moves rows of `visit` by `ms`, which is at least 2000 or at most -2000. */
  constructor(visit: Visit, ms: number) {
    this.#visit = visit;
    this.#ms = ms;
  }

  /** Corrects a row, unless its trace began with the correct clock. Returns `true` if the row has changed. */
  apply(row: Shiftable): boolean {
    const fields: Record<string, unknown> = JSON.parse(new TextDecoder().decode(row.json));
    const [id] = [fields["id"]];
    const updatedMs = timeOf(fields["last_updated_at"]);
    // A row is kept at the moment of writing, and a trace keeps one clock offset, so a similar time means that the offset
    // is missing.
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
      // Receivers of trace headers still use the old id.
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
