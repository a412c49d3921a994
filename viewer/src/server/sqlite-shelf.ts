// Rows in a file of SQLite, which Node brings along from 22.13 on.

import { closeSync, openSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { TraceSummary } from "../api.js";
import { Refusal } from "./refusal.js";
import { type Entry, type Held, type Kept, keyOf, type Shelf, type StoredRow, type StoredScore } from "./shelf.js";
import type { Entity, Scored } from "./validate.js";

/** Of the tables below. */
const VERSION = 1;
/** Stands for threads in the column `entity`. Their ids are any text. */
const THREADS = 2;
/** The code of a full disk. */
const SQLITE_FULL = 13;
/** Of a UUID, as a text. */
const ID_LENGTH = 36;
const TABLES = [
  "trace(n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB UNIQUE, spans INTEGER DEFAULT 0, bytes INTEGER DEFAULT 0, summary)",
  "row(n INTEGER PRIMARY KEY, entity INTEGER, id BLOB, trace INTEGER, sender INTEGER, row TEXT)",
  "sender(n INTEGER PRIMARY KEY, name TEXT UNIQUE)",
  "score(key TEXT PRIMARY KEY, entity INTEGER, id BLOB, score TEXT)",
];
const INDICES = ["row_id ON row(id)", "row_trace ON row(trace)", "score_id ON score(id)"];
const SCHEMA = [
  ...TABLES.map((table) => `CREATE TABLE ${table};`),
  ...INDICES.map((index) => `CREATE INDEX ${index};`),
  `PRAGMA user_version = ${VERSION};`,
].join("");

type RowOfTable = { n: number; entity: number; id: Uint8Array; trace: number; sender: number; row: string };
type Sought = {
  readonly entity: Entity;
  readonly trace: string;
  readonly key: string;
  readonly id: Uint8Array;
  readonly found: RowOfTable | undefined;
};
type EntryOfTable = { id: Uint8Array; n: number; summary: string | null };

const ROWS = "SELECT n, entity, id, trace, sender, row FROM row";

/** Opens the file, or makes it. Throws an error with a message for the user if that fails. */
export async function openFile(file: string): Promise<Shelf> {
  const sqlite = await importSqlite();
  // Nobody else on this machine reads it; SQLite gives its other files the same mode.
  closeSync(openSync(file, "a", 0o600));
  const database = new sqlite.DatabaseSync(file);
  try {
    database.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    const { user_version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (user_version > VERSION) throw new Error(`${file} was written by a newer version of the viewer`);
    if (user_version === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`);
    return new SqliteShelf(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

async function importSqlite(): Promise<typeof import("node:sqlite")> {
  try {
    return await import("node:sqlite");
  } catch {
    throw new Error(
      `a file needs Node 22.13 or newer, and this is ${process.version}: leave out the file to keep rows in memory`,
    );
  }
}

class SqliteShelf implements Shelf {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();
  /** Of traces that were written last, by their id. */
  readonly #numbers = new Map<string, number>();
  /** Changes of traces by the current transaction. */
  readonly #totals = new Map<number, { spans: number; bytes: number }>();
  readonly #senders = new Map<string, number>();
  readonly #senderNames = new Map<number, string>();
  #lastTrace = { n: -1, id: "" };
  /** The row that the current transaction looked for last: mostly it is written next. */
  #sought: Sought | undefined;
  #depth = 0;
  /** Counted along once it has been asked for. */
  #held: { -readonly [Count in keyof Held]: number } | undefined;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Each statement is compiled once. */
  #sql(text: string): StatementSync {
    const known = this.#prepared.get(text);
    if (known) return known;
    const statement = this.#database.prepare(text);
    this.#prepared.set(text, statement);
    return statement;
  }

  held(): Held {
    if (!this.#held) this.#writeTotals();
    this.#held ??= this.#sql(
      "SELECT count(*) AS traces, ifnull(sum(spans), 0) AS spans, ifnull(sum(bytes), 0) AS bytes FROM trace",
    ).get() as unknown as { -readonly [Count in keyof Held]: number };
    return { ...this.#held };
  }

  together<T>(change: () => T): T {
    if (this.#depth > 0) return change();
    this.#database.exec("BEGIN IMMEDIATE");
    this.#depth += 1;
    try {
      const result = change();
      this.#writeTotals();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#rollBack();
      this.#forget();
      throw (error as { errcode?: number }).errcode === SQLITE_FULL
        ? new Refusal(503, "the disk of the viewer's file is full")
        : error;
    } finally {
      this.#depth -= 1;
      this.#sought = undefined;
    }
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite has done so itself, as it does when the disk is full.
    }
  }

  put({ entity, key, trace, row, sender }: Kept): void {
    const { id, found: before } = this.#seek(entity, trace, key);
    this.#sought = undefined;
    const number = this.#numberOf(trace);
    // Fields with their own column are left out of the text.
    const text = JSON.stringify({ ...row, id: undefined, trace_id: undefined });
    const by = this.#senderOf(sender);
    if (before) this.#sql("UPDATE row SET row=?, sender=? WHERE n=?").run(text, by, before.n);
    else {
      const insert = this.#sql("INSERT INTO row(id, trace, entity, row, sender) VALUES(?,?,?,?,?)");
      insert.run(id, number, numberOf(entity), text, by);
    }
    const spans = !before && entity === "spans" ? 1 : 0;
    const bytes = text.length - (before?.row.length ?? 0);
    const totals = this.#totals.get(number);
    if (totals) {
      totals.spans += spans;
      totals.bytes += bytes;
    } else this.#totals.set(number, { spans, bytes });
    if (!this.#held) return;
    this.#held.spans += spans;
    this.#held.bytes += bytes;
  }

  /** Adds up the changes of each trace, once per transaction. */
  #writeTotals(): void {
    const update = this.#sql("UPDATE trace SET spans=spans+?, bytes=bytes+?, summary=NULL WHERE n=?");
    for (const [n, { spans, bytes }] of this.#totals) update.run(spans, bytes, n);
    this.#totals.clear();
  }

  /** The number of a trace. A new trace gets the next number. */
  #numberOf(trace: string): number {
    const known = this.#knownNumberOf(trace);
    if (known !== undefined) return known;
    const n = Number(this.#sql("INSERT INTO trace(id) VALUES(?)").run(bytesOf(trace)).lastInsertRowid);
    if (this.#held) this.#held.traces += 1;
    this.#numbers.set(trace, n);
    return n;
  }

  #knownNumberOf(trace: string): number | undefined {
    const known = this.#numbers.get(trace);
    if (known !== undefined) return known;
    const n = (this.#sql("SELECT n FROM trace WHERE id=?").get(bytesOf(trace)) as { n: number } | undefined)?.n;
    if (n === undefined) return undefined;
    if (this.#numbers.size > 10_000) this.#numbers.clear();
    this.#numbers.set(trace, n);
    return n;
  }

  /** Rows of one id and trace differ in their parent or their project. */
  #seek(entity: Entity, trace: string, key: string): Sought {
    const last = this.#sought;
    if (last && last.key === key && last.trace === trace && last.entity === entity) return last;
    const id = bytesOf(key.slice(0, ID_LENGTH));
    const number = this.#knownNumberOf(trace);
    let found: RowOfTable | undefined;
    if (number !== undefined) {
      // By the index of ids: a trace may have any number of rows.
      const rows = this.#sql(`${ROWS} WHERE id=? AND +trace=? AND entity=?`).all(id, number, numberOf(entity));
      found = (rows as RowOfTable[]).find((one) => this.#keptOf(one).key === key);
    }
    const sought = { entity, trace, key, id, found };
    // Outside a transaction another process may write the row meanwhile.
    if (this.#depth > 0) this.#sought = sought;
    return sought;
  }

  #keptOf(found: RowOfTable): Kept {
    const entity: Entity = found.entity === 0 ? "traces" : "spans";
    const row = JSON.parse(found.row) as StoredRow;
    row.id = idOf(found.id);
    const trace = entity === "traces" ? row.id : this.#traceOf(found.trace);
    if (entity === "spans") row.trace_id = trace;
    return { entity, key: keyOf(entity, row), trace, row, sender: this.#nameOf(found.sender) };
  }

  /** The id of the trace with this number. Consecutive rows mostly have the same trace. */
  #traceOf(n: number): string {
    if (this.#lastTrace.n !== n) {
      const { id } = this.#sql("SELECT id FROM trace WHERE n=?").get(n) as { id: Uint8Array };
      this.#lastTrace = { n, id: idOf(id) };
    }
    return this.#lastTrace.id;
  }

  #nameOf(sender: number): string {
    const known = this.#senderNames.get(sender);
    if (known !== undefined) return known;
    const { name } = this.#sql("SELECT name FROM sender WHERE n=?").get(sender) as { name: string };
    this.#senderNames.set(sender, name);
    return name;
  }

  #senderOf(name: string): number {
    const known = this.#senders.get(name);
    if (known !== undefined) return known;
    this.#sql("INSERT OR IGNORE INTO sender(name) VALUES(?)").run(name);
    const { n } = this.#sql("SELECT n FROM sender WHERE name=?").get(name) as { n: number };
    this.#senders.set(name, n);
    return n;
  }

  get(entity: Entity, trace: string, key: string): Kept | undefined {
    const { found } = this.#seek(entity, trace, key);
    return found && this.#keptOf(found);
  }

  byId(entity: Entity, id: string): Kept | undefined {
    const found = this.#sql(`${ROWS} WHERE id=? AND entity=? ORDER BY n LIMIT 1`).get(bytesOf(id), numberOf(entity));
    return found && this.#keptOf(found as RowOfTable);
  }

  ofTrace(trace: string): Kept[] {
    const rows = this.#sql(`${ROWS} WHERE trace=(SELECT n FROM trace WHERE id=?) ORDER BY n`);
    return (rows.all(bytesOf(trace)) as RowOfTable[]).map((found) => this.#keptOf(found));
  }

  *all(entity: Entity): Iterable<Kept> {
    const rows = this.#database.prepare(`${ROWS} WHERE entity=? ORDER BY trace, n`);
    for (const found of rows.iterate(numberOf(entity))) yield this.#keptOf(found as unknown as RowOfTable);
  }

  putScore(key: string, score: StoredScore): void {
    const id = score.entity === "threads" ? Buffer.from(score.id) : bytesOf(score.id);
    this.#sql("INSERT OR REPLACE INTO score(key, entity, id, score) VALUES(?,?,?,?)").run(
      key,
      numberOf(score.entity),
      id,
      JSON.stringify(score),
    );
    if (score.entity === "threads") return;
    if (score.entity === "traces") this.#sql("UPDATE trace SET summary=NULL WHERE id=?").run(id);
    else this.#sql("UPDATE trace SET summary=NULL WHERE n IN (SELECT trace FROM row WHERE id=?)").run(id);
  }

  *scoresIn(trace: string): Iterable<StoredScore> {
    const found = this.#sql(`SELECT score FROM score WHERE entity <> ${THREADS} AND (id=?1
      OR id IN (SELECT row.id FROM row JOIN trace ON trace.n = row.trace WHERE trace.id=?1)) ORDER BY rowid`);
    for (const { score } of found.all(bytesOf(trace)) as { score: string }[]) yield JSON.parse(score) as StoredScore;
  }

  scoresOfThread(thread: string): StoredScore[] {
    const found = this.#sql(`SELECT score FROM score WHERE entity = ${THREADS} AND id=? ORDER BY rowid`);
    return (found.all(Buffer.from(thread)) as { score: string }[]).map(({ score }) => JSON.parse(score) as StoredScore);
  }

  *scores(): Iterable<StoredScore> {
    const found = this.#sql("SELECT score FROM score ORDER BY rowid").all() as { score: string }[];
    for (const { score } of found) yield JSON.parse(score) as StoredScore;
  }

  entry(trace: string): Entry | undefined {
    const found = this.#sql("SELECT id, n, summary FROM trace WHERE id=?").get(bytesOf(trace));
    return found && entryOf(found as EntryOfTable);
  }

  *entries(before: number): Iterable<Entry> {
    // A page at a time: the caller writes summaries meanwhile.
    const page = this.#sql("SELECT id, n, summary FROM trace WHERE n < ? ORDER BY n DESC LIMIT 200");
    let from = Math.min(before, Number.MAX_SAFE_INTEGER);
    for (;;) {
      const found = page.all(from) as EntryOfTable[];
      for (const one of found) yield entryOf(one);
      const last = found.at(-1);
      if (!last) return;
      from = last.n;
    }
  }

  setSummary(trace: string, summary: TraceSummary): void {
    this.#sql("UPDATE trace SET summary=? WHERE id=?").run(JSON.stringify(summary), bytesOf(trace));
  }

  dropOldest(): void {
    this.#writeTotals();
    const oldest = this.#sql("SELECT n, id, spans, bytes FROM trace ORDER BY n LIMIT 1").get() as
      | { n: number; id: Uint8Array; spans: number; bytes: number }
      | undefined;
    if (!oldest) {
      this.#database.exec("DELETE FROM score");
      return;
    }
    this.#numbers.delete(idOf(oldest.id));
    if (this.#held) {
      this.#held.traces -= 1;
      this.#held.spans -= oldest.spans;
      this.#held.bytes -= oldest.bytes;
    }
    this.#sql(
      `DELETE FROM score WHERE entity <> ${THREADS} AND (id=? OR id IN (SELECT id FROM row WHERE trace=?))`,
    ).run(oldest.id, oldest.n);
    this.#sql("DELETE FROM row WHERE trace=?").run(oldest.n);
    this.#sql("DELETE FROM trace WHERE n=?").run(oldest.n);
  }

  #forget(): void {
    this.#sought = undefined;
    this.#totals.clear();
    this.#numbers.clear();
    this.#senders.clear();
    this.#senderNames.clear();
    this.#lastTrace = { n: -1, id: "" };
    this.#held = undefined;
  }

  clear(): void {
    this.#forget();
    this.#database.exec("DELETE FROM score; DELETE FROM row; DELETE FROM trace;");
  }

  close(): void {
    this.#database.close();
  }
}

function numberOf(entity: Scored): number {
  return entity === "threads" ? THREADS : entity === "traces" ? 0 : 1;
}

/** A UUID as 16 bytes. */
function bytesOf(id: string): Uint8Array {
  return Buffer.from(id.replaceAll("-", ""), "hex");
}

function idOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  const hex = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function entryOf({ id, n, summary }: EntryOfTable): Entry {
  return { id: idOf(id), n, summary: summary === null ? undefined : (JSON.parse(summary) as TraceSummary) };
}
