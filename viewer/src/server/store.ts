// Stores accepted rows. A batch row replaces the stored one whole, the newest `last_updated_at` wins; a PATCH
// merges. Rows with one trace id are one trace here, also where their projects differ, which is a mistake worth seeing.
// Where the rows lie is the shelf's matter.

import type { TraceSummary } from "../api.js";
import { MemoryShelf } from "./memory-shelf.js";
import { type Kept, keyOf, projectOf, type Shelf, type StoredRow, type StoredScore } from "./shelf.js";
import { summarise, textOf } from "./summary.js";
import { type Entity, Refusal, type Row, type Scored } from "./validate.js";

export type { StoredRow, StoredScore } from "./shelf.js";

/** Limits of a store. Above a limit it drops whole traces, the oldest first. */
export interface Bounds {
  readonly spans: number;
  /** Of the rows, as JSON. */
  readonly bytes: number;
}

/** The name of the sender of all rows, or of each row. */
export type SenderName = string | ((row: Row) => string);

/** Filter of a list. A trace has to match every given field. */
export interface TraceFilter {
  /** Stands in what the list shows of it, or anywhere in its rows. */
  readonly text?: string | undefined;
  readonly name?: string | undefined;
  readonly project?: string | undefined;
  readonly thread?: string | undefined;
  readonly hasErrors?: boolean | undefined;
  /** Smallest number of spans. */
  readonly minSpans?: number | undefined;
  /** It has come to its end. */
  readonly isDone?: boolean | undefined;
  /** Came before the trace of this number. */
  readonly before?: number | undefined;
  readonly limit?: number | undefined;
}

/** Everything that was accepted. */
export class Store {
  readonly #shelf: Shelf;
  readonly #bounds: Bounds;
  readonly #onChange: (traces: ReadonlySet<string>) => void;
  #changed = new Set<string>();
  #dropped = 0;

  constructor(
    shelf: Shelf = new MemoryShelf(),
    bounds: Bounds = { spans: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY },
    onChange: (traces: ReadonlySet<string>) => void = () => {},
  ) {
    this.#shelf = shelf;
    this.#bounds = bounds;
    this.#onChange = onChange;
  }

  held(): { readonly traces: number; readonly spans: number; readonly bytes: number; readonly dropped: number } {
    return { ...this.#shelf.held(), dropped: this.#dropped };
  }

  rows(entity: Entity): StoredRow[] {
    return Array.from(this.#shelf.all(entity), ({ row }) => row);
  }

  /** All of them, with their senders. */
  all(entity: Entity): Iterable<Kept> {
    return this.#shelf.all(entity);
  }

  scores(): StoredScore[] {
    return [...this.#shelf.scores()];
  }

  /** The scores of a thread. */
  scoresOfThread(thread: string): StoredScore[] {
    return [...this.#shelf.scoresOfThread(thread)];
  }

  /** The scores of each row of a trace. */
  scoresIn(trace: string): (kept: Pick<Kept, "entity" | "row">) => readonly StoredScore[] {
    const of = new Map<string, StoredScore[]>();
    const placeOf = (entity: Scored, row: Row) => `${entity} ${row["id"]} ${projectOf(row)}`;
    for (const score of this.#shelf.scoresIn(trace.toLowerCase())) {
      const place = placeOf(score.entity, score);
      of.set(place, [...(of.get(place) ?? []), score]);
    }
    return ({ entity, row }) => of.get(placeOf(entity, row)) ?? [];
  }

  find(entity: Entity, id: string): StoredRow | undefined {
    return this.#shelf.byId(entity, id.toLowerCase())?.row;
  }

  /** The rows of a trace. */
  ofTrace(id: string): readonly Kept[] {
    return this.#shelf.ofTrace(id.toLowerCase());
  }

  /** One row of a trace. */
  row(entity: Entity, trace: string, key: string): Kept | undefined {
    return this.#shelf.get(entity, trace.toLowerCase(), key);
  }

  /** Stores complete rows, each unless a newer one is there. */
  replace(entity: Entity, rows: readonly Row[], sender: SenderName = ""): void {
    this.#write(() => {
      for (const row of rows) {
        const stored = completed(row);
        const before = this.#shelf.get(entity, traceOf(entity, stored), keyOf(entity, stored))?.row;
        if (before && Date.parse(before.last_updated_at) > Date.parse(stored.last_updated_at)) continue;
        this.#put(entity, stored, sender);
      }
    });
  }

  /** Stores a new row. Like the backend, refuses an existing trace with 409 and ignores an existing span. */
  create(entity: Entity, row: Row, sender: SenderName = ""): void {
    const before = this.find(entity, row["id"] as string);
    if (before && before["start_time"] !== undefined) {
      if (entity === "traces") throw new Refusal(409, "Trace already exists");
      return;
    }
    this.#write(() => this.#put(entity, completed({ ...row, ...before }), sender));
  }

  /** Merges an update into a row; one for a row that is still to come is kept for it. */
  update(entity: Entity, id: string, update: Row, sender: SenderName = ""): void {
    const before = this.find(entity, id);
    for (const field of ["trace_id", "parent_span_id"]) {
      if (before && entity === "spans" && before[field] !== lower(update[field])) {
        throw new Refusal(409, `${field} does not match the existing span`);
      }
    }
    const { last_updated_at: _, ...rest } = { ...before, ...update };
    this.#write(() => this.#put(entity, completed({ ...rest, id }), sender));
  }

  /** Stores scores; the last one of a name counts. The scored row may be missing. */
  score(entity: Scored, rows: readonly Row[]): void {
    this.#write(() => {
      for (const row of rows) {
        const score = {
          project_name: "Default Project",
          ...row,
          id: entity === "threads" ? (row["thread_id"] ?? row["id"]) : lower(row["id"]),
          entity,
        } as unknown as StoredScore;
        // In another project than its trace it is another trace's score, which nobody sees.
        this.#shelf.putScore(`${projectOf(score)} ${entity} ${score.id} ${score.name}`, score);
        if (entity === "threads") continue;
        const trace = entity === "traces" ? score.id : this.#shelf.byId("spans", score.id)?.trace;
        if (trace !== undefined) this.#changed.add(trace);
      }
    });
  }

  /** Newest first. `before` is where the next page begins, or `null` at the end. */
  list({ limit = 50, before = Number.POSITIVE_INFINITY, ...filter }: TraceFilter = {}): {
    traces: TraceSummary[];
    before: number | null;
  } {
    const traces: TraceSummary[] = [];
    for (const entry of this.#shelf.entries(before)) {
      if (traces.length === limit) return { traces, before: traces.at(-1)!.n };
      const summary = entry.summary ?? this.#summarise(entry.id, entry.n);
      if (this.#matches(summary, filter)) traces.push(summary);
    }
    return { traces, before: null };
  }

  /** One trace as the list shows it. */
  summary(id: string): TraceSummary | undefined {
    const entry = this.#shelf.entry(id.toLowerCase());
    return entry && (entry.summary ?? this.#summarise(entry.id, entry.n));
  }

  clear(): void {
    this.#shelf.clear();
    this.#dropped = 0;
    this.#onChange(new Set());
  }

  close(): void {
    this.#shelf.close();
  }

  #summarise(id: string, n: number): TraceSummary {
    const summary = summarise(id, n, this.#shelf.ofTrace(id));
    this.#shelf.setSummary(id, summary);
    return summary;
  }

  #matches(summary: TraceSummary, { text, name, project, thread, hasErrors, minSpans, isDone }: TraceFilter): boolean {
    return (
      (name === undefined || summary.name === textOf(name)) &&
      (project === undefined || summary.projects.some((one) => one.toLowerCase() === project.toLowerCase())) &&
      (thread === undefined || summary.thread === textOf(thread)) &&
      (!hasErrors || summary.errors > 0) &&
      (minSpans === undefined || summary.spans >= minSpans) &&
      (!isDone || summary.ms !== null) &&
      (!text || this.#contains(summary, text.toLowerCase()))
    );
  }

  #contains(summary: TraceSummary, text: string): boolean {
    return (
      JSON.stringify(summary).toLowerCase().includes(text) ||
      this.#shelf.ofTrace(summary.id).some(({ row }) => JSON.stringify(row).toLowerCase().includes(text))
    );
  }

  #put(entity: Entity, row: StoredRow, by: SenderName): void {
    const trace = traceOf(entity, row);
    const sender = typeof by === "string" ? by : by(row);
    this.#shelf.put({ entity, key: keyOf(entity, row), trace, row, sender });
    this.#changed.add(trace);
  }

  #write(change: () => void): void {
    try {
      this.#shelf.together(() => {
        change();
        this.#makeRoom();
      });
    } finally {
      const changed = this.#changed;
      this.#changed = new Set();
      this.#onChange(changed);
    }
  }

  #makeRoom(): void {
    for (;;) {
      const { traces, spans, bytes } = this.#shelf.held();
      if (spans <= this.#bounds.spans && bytes <= this.#bounds.bytes) return;
      this.#shelf.dropOldest();
      if (traces > 0) this.#dropped += 1;
    }
  }
}

/** Complete, and with ids in one spelling. */
function completed(row: Row): StoredRow {
  const stored = { ...row } as unknown as StoredRow;
  stored["project_name"] ??= "Default Project";
  stored.last_updated_at ??= new Date().toISOString();
  stored.id = lower(stored.id) as string;
  if (stored.trace_id !== undefined) stored.trace_id = lower(stored.trace_id) as string;
  if (stored.parent_span_id !== undefined) stored.parent_span_id = lower(stored.parent_span_id) as string;
  return stored;
}

function lower(id: unknown): unknown {
  return typeof id === "string" ? id.toLowerCase() : id;
}

function traceOf(entity: Entity, row: StoredRow): string {
  return entity === "traces" ? row.id : row.trace_id!;
}
