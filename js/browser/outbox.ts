// A page's rows between their end and their delivery: in memory, and in IndexedDB, out of which the next visit sends what
// this one could not. Without IndexedDB (private windows) they are in memory alone.

import type { Outbox } from "../deliver/model.js";
import { addCounts, type Dropped } from "../deliver/report.js";
import {
  type Envelope,
  firstOfOneUpload,
  idOf,
  type RowKind,
  scoreKey,
  type Upload,
  uploadOf,
} from "../deliver/upload.js";
import type { DropReason } from "../errors.js";
import { tokenExpiry } from "../platform/base64url.js";
import { getCore } from "../platform/core.js";
import { now, randomBits } from "../platform/env.js";
import { idTime } from "../platform/ids.js";
import { OPIK_TOKEN_HEADER } from "../record/headers.js";
import type { TokenSource } from "../settings.js";
import { MAX_BODY_BYTES } from "./relay-transport.js";
import { Shift } from "./shift.js";
import { type Visit, visitOf } from "./visit.js";

/** Bytes that are kept for later visits, and that wait for a token; beyond them the oldest rows go. */
const MAX_BYTES = 5 * 1024 * 1024;
/** For how long: a relay takes ids of the last 24 h. */
const MAX_AGE_MS = 23 * 60 * 60 * 1000;
/** Where no tab can say that it lives, rows of others are left alone for so long. */
const FOREIGN_AGE_MS = 60_000;
/** Tokens of this visit that are remembered: those of a day, where each lives for 15 minutes. */
const MAX_TOKENS = 100;

const HEADER_VALUE = /^[\x20-\x7e]+$/;

const DATABASE = "opik-edge";
const STORE = "rows";

/** A row that waits. */
interface Entry {
  readonly key: string;
  /** Which tab answers for it. */
  readonly tab: string;
  readonly kind: RowKind;
  json: Uint8Array<ArrayBuffer>;
  /** When it was kept, in ms since 1970. */
  readonly ms: number;
  /** Of a score: what it scores. The latest counts. */
  score: string | undefined;
  /** A token of its visit, where the relay asks for one. */
  token: string | undefined;
  /** The secret of its visit; versions before this one had none. */
  readonly secret: string | undefined;
}

/** When a token ends, as far as it says so. */
function expiryOf(token: string): number {
  return tokenExpiry(token) ?? Number.POSITIVE_INFINITY;
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

/** The outbox of a page whose relay is at `url`. */
export function openOutbox(url: URL, source: TokenSource | undefined): Outbox {
  return new PageOutbox(url, source);
}

/** The rows of one client. */
class PageOutbox implements Outbox {
  /** Of which relay; rows for another are not sent to it. */
  readonly #name: string;
  readonly #source: TokenSource | undefined;
  readonly #visit: Visit;
  /** Those of this visit, the earliest first, with their ends. */
  #tokens: (readonly [token: string, expiresMs: number])[] = [];
  /** Those of earlier visits that the relay takes no more. */
  readonly #refused = new Set<string | undefined>();
  #learning: Promise<void> | undefined;
  #asksSoon = false;
  readonly #tab: string = `${now()}-${randomBits()}`;
  /** What can be sent. */
  #waiting: Entry[] = [];
  /** How many have been taken. */
  #taken = 0;
  /** What waits for a token of this visit: in memory alone, since another visit's may be another user's. */
  #held: Entry[] = [];
  #heldBytes = 0;
  #unwritten: Entry[] = [];
  /** Once the relay has refused this visit's rows for the page's clock. */
  #shift: Shift | undefined;
  #dropped: Dropped = {};
  #count = 0;
  #found = (): void => {};
  #database: Promise<IDBDatabase | undefined> | undefined;

  constructor(url: URL, tokens: TokenSource | undefined) {
    this.#name = url.href;
    this.#source = tokens;
    this.#visit = visitOf(this.#name);
    this.#visit.join(this);
  }

  /** An id of this visit, for what begins at `ms`: a row is sent with a token of its beginning, so that one is asked for now. */
  mint(ms: number): string {
    const [, expiresMs = 0] = this.#tokens.at(-1) ?? [];
    if (expiresMs < now()) this.#askSoon();
    return this.#visit.mint(ms);
  }

  /** A token writes through the relay, so that no other origin is given it, whatever `propagateTo` says. */
  authorize({ origin }: URL, own: () => unknown, headers: Record<string, string>): void {
    const token = this.#tokens.at(-1)?.[0] ?? this.#source; // one that stands in the settings need not be asked for
    try {
      if (origin === "null" || origin !== location.origin || typeof token !== "string") return;
      const given = Object(own());
      const isList = Symbol.iterator in given;
      // What can be read only once is left to the platform.
      if (isList && !("at" in given || "has" in given)) return;
      const names: unknown[] = isList ? Array.from(given, ([name]) => name) : Object.keys(given);
      const isOwn = /^opik-token$/im.test(names.join("\n"));
      if (!isOwn && HEADER_VALUE.test(token) && expiryOf(token) >= now()) headers[OPIK_TOKEN_HEADER] = token;
    } catch {
      // There is no location, a getter throws, or these are no headers.
    }
  }

  /** Keeps the rows of an upload. */
  add(upload: Upload): void {
    const { kind, isOfScores } = upload;
    for (const json of upload.rowBytes()) {
      if (!isOfScores && !this.#visit.owns(idOf(json))) {
        this.#drop("discarded", 1); // it was open when its visit ended
        continue;
      }
      this.#count += 1;
      const key = `${this.#name} ${this.#tab} ${this.#count}`;
      const { secret } = this.#visit;
      const entry: Entry = { key, tab: this.#tab, kind, json, ms: now(), score: undefined, token: undefined, secret };
      this.#shift?.apply(entry);
      if (isOfScores) entry.score = scoreKey(JSON.parse(new TextDecoder().decode(entry.json)));
      const beganMs = (!isOfScores && idTime(idOf(entry.json))) || now();
      [entry.token] = this.#tokens.find(([, expiresMs]) => expiresMs >= beganMs) ?? [];
      if (entry.token === undefined && this.#source !== undefined) this.#hold(entry);
      else this.#keep([entry]);
    }
  }

  /** Takes out the next upload that can be sent; what is settled is forgotten, what is kept stays for later visits. */
  take(isEarly: boolean): Upload | undefined {
    if (isEarly) return undefined;
    this.#forgetSuperseded();
    const entries = firstOfOneUpload(this.#waiting, MAX_BODY_BYTES - 100);
    if (entries.length === 0) return undefined;
    this.#waiting = this.#waiting.filter((entry) => !entries.includes(entry));
    this.#taken += entries.length;
    return this.#uploadOf(entries);
  }

  /** What tells how many of the rows that can be sent now are still there. */
  mark(): () => number {
    const { length } = this.#waiting;
    const taken = this.#taken;
    return () => Math.max(0, length - (this.#taken - taken));
  }

  /** What was lost since the last call. */
  takeDropped(): Dropped {
    const dropped = this.#dropped;
    this.#dropped = {};
    return dropped;
  }

  /** Asks for the token that rows wait for; `undefined` where none does. */
  ready(): Promise<void> | undefined {
    return this.#held.length > 0 ? this.#learn() : undefined;
  }

  /** Ends the visit: what waits is dropped, in other tabs and at rest too, and the token is forgotten. */
  discard(): Promise<void> {
    return this.#visit.discard();
  }

  async forget(all: boolean): Promise<void> {
    this.#drop("discarded", this.#waiting.length + this.#held.length);
    this.#taken += this.#waiting.length;
    this.#waiting = [];
    this.#release();
    this.#unwritten = [];
    this.#tokens = [];
    this.#shift = undefined;
    this.#learning = undefined;
    this.#refused.clear();
    const start = all ? this.#name : `${this.#name} ${this.#tab}`;
    await this.#write((rows) => rows.delete(IDBKeyRange.bound(`${start} `, `${start}!`))); // "!" comes after the blank
    this.#found();
  }

  /** Takes over what tabs that are gone have left, and, as soon as they are gone, the others; `found` is told each time. */
  async recover(found: () => void): Promise<void> {
    this.#found = found;
    if (!(await this.#open())) return;
    const { locks } = navigator as { locks?: Locks };
    // As long as this lock is held, this tab is alive.
    void locks?.request(this.#lockOf(this.#tab), () => new Promise(() => {})).catch(() => {});
    const adopt = async (tab: string): Promise<void> => {
      if (await this.#adopt(tab)) found();
    };
    const tabs = new Set<string>();
    await this.#look((_, entries) => {
      for (const { tab } of entries) if (tab !== this.#tab) tabs.add(tab);
    });
    for (const tab of tabs) {
      // Given as soon as that tab has let go of it; to one of those who wait, and the next one finds nothing more.
      if (locks) void locks.request(this.#lockOf(tab), () => adopt(tab)).catch(() => {});
      else await adopt(tab);
    }
  }

  /** Answers for the rows of another tab from now on. Resolves to whether there are any. */
  async #adopt(tab: string): Promise<boolean> {
    if (!canSend()) return false;
    const { secret } = this.#visit;
    const isLocked = "locks" in navigator;
    let bytes = 0;
    const adopted: Entry[] = [];
    // In one transaction: what is discarded meanwhile is not written again.
    await this.#look((rows, found) => {
      bytes = 0;
      adopted.length = 0;
      const entries = found.filter((entry) => entry.tab === tab).sort((one, other) => other.ms - one.ms);
      for (const entry of entries) {
        bytes += entry.json.byteLength;
        const age = now() - entry.ms;
        const isOfRelay = entry.key.startsWith(`${this.#name} `);
        // Without a token it is of a version that would have sent it with anybody's.
        const isNobodys = isOfRelay && this.#source !== undefined && entry.token === undefined;
        if (age > MAX_AGE_MS || bytes > MAX_BYTES || isNobodys) rows.delete(entry.key);
        else if (isOfRelay && (isLocked || age > FOREIGN_AGE_MS)) {
          adopted.push({ ...entry, tab: this.#tab });
          rows.put({ ...entry, tab: this.#tab });
        }
      }
    });
    if (secret !== this.#visit.secret) return false;
    this.#waiting.push(...adopted.reverse()); // the oldest first, as they were recorded
    return adopted.length > 0;
  }

  #keep(entries: readonly Entry[]): void {
    this.#waiting.push(...entries);
    // Many rows that end together are one transaction.
    if (this.#unwritten.length === 0) queueMicrotask(() => this.#store("put", this.#unwritten.splice(0)));
    this.#unwritten.push(...entries);
  }

  #hold(entry: Entry): void {
    this.#askSoon();
    this.#held.push(entry);
    this.#heldBytes += entry.json.byteLength;
    while (this.#heldBytes > MAX_BYTES) {
      this.#heldBytes -= (this.#held.shift() as Entry).json.byteLength;
      this.#drop("queue_full", 1);
    }
  }

  #release(): Entry[] {
    this.#heldBytes = 0;
    return this.#held.splice(0);
  }

  /** Asks once for all that begins or ends together, and not in the midst of what the host is doing. */
  #askSoon(): void {
    if (this.#asksSoon || this.#source === undefined) return;
    this.#asksSoon = true;
    queueMicrotask(() => {
      this.#asksSoon = false;
      void this.#learn();
    });
  }

  /** Asks for the current token, and gives it to the rows that wait for one. Never rejects. */
  #learn(): Promise<void> {
    this.#learning ??= this.#ask();
    return this.#learning;
  }

  async #ask(): Promise<void> {
    const { secret } = this.#visit;
    let token: unknown;
    try {
      token = await (typeof this.#source === "function" ? this.#source() : this.#source);
    } catch {
      // There is none to be had now.
    }
    if (secret !== this.#visit.secret) return; // it may be that of who was there before
    this.#learning = undefined;
    if (typeof token !== "string" || !token) return;
    const known = this.#tokens.filter(([other]) => other !== token).slice(-MAX_TOKENS);
    this.#tokens = [...known, [token, expiryOf(token)]];
    const held = this.#release();
    if (held.length === 0) return;
    for (const entry of held) entry.token = token;
    this.#keep(held);
    this.#found();
  }

  #drop(reason: DropReason, rows: number): void {
    if (rows > 0) addCounts(this.#dropped, { [reason]: rows });
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
    this.#store("delete", this.#waiting.filter(isSuperseded));
    const { length } = this.#waiting;
    this.#waiting = this.#waiting.filter((entry) => !isSuperseded(entry));
    this.#taken += length - this.#waiting.length;
  }

  #store(how: "put" | "delete", entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    void this.#write((rows) => {
      for (const entry of entries) how === "put" ? rows.put(entry) : rows.delete(entry.key);
    });
  }

  #lockOf(tab: string): string {
    return `${DATABASE} ${tab}`;
  }

  #uploadOf(entries: readonly Entry[]): Upload {
    const upload = uploadOf(
      (entries[0] as Entry).kind,
      entries.map(({ json }) => json),
    );
    upload.envelope = this.#envelopeOf(entries);
    upload.onSettled = (part) => this.#store("delete", part.partOf(entries));
    return upload;
  }

  #envelopeOf(entries: readonly Entry[]): Envelope {
    const { secret, token, score } = entries[0] as Entry;
    const visit = this.#visit;
    const { secret: current } = visit;
    const isOwn = secret === current;
    // Of this visit the latest in place of one that is not known any more, and for scores of one that is over.
    const tokenOfNow = (): string | undefined => {
      const [, expiresMs = 0] = this.#tokens.find(([known]) => known === token) ?? [];
      const isGood = expiresMs > 0 && (score === undefined || expiresMs >= now());
      return !isOwn || isGood ? token : (this.#tokens.at(-1)?.[0] ?? token);
    };
    let sent: string | undefined;
    return {
      secret,
      get token() {
        sent = tokenOfNow();
        return sent;
      },
      outcome: () => {
        if (visit.secret !== current) return { lost: "discarded" };
        // To a later visit of its user it may be worth something.
        return this.#refused.has(token) ? "aside" : undefined;
      },
      refused: () => {
        if (!isOwn) return this.#refused.add(token).size > 0;
        // While it was under way another one may have come.
        this.#tokens = this.#tokens.filter(([known]) => known !== sent);
        this.#askSoon();
        return tokenOfNow() !== sent;
      },
      shifted: (upload, { status, message }, offsetMs) => {
        const isForClock = status === 425 || (status === 422 && message.includes('"outside_token"'));
        if (!isForClock || !isOwn || visit.secret !== current) return undefined;
        if (!this.#shift && offsetMs !== 0) {
          this.#shift = new Shift(visit, offsetMs);
          this.#store("put", this.#shiftAll(this.#waiting));
          this.#shiftAll(this.#held);
        }
        const own = upload.partOf(entries);
        const changed = this.#shiftAll(own);
        this.#store("put", changed);
        return changed.length > 0 ? upload.with(own.map(({ json }) => json)) : undefined;
      },
    };
  }

  /** Puts right those of this visit that were made by a wrong clock, and gives them. */
  #shiftAll(entries: readonly Entry[]): Entry[] {
    const { secret } = this.#visit;
    return entries.filter((entry) => entry.secret === secret && this.#shift?.apply(entry));
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

  /** Has `change` change what is at rest in one transaction: in another one where that comes to nothing, and no more than that. */
  async #write(change: (rows: IDBObjectStore) => unknown, isAgain = false): Promise<void> {
    const database = await this.#open();
    if (!database) return;
    const isDone = await new Promise<boolean>((resolve) => {
      try {
        const transaction = database.transaction(STORE, "readwrite");
        change(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(true);
        transaction.onabort = () => resolve(false); // the quota is used up, or the disk is in trouble
      } catch {
        this.#database = undefined; // its connection is gone: WebKit's breaks off when its process ends
        resolve(false);
      }
    });
    if (!isDone && !isAgain) await this.#write(change, true);
  }

  /** Has `change` look at everything that is at rest, and change it in the same transaction. */
  #look(change: (rows: IDBObjectStore, entries: Entry[]) => void): Promise<void> {
    return this.#write((rows) => {
      const request: IDBRequest<Entry[]> = rows.getAll();
      request.onsuccess = () => {
        try {
          change(rows, request.result);
        } catch {
          // Something is there that is none of ours.
        }
      };
    });
  }
}
