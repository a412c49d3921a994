// A page's rows between their end and their delivery: in memory, and in IndexedDB, out of which the next visit sends what
// this one could not. Without IndexedDB (private windows) they are in memory alone.

import { getCore } from "../core.js";
import { now, randomBits } from "../env.js";
import { scoreKey } from "../score.js";
import { tokenExpiry } from "../token.js";
import { MAX_UPLOAD_ROWS, ROW_KINDS, type RowKind, type Upload, uploadOf } from "../upload.js";
import { MAX_BODY_BYTES, type TokenSource } from "./relay-transport.js";

/** Bytes that are kept for later visits; beyond them the oldest rows go. */
const MAX_BYTES = 5 * 1024 * 1024;
/** For how long: a relay takes ids of the last 24 h. */
const MAX_AGE_MS = 23 * 60 * 60 * 1000;
/** Where no tab can say that it lives, rows of others are left alone for so long. */
const FOREIGN_AGE_MS = 60_000;

const DATABASE = "opik-edge";
const STORE = "rows";

/** A row that waits. */
interface Entry {
  readonly key: string;
  /** Which tab answers for it. */
  readonly tab: string;
  readonly kind: RowKind;
  readonly json: Uint8Array<ArrayBuffer>;
  /** When it was kept, in ms since 1970. */
  readonly ms: number;
  /** Of a score: what it scores. The latest counts. */
  readonly score: string | undefined;
  /** The token of its time, which it needs later too; `undefined` until there is one. */
  readonly token: string | undefined;
}

function isOver(token: string): boolean {
  return (tokenExpiry(token) ?? Number.POSITIVE_INFINITY) < now();
}

/** Whether this page can send at all: without the core, as under a strict policy, rows are left to a page that can. */
function canSend(): boolean {
  try {
    return getCore().isLive;
  } catch {
    return false;
  }
}

/** Web Locks (W3C): a lock is held until its promise has settled, or its page is gone. */
interface Locks {
  request(name: string, run: () => Promise<void>): Promise<void>;
}

/** The rows of one client. */
export class Outbox {
  /** Of which relay; rows for another are not sent to it. */
  readonly #name: string;
  readonly #tokens: TokenSource | undefined;
  /** The latest token. */
  #token: string | undefined;
  readonly #tab: string = `${now()}-${randomBits()}`;
  #waiting: Entry[] = [];
  #unwritten: Entry[] = [];
  #count = 0;
  #database: Promise<IDBDatabase | undefined> | undefined;

  constructor(url: URL, tokens: TokenSource | undefined) {
    this.#name = url.href;
    this.#tokens = tokens;
  }

  /** Keeps the rows of an upload. */
  add(upload: Upload): void {
    const { kind } = upload;
    const token = this.#token !== undefined && isOver(this.#token) ? undefined : this.#token;
    for (const json of upload.rowBytes()) {
      this.#count += 1;
      const score = upload.isOfScores ? scoreKey(JSON.parse(new TextDecoder().decode(json))) : undefined;
      const key = `${this.#name} ${this.#tab} ${this.#count}`;
      const entry = { key, tab: this.#tab, kind, json, ms: now(), score, token };
      this.#waiting.push(entry);
      if (this.#unwritten.push(entry) === 1) queueMicrotask(() => this.#writeThrough());
    }
  }

  /** Takes out everything that waits, as uploads; what is settled is forgotten, what is kept stays for later visits. */
  take(): Upload[] {
    const uploads: Upload[] = [];
    this.#forgetSuperseded();
    for (const kind of ROW_KINDS) {
      let entries: Entry[] = [];
      let bytes = 0;
      const close = (): void => {
        if (entries.length > 0) uploads.push(this.#uploadOf(kind, entries));
        entries = [];
        bytes = 0;
      };
      for (const entry of this.#waiting.filter((waiting) => waiting.kind === kind)) {
        const isFull = entries.length >= MAX_UPLOAD_ROWS || bytes + entry.json.byteLength > MAX_BODY_BYTES - 100;
        if (isFull || entries[0]?.token !== entry.token) close();
        entries.push(entry);
        bytes += entry.json.byteLength + 1;
      }
      close();
    }
    this.#waiting = [];
    return uploads;
  }

  /** Takes over what tabs that are gone have left, and, as soon as they are gone, the others; `found` is told each time. */
  async recover(found: () => void): Promise<void> {
    if (!(await this.#open())) return;
    const { locks } = navigator as { locks?: Locks };
    // As long as this lock is held, this tab is alive.
    void locks?.request(this.#lockOf(this.#tab), () => new Promise(() => {})).catch(() => {});
    const adopt = async (tab: string): Promise<void> => {
      if (await this.#adopt(tab)) found();
    };
    for (const tab of new Set((await this.#read()).map((entry) => entry.tab))) {
      if (tab === this.#tab) continue;
      // Given as soon as that tab has let go of it; to one of those who wait, and the next one finds nothing more.
      if (locks) void locks.request(this.#lockOf(tab), () => adopt(tab)).catch(() => {});
      else await adopt(tab);
    }
  }

  /** Answers for the rows of another tab from now on. Resolves to whether there are any. */
  async #adopt(tab: string): Promise<boolean> {
    if (!canSend()) return false;
    const entries = (await this.#read()).filter((entry) => entry.tab === tab).sort((one, other) => other.ms - one.ms);
    const isLocked = "locks" in navigator;
    let bytes = 0;
    const adopted: Entry[] = [];
    await this.#write((rows) => {
      for (const entry of entries) {
        bytes += entry.json.byteLength;
        const age = now() - entry.ms;
        if (age > MAX_AGE_MS || bytes > MAX_BYTES) rows.delete(entry.key);
        else if (entry.key.startsWith(`${this.#name} `) && (isLocked || age > FOREIGN_AGE_MS)) {
          adopted.push({ ...entry, tab: this.#tab });
          rows.put({ ...entry, tab: this.#tab });
        }
      }
    });
    this.#waiting.push(...adopted.reverse()); // the oldest first, as they were recorded
    return adopted.length > 0;
  }

  /** Many rows that end together are one transaction. */
  #writeThrough(): void {
    const entries = this.#unwritten;
    this.#unwritten = [];
    void this.#put(entries);
    void this.#learnToken();
  }

  /** Asks for the token of now, and notes it in the rows that have none. */
  async #learnToken(): Promise<void> {
    const tokens = this.#tokens;
    if (tokens === undefined) return;
    try {
      const token = typeof tokens === "function" ? await tokens() : tokens;
      if (token === undefined || isOver(token)) return;
      this.#token = token;
      const isWithout = (entry: Entry): boolean => entry.token === undefined && entry.tab === this.#tab;
      const found = this.#waiting.filter(isWithout).map((entry) => ({ ...entry, token }));
      this.#waiting = this.#waiting.map((entry) => found.find(({ key }) => key === entry.key) ?? entry);
      await this.#put(found);
    } catch {
      // There is none to be had now: they are sent with the one of then.
    }
  }

  /** Of scores of one thing the latest stays. */
  #forgetSuperseded(): void {
    const latest = new Map<string, Entry>();
    for (const entry of this.#waiting) {
      if (entry.score === undefined) continue;
      const name = `${entry.kind} ${entry.score}`;
      const other = latest.get(name);
      if (!other || other.ms <= entry.ms) latest.set(name, entry);
    }
    const isSuperseded = (entry: Entry): boolean =>
      entry.score !== undefined && latest.get(`${entry.kind} ${entry.score}`) !== entry;
    this.#delete(this.#waiting.filter(isSuperseded));
    this.#waiting = this.#waiting.filter((entry) => !isSuperseded(entry));
  }

  async #put(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.#write((rows) => {
      for (const entry of entries) rows.put(entry);
    });
  }

  #delete(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    void this.#write((rows) => {
      for (const { key } of entries) rows.delete(key);
    });
  }

  #lockOf(tab: string): string {
    return `${DATABASE} ${tab}`;
  }

  #uploadOf(kind: RowKind, entries: readonly Entry[]): Upload {
    const upload = uploadOf(
      kind,
      entries.map(({ json }) => json),
    );
    upload.token = entries[0]?.token;
    upload.onSettled = ({ firstRow, rows }, outcome) => {
      if (outcome !== "kept") this.#delete(entries.slice(firstRow, firstRow + rows));
    };
    return upload;
  }

  #open(): Promise<IDBDatabase | undefined> {
    this.#database ??= new Promise((resolve) => {
      try {
        const request = indexedDB.open(DATABASE, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => resolve(undefined);
        request.onblocked = () => resolve(undefined);
      } catch {
        resolve(undefined); // forbidden, or not there
      }
    });
    return this.#database;
  }

  async #write(change: (rows: IDBObjectStore) => unknown): Promise<void> {
    const database = await this.#open();
    await new Promise<void>((resolve) => {
      try {
        const transaction = database?.transaction(STORE, "readwrite");
        if (!transaction) return resolve();
        change(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => resolve(); // the quota is used up
      } catch {
        resolve();
      }
    });
  }

  async #read(): Promise<Entry[]> {
    const database = await this.#open();
    return new Promise((resolve) => {
      try {
        const request = database?.transaction(STORE).objectStore(STORE).getAll();
        if (!request) return resolve([]);
        request.onsuccess = () => resolve(request.result as Entry[]);
        request.onerror = () => resolve([]);
      } catch {
        resolve([]);
      }
    });
  }
}
