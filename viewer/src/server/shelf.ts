// Where accepted rows lie. A shelf knows rows by trace and by id, and which trace came first; store.ts knows what the
// rows mean. There are two: memory-shelf.ts and sqlite-shelf.ts.

import { createHash } from "node:crypto";
import type { TraceSummary } from "../api.js";
import type { Entity, Row, Scored } from "./validate.js";

/** A row as it is stored. */
export type StoredRow = Row & { id: string; trace_id?: string; parent_span_id?: string; last_updated_at: string };

/** A feedback score as it is stored, with what it scores. */
export type StoredScore = Row & { entity: Scored; id: string; name: string; value: number };

/** A row on the shelf. */
export interface Kept {
  readonly entity: Entity;
  /** Unique within its trace and entity. */
  readonly key: string;
  /** The id of the trace. */
  readonly trace: string;
  readonly row: StoredRow;
  readonly sender: string;
}

/** A trace on the shelf. */
export interface Entry {
  readonly id: string;
  /** Counts traces in the order in which they arrived. */
  readonly n: number;
  /** As it was set last, and gone since its rows or scores have changed. */
  readonly summary: TraceSummary | undefined;
}

/** The size of a shelf. */
export interface Held {
  readonly traces: number;
  readonly spans: number;
  /** Of the rows, as JSON. */
  readonly bytes: number;
}

/** Keeps rows. Its methods are synchronous: rows are stored before their request is answered. */
export interface Shelf {
  held(): Held;
  /** Runs `change`. A file undoes the change if it throws. */
  together<T>(change: () => T): T;
  put(kept: Kept): void;
  get(entity: Entity, trace: string, key: string): Kept | undefined;
  /** The row with this id that came first, of any trace. */
  byId(entity: Entity, id: string): Kept | undefined;
  ofTrace(trace: string): readonly Kept[];
  /** All rows, in the order of their traces. */
  all(entity: Entity): Iterable<Kept>;
  putScore(key: string, score: StoredScore): void;
  /** The scores of a trace and of all its spans. */
  scoresIn(trace: string): Iterable<StoredScore>;
  scoresOfThread(thread: string): Iterable<StoredScore>;
  scores(): Iterable<StoredScore>;
  /** One trace. */
  entry(trace: string): Entry | undefined;
  /** The traces that came before the one of this number, newest first. */
  entries(before: number): Iterable<Entry>;
  setSummary(trace: string, summary: TraceSummary): void;
  /** Drops the oldest trace with its scores. Without a trace, drops all scores. */
  dropOldest(): void;
  clear(): void;
  close(): void;
}

/** Projects match in any case. */
export function projectOf(row: Row): string {
  return String(row["project_name"]).toLowerCase();
}

/**
 * The backend's row key, without the trace: a span that changes its trace or parent is another row. Begins with the id,
 * and fits into a URL.
 */
export function keyOf(entity: Entity, row: StoredRow): string {
  const project = projectOf(row);
  const name = /^[\x20-\x7e]{0,80}$/.test(project) ? project : createHash("sha256").update(project).digest("hex");
  return entity === "traces" ? `${row.id} ${name}` : `${row.id} ${row.parent_span_id ?? ""} ${name}`;
}
