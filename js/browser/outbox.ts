// Holds a page's rows from their end to their delivery: in memory and in IndexedDB, from which the next visit sends the
// remaining rows. Without IndexedDB (private windows) they are only in memory.

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
import { isHeaderValue, OPIK_TOKEN_HEADER } from "../record/headers.js";
import type { TokenSource } from "../settings.js";
import { MAX_BODY_BYTES } from "./relay-transport.js";
import { Shift } from "./shift.js";
import { type Visit, visitOf } from "./visit.js";

/** Maximum bytes kept for later visits, and maximum bytes that wait for a token. Beyond these, the oldest rows are dropped. */
const MAX_BYTES = 5 * 1024 * 1024;
/** Maximum age of kept rows: a relay takes ids of the last 24 h. */
const MAX_AGE_MS = 23 * 60 * 60 * 1000;
/** Without Web Locks, a tab cannot show that it is alive, so rows of other tabs are left alone until they have this age. */
const FOREIGN_AGE_MS = 60_000;
/** Maximum number of this visit's tokens that are remembered: a day's, if each lives for 15 minutes. */
const MAX_TOKENS = 100;

const DATABASE = "opik-edge";
const STORE = "rows";

/** A row that waits to be sent. */
interface Entry {
  readonly key: string;
  /** The tab that is responsible for it. */
  readonly tab: string;
  readonly kind: RowKind;
  json: Uint8Array<ArrayBuffer>;
  /** The time at which it was kept, in ms since 1970. */
  readonly ms: number;
  /** The key of a score; of several scores with one key the latest counts. */
  score: string | undefined;
  /** A token of its visit, if the relay asks for a token. */
  token: string | undefined;
  /** The secret of its visit; rows of earlier versions have no secret. */
  readonly secret: string | undefined;
}

/** The expiry of a token, or infinity if it states no expiry. */
function expiryOf(token: string): number {
  return tokenExpiry(token) ?? Number.POSITIVE_INFINITY;
}

/** `true` if this page can send. A page without the core, as under a strict policy, leaves rows to a page that has it. */
function canSend(): boolean {
  try {
    return getCore().isLive;
  } catch {
    return false;
  }
}

/** Web Locks (W3C): a lock is held until its promise has settled or its page is gone. */
interface Locks {
  request(name: string, run: () => Promise<void>): Promise<void>;
}

/** The outbox of a page with its relay at `url`. */
export function openOutbox(url: URL, source: TokenSource | undefined): Outbox {
  return new PageOutbox(url, source);
}

/** The outbox of one client. */
class PageOutbox implements Outbox {
  /** The relay of these rows, which are not sent to another. */
  readonly #name: string;
  readonly #source: TokenSource | undefined;
  readonly #visit: Visit;
  /** The tokens of this visit with their expiries, oldest first. */
  #tokens: (readonly [token: string, expiresMs: number])[] = [];
  /** Tokens of earlier visits that the relay no longer accepts. */
  readonly #refused = new Set<string | undefined>();
  #learning: Promise<void> | undefined;
  #asksSoon = false;
  readonly #tab: string = `${now()}-${randomBits()}`;
  /** Rows that can be sent. */
  #waiting: Entry[] = [];
  /** Number of rows that were taken. */
  #taken = 0;
  /** Rows that wait for a token of this visit. They are only in memory, since another visit may belong to another user. */
  #held: Entry[] = [];
  #heldBytes = 0;
  #unwritten: Entry[] = [];
  /** Set once the relay has refused this visit's rows because of the page's clock. */
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

  /**
   * An id of this visit, for a span or trace that begins at `ms`. A row needs a token from the time when it began, so a
   * missing token is requested now.
   */
  mint(ms: number): string {
    const [, expiresMs = 0] = this.#tokens.at(-1) ?? [];
    if (expiresMs < now()) this.#askSoon();
    return this.#visit.mint(ms);
  }

  /**
   * Adds the token only for the page's own origin, whatever `propagateTo` says, because the token allows writing through
   * the relay.
   */
  authorize({ origin }: URL, own: () => unknown, headers: Record<string, string>): void {
    const token = this.#tokens.at(-1)?.[0] ?? this.#source; // a token from the settings is available at once
    try {
      if (origin === "null" || origin !== location.origin || typeof token !== "string") return;
      const given = Object(own());
      const isList = Symbol.iterator in given;
      // Headers that can be read only once are left to the platform.
      if (isList && !("at" in given || "has" in given)) return;
      const names: unknown[] = isList ? Array.from(given, ([name]) => name) : Object.keys(given);
      const isOwn = /^opik-token$/im.test(names.join("\n"));
      if (!isOwn && token && isHeaderValue(token) && expiryOf(token) >= now()) headers[OPIK_TOKEN_HEADER] = token;
    } catch {
      // No location, a getter that throws, or invalid headers.
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

  /** Takes out the next upload that can be sent. Settled rows are deleted at rest; kept rows stay for later visits. */
  take(isEarly: boolean): Upload | undefined {
    if (isEarly) return undefined;
    this.#forgetSuperseded();
    const entries = firstOfOneUpload(this.#waiting, MAX_BODY_BYTES - 100);
    if (entries.length === 0) return undefined;
    this.#waiting = this.#waiting.filter((entry) => !entries.includes(entry));
    this.#taken += entries.length;
    return this.#uploadOf(entries);
  }

  /** Marks the rows that can be sent now. The returned function counts how many of them are still waiting. */
  mark(): () => number {
    const { length } = this.#waiting;
    const taken = this.#taken;
    return () => Math.max(0, length - (this.#taken - taken));
  }

  /** Rows lost since the last call. */
  takeDropped(): Dropped {
    const dropped = this.#dropped;
    this.#dropped = {};
    return dropped;
  }

  /** Asks for the token that rows wait for; `undefined` if no row does. */
  ready(): Promise<void> | undefined {
    return this.#held.length > 0 ? this.#learn() : undefined;
  }

  /** Ends the visit: drops the waiting rows, also in other tabs and at rest, and forgets the token. */
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
    await this.#write((rows) => rows.delete(IDBKeyRange.bound(`${start} `, `${start}!`))); // "!" is the character after the blank
    this.#found();
  }

  /** Takes over rows of tabs that are gone, and of other tabs once they are gone. Calls `found` each time. */
  async recover(found: () => void): Promise<void> {
    this.#found = found;
    if (!(await this.#open())) return;
    const { locks } = navigator as { locks?: Locks };
    // This tab is alive while it holds this lock.
    void locks?.request(this.#lockOf(this.#tab), () => new Promise(() => {})).catch(() => {});
    const adopt = async (tab: string): Promise<void> => {
      if (await this.#adopt(tab)) found();
    };
    const tabs = new Set<string>();
    await this.#look((_, entries) => {
      for (const { tab } of entries) if (tab !== this.#tab) tabs.add(tab);
    });
    for (const tab of tabs) {
      // The lock is granted when that tab is gone. Only one of the waiting tabs adopts the rows; the next ones find no
      // more.
      if (locks) void locks.request(this.#lockOf(tab), () => adopt(tab)).catch(() => {});
      else await adopt(tab);
    }
  }

  /** Takes over the rows of another tab. Resolves to `true` if there are any. */
  async #adopt(tab: string): Promise<boolean> {
    if (!canSend()) return false;
    const { secret } = this.#visit;
    const isLocked = "locks" in navigator;
    let bytes = 0;
    const adopted: Entry[] = [];
    // In one transaction, so that rows that are discarded meanwhile are not written again.
    await this.#look((rows, found) => {
      bytes = 0;
      adopted.length = 0;
      const entries = found.filter((entry) => entry.tab === tab).sort((one, other) => other.ms - one.ms);
      for (const entry of entries) {
        bytes += entry.json.byteLength;
        const age = now() - entry.ms;
        const isOfRelay = entry.key.startsWith(`${this.#name} `);
        // A row without a token was kept by a version that would have sent it with any user's token.
        const isNobodys = isOfRelay && this.#source !== undefined && entry.token === undefined;
        if (age > MAX_AGE_MS || bytes > MAX_BYTES || isNobodys) rows.delete(entry.key);
        else if (isOfRelay && (isLocked || age > FOREIGN_AGE_MS)) {
          adopted.push({ ...entry, tab: this.#tab });
          rows.put({ ...entry, tab: this.#tab });
        }
      }
    });
    if (secret !== this.#visit.secret) return false;
    this.#waiting.push(...adopted.reverse()); // oldest first, as recorded
    return adopted.length > 0;
  }

  #keep(entries: readonly Entry[]): void {
    this.#waiting.push(...entries);
    // Rows that end together are written in one transaction.
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

  /** Asks once for all rows that begin or end together, after the host's current synchronous code. */
  #askSoon(): void {
    if (this.#asksSoon || this.#source === undefined) return;
    this.#asksSoon = true;
    queueMicrotask(() => {
      this.#asksSoon = false;
      void this.#learn();
    });
  }

  /** Asks for the current token, and gives it to the rows that wait for it. Never rejects. */
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
      // No token is available now.
    }
    if (secret !== this.#visit.secret) return; // the token may belong to the previous user
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

  /** Keeps only the latest of several scores with one key. */
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
    // For rows of this visit, the latest token replaces a forgotten token, and for scores also an expired one.
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
        // A later visit of the same user may still deliver the rows.
        return this.#refused.has(token) ? "aside" : undefined;
      },
      refused: () => {
        if (!isOwn) return this.#refused.add(token).size > 0;
        // Another token may have arrived during the request.
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

  /** Corrects those rows of this visit that a wrong clock made. Returns the changed rows. */
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
        resolve(undefined); // forbidden or missing
      }
    });
    return this.#database;
  }

  /** Changes the stored rows in one transaction, which is retried once if it fails. */
  async #write(change: (rows: IDBObjectStore) => unknown, isAgain = false): Promise<void> {
    const database = await this.#open();
    if (!database) return;
    const isDone = await new Promise<boolean>((resolve) => {
      try {
        const transaction = database.transaction(STORE, "readwrite");
        change(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(true);
        transaction.onabort = () => resolve(false); // the quota is exceeded, or the disk fails
      } catch {
        this.#database = undefined; // the connection is gone: WebKit closes it when the process behind it ends
        resolve(false);
      }
    });
    if (!isDone && !isAgain) await this.#write(change, true);
  }

  /** Passes all stored rows to `change`, which may change them in the same transaction. */
  #look(change: (rows: IDBObjectStore, entries: Entry[]) => void): Promise<void> {
    return this.#write((rows) => {
      const request: IDBRequest<Entry[]> = rows.getAll();
      request.onsuccess = () => {
        try {
          change(rows, request.result);
        } catch {
          // An entry that this package did not write.
        }
      };
    });
  }
}
