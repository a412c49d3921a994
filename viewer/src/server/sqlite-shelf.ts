// Rows in a file of SQLite, which Node brings along from 22.13 on.

import { closeSync, openSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { TraceSummary } from "../api.js";
import type { Entry, Held, Kept, Shelf, StoredRow, StoredScore } from "./shelf.js";
import type { Entity } from "./validate.js";

/** Of the tables below. */
const VERSION = 1;
const SCHEMA = `
  CREATE TABLE trace(n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, spans INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, summary TEXT);
  CREATE TABLE row(n INTEGER PRIMARY KEY, entity INTEGER NOT NULL, id BLOB NOT NULL, trace INTEGER NOT NULL,
    key TEXT NOT NULL, sender TEXT NOT NULL, row TEXT NOT NULL);
  CREATE UNIQUE INDEX row_id ON row(id, trace, entity, key);
  CREATE INDEX row_trace ON row(trace);
  CREATE TABLE score(key TEXT PRIMARY KEY, entity INTEGER NOT NULL, id BLOB NOT NULL, score TEXT NOT NULL);
  CREATE INDEX score_id ON score(id);
  PRAGMA user_version = ${VERSION};`;

type RowOfTable = { entity: number; trace: Uint8Array; key: string; sender: string; row: string };
type EntryOfTable = { id: Uint8Array; n: number; summary: string | null };

const COLUMNS = "entity, (SELECT id FROM trace WHERE n = row.trace) AS trace, key, sender, row";

/** Opens the file, or makes it. Throws, in a sentence for its user, where that can not be. */
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
      `a file needs Node 22.13 or newer, and this is ${process.version}: without one, rows live in memory`,
    );
  }
}

class SqliteShelf implements Shelf {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();
  /** Of traces that were written last, by their id. */
  readonly #numbers = new Map<string, number>();
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
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      this.#forget();
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  put({ entity, key, trace, row, sender }: Kept): void {
    const number = this.#numberOf(trace);
    const text = JSON.stringify(row);
    const id = bytesOf(row.id);
    const place = [id, number, numberOf(entity), key] as const;
    const before = this.#sql(
      "SELECT n, length(row) AS bytes FROM row WHERE id=? AND trace=? AND entity=? AND key=?",
    ).get(...place) as { n: number; bytes: number } | undefined;
    if (before) this.#sql("UPDATE row SET row=?, sender=? WHERE n=?").run(text, sender, before.n);
    else
      this.#sql("INSERT INTO row(id, trace, entity, key, row, sender) VALUES(?,?,?,?,?,?)").run(...place, text, sender);
    const spans = !before && entity === "spans" ? 1 : 0;
    const bytes = text.length - (before?.bytes ?? 0);
    this.#sql("UPDATE trace SET spans=spans+?, bytes=bytes+?, summary=NULL WHERE n=?").run(spans, bytes, number);
    if (!this.#held) return;
    this.#held.spans += spans;
    this.#held.bytes += bytes;
  }

  #numberOf(trace: string): number {
    const known = this.#numbers.get(trace);
    if (known !== undefined) return known;
    const id = bytesOf(trace);
    const find = this.#sql("SELECT n FROM trace WHERE id=?");
    let n = (find.get(id) as { n: number } | undefined)?.n;
    if (n === undefined) {
      n = Number(this.#sql("INSERT INTO trace(id) VALUES(?)").run(id).lastInsertRowid);
      if (this.#held) this.#held.traces += 1;
    }
    if (this.#numbers.size > 10_000) this.#numbers.clear();
    this.#numbers.set(trace, n);
    return n;
  }

  get(entity: Entity, trace: string, key: string): Kept | undefined {
    const id = bytesOf(key.slice(0, 36));
    const found = this.#sql(
      `SELECT ${COLUMNS} FROM row WHERE id=? AND trace=(SELECT n FROM trace WHERE id=?) AND entity=? AND key=?`,
    ).get(id, bytesOf(trace), numberOf(entity), key);
    return found && keptOf(found as RowOfTable);
  }

  byId(entity: Entity, id: string): Kept | undefined {
    const found = this.#sql(`SELECT ${COLUMNS} FROM row WHERE id=? AND entity=? ORDER BY n LIMIT 1`).get(
      bytesOf(id),
      numberOf(entity),
    );
    return found && keptOf(found as RowOfTable);
  }

  ofTrace(trace: string): Kept[] {
    const rows = this.#sql(`SELECT ${COLUMNS} FROM row WHERE trace=(SELECT n FROM trace WHERE id=?) ORDER BY n`);
    return (rows.all(bytesOf(trace)) as RowOfTable[]).map(keptOf);
  }

  *all(entity: Entity): Iterable<Kept> {
    const rows = this.#database.prepare(`SELECT ${COLUMNS} FROM row WHERE entity=? ORDER BY trace, n`);
    for (const found of rows.iterate(numberOf(entity))) yield keptOf(found as RowOfTable);
  }

  putScore(key: string, score: StoredScore): void {
    const id = bytesOf(score.id);
    this.#sql("INSERT OR REPLACE INTO score(key, entity, id, score) VALUES(?,?,?,?)").run(
      key,
      numberOf(score.entity),
      id,
      JSON.stringify(score),
    );
    if (score.entity === "traces") this.#sql("UPDATE trace SET summary=NULL WHERE id=?").run(id);
    else this.#sql("UPDATE trace SET summary=NULL WHERE n IN (SELECT trace FROM row WHERE id=?)").run(id);
  }

  scoresOf(entity: Entity, id: string): StoredScore[] {
    const found = this.#sql("SELECT score FROM score WHERE id=? AND entity=? ORDER BY rowid").all(
      bytesOf(id),
      numberOf(entity),
    );
    return (found as { score: string }[]).map(({ score }) => JSON.parse(score) as StoredScore);
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
    this.#sql("DELETE FROM score WHERE id=? OR id IN (SELECT id FROM row WHERE trace=?)").run(oldest.id, oldest.n);
    this.#sql("DELETE FROM row WHERE trace=?").run(oldest.n);
    this.#sql("DELETE FROM trace WHERE n=?").run(oldest.n);
  }

  #forget(): void {
    this.#numbers.clear();
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

function numberOf(entity: Entity): number {
  return entity === "traces" ? 0 : 1;
}

/** A UUID as 16 bytes. */
function bytesOf(id: string): Uint8Array {
  return Buffer.from(id.replaceAll("-", ""), "hex");
}

function idOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function keptOf({ entity, trace, key, sender, row }: RowOfTable): Kept {
  return {
    entity: entity === 0 ? "traces" : "spans",
    trace: idOf(trace),
    key,
    sender,
    row: JSON.parse(row) as StoredRow,
  };
}

function entryOf({ id, n, summary }: EntryOfTable): Entry {
  return { id: idOf(id), n, summary: summary === null ? undefined : (JSON.parse(summary) as TraceSummary) };
}
