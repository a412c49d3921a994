// The rows that were accepted. A batch row replaces the stored one whole, the newest `last_updated_at` wins; a
// PATCH merges. Optionally appended to a file, one JSON line each, and read back from it.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Entity, Row } from "./validate.js";
import { Refusal } from "./validate.js";

/** A row as it is stored. */
export type StoredRow = Row & { id: string; trace_id?: string; parent_span_id?: string; last_updated_at: string };

/** A feedback score as it is stored, with what it scores. */
export type StoredScore = Row & { entity: Entity; id: string; name: string; value: number };

/** Everything that was accepted, by its key. */
export class Store {
  readonly #rows = { traces: new Map<string, StoredRow>(), spans: new Map<string, StoredRow>() };
  readonly #scores = new Map<string, StoredScore>();
  readonly #file: string | undefined;

  constructor(file?: string) {
    this.#file = file;
    if (!file || !existsSync(file)) return;
    for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
      const { entity, row, score } = JSON.parse(line) as { entity: Entity; row: StoredRow; score?: StoredScore };
      if (score) this.#scores.set(keyOfScore(score), score);
      else this.#rows[entity].set(keyOf(entity, row), row);
    }
  }

  rows(entity: Entity): StoredRow[] {
    return [...this.#rows[entity].values()];
  }

  scores(): StoredScore[] {
    return [...this.#scores.values()];
  }

  find(entity: Entity, id: string): StoredRow | undefined {
    return this.rows(entity).find((row) => row.id === id);
  }

  /** Stores a complete row, unless a newer one is there. */
  replace(entity: Entity, row: Row): void {
    const stored = this.#complete(row);
    const before = this.#rows[entity].get(keyOf(entity, stored));
    if (before && Date.parse(before.last_updated_at) > Date.parse(stored.last_updated_at)) return;
    this.#put(entity, stored);
  }

  /**
   * Stores a row whose id is new. For a known id it answers as the backend does: 409 for a trace, nothing for a span.
   */
  create(entity: Entity, row: Row): void {
    const before = this.find(entity, row["id"] as string);
    if (before?.["start_time"] === undefined) this.#put(entity, this.#complete({ ...row, ...before }));
    else if (entity === "traces") throw new Refusal(409, "Trace already exists");
  }

  /** Merges an update into a row; one for a row that is still to come is kept for it. */
  update(entity: Entity, id: string, update: Row): void {
    const before = this.find(entity, id);
    for (const field of ["trace_id", "parent_span_id"]) {
      if (before && entity === "spans" && before[field] !== update[field]) {
        throw new Refusal(409, `${field} does not match the existing span`);
      }
    }
    const { last_updated_at: _, ...rest } = { ...before, ...update };
    this.#put(entity, this.#complete({ ...rest, id }));
  }

  /** Stores a score; the last score of a name counts. The scored trace or span need not be stored. */
  score(entity: Entity, row: Row): void {
    const score = { project_name: "Default Project", ...row, entity } as unknown as StoredScore;
    this.#scores.set(keyOfScore(score), score);
    this.#append({ score });
  }

  #complete(row: Row): StoredRow {
    return {
      project_name: "Default Project",
      last_updated_at: new Date().toISOString(),
      ...row,
    } as unknown as StoredRow;
  }

  #put(entity: Entity, row: StoredRow): void {
    this.#rows[entity].set(keyOf(entity, row), row);
    this.#append({ entity, row });
  }

  #append(line: object): void {
    if (this.#file) appendFileSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}

/** The backend's row key: a span that changes its trace or parent is another row. Projects match in any case. */
function keyOf(entity: Entity, row: StoredRow): string {
  const project = String(row["project_name"]).toLowerCase();
  return entity === "traces" ? `${project} ${row.id}` : `${project} ${row.trace_id} ${row.parent_span_id} ${row.id}`;
}

/** In another project than its trace it is another trace's score, which nobody sees. */
function keyOfScore({ entity, project_name, id, name }: StoredScore): string {
  return `${String(project_name).toLowerCase()} ${entity} ${id} ${name}`;
}
