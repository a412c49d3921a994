// Rows in memory.

import type { TraceSummary } from "../api.js";
import type { Entry, Held, Kept, Shelf, StoredScore } from "./shelf.js";
import type { Entity } from "./validate.js";

interface Group {
  readonly id: string;
  readonly n: number;
  summary: TraceSummary | undefined;
  readonly rows: Map<string, Sized>;
}

interface Sized {
  readonly kept: Kept;
  readonly bytes: number;
}

/** Rows in memory. */
export class MemoryShelf implements Shelf {
  readonly #groups = new Map<string, Group>();
  /** From the oldest on. Behind `#head` are those that are gone. */
  #order: Group[] = [];
  #head = 0;
  #lastN = 0;
  readonly #byId = { traces: new Map<string, Kept>(), spans: new Map<string, Kept>() };
  readonly #scores = new Map<string, Map<string, StoredScore>>();
  #scoreBytes = 0;
  #bytes = 0;
  #spans = 0;

  held(): Held {
    return { traces: this.#groups.size, spans: this.#spans, bytes: this.#bytes + this.#scoreBytes };
  }

  together<T>(change: () => T): T {
    return change();
  }

  put(kept: Kept): void {
    const group = this.#groupOf(kept.trace);
    const place = `${kept.entity} ${kept.key}`;
    const before = group.rows.get(place);
    const bytes = JSON.stringify(kept.row).length;
    group.rows.set(place, { kept, bytes });
    group.summary = undefined;
    this.#bytes += bytes - (before?.bytes ?? 0);
    if (!before && kept.entity === "spans") this.#spans += 1;
    const byId = this.#byId[kept.entity];
    const first = byId.get(kept.row.id);
    if (!first || (first.trace === kept.trace && first.key === kept.key)) byId.set(kept.row.id, kept);
  }

  #groupOf(id: string): Group {
    const known = this.#groups.get(id);
    if (known) return known;
    this.#lastN += 1;
    const group: Group = { id, n: this.#lastN, summary: undefined, rows: new Map() };
    this.#groups.set(id, group);
    this.#order.push(group);
    return group;
  }

  get(entity: Entity, trace: string, key: string): Kept | undefined {
    return this.#groups.get(trace)?.rows.get(`${entity} ${key}`)?.kept;
  }

  byId(entity: Entity, id: string): Kept | undefined {
    return this.#byId[entity].get(id);
  }

  ofTrace(trace: string): Kept[] {
    return [...(this.#groups.get(trace)?.rows.values() ?? [])].map(({ kept }) => kept);
  }

  *all(entity: Entity): Iterable<Kept> {
    for (const { rows } of this.#groups.values()) {
      for (const { kept } of rows.values()) if (kept.entity === entity) yield kept;
    }
  }

  putScore(key: string, score: StoredScore): void {
    const target = `${score.entity} ${score.id}`;
    const scores = this.#scores.get(target) ?? new Map<string, StoredScore>();
    this.#scores.set(target, scores);
    this.#scoreBytes += bytesOf(score) - bytesOf(scores.get(key));
    scores.set(key, score);
    if (score.entity === "threads") return;
    const trace = score.entity === "traces" ? score.id : this.#byId.spans.get(score.id)?.trace;
    const group = trace === undefined ? undefined : this.#groups.get(trace);
    if (group) group.summary = undefined;
  }

  *scoresIn(trace: string): Iterable<StoredScore> {
    if (this.#scores.size === 0) return;
    const targets = new Set([`traces ${trace}`]);
    for (const { entity, row } of this.ofTrace(trace)) targets.add(`${entity} ${row.id}`);
    for (const target of targets) yield* this.#scores.get(target)?.values() ?? [];
  }

  scoresOfThread(thread: string): Iterable<StoredScore> {
    return this.#scores.get(`threads ${thread}`)?.values() ?? [];
  }

  *scores(): Iterable<StoredScore> {
    for (const scores of this.#scores.values()) yield* scores.values();
  }

  entry(trace: string): Entry | undefined {
    return this.#groups.get(trace);
  }

  *entries(before: number): Iterable<Entry> {
    for (let at = this.#order.length - 1; at >= this.#head; at -= 1) {
      const group = this.#order[at]!;
      if (group.n < before) yield group;
    }
  }

  setSummary(trace: string, summary: TraceSummary): void {
    const group = this.#groups.get(trace);
    if (group) group.summary = summary;
  }

  dropOldest(): void {
    const group = this.#order[this.#head];
    if (!group) {
      this.#scores.clear();
      this.#scoreBytes = 0;
      return;
    }
    this.#head += 1;
    if (this.#head > this.#order.length / 2) {
      this.#order = this.#order.slice(this.#head);
      this.#head = 0;
    }
    this.#groups.delete(group.id);
    this.#forgetScores("traces", group.id);
    for (const { kept, bytes } of group.rows.values()) {
      this.#bytes -= bytes;
      if (kept.entity === "spans") this.#spans -= 1;
      if (this.#byId[kept.entity].get(kept.row.id) === kept) this.#byId[kept.entity].delete(kept.row.id);
      this.#forgetScores(kept.entity, kept.row.id);
    }
  }

  #forgetScores(entity: Entity, id: string): void {
    for (const score of this.#scores.get(`${entity} ${id}`)?.values() ?? []) this.#scoreBytes -= bytesOf(score);
    this.#scores.delete(`${entity} ${id}`);
  }

  clear(): void {
    while (this.#groups.size > 0) this.dropOldest();
    this.dropOldest();
  }

  close(): void {}
}

function bytesOf(score: StoredScore | undefined): number {
  return score ? JSON.stringify(score).length : 0;
}
