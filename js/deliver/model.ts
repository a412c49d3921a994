// What delivery is plugged together from: types alone.

import type { Reporter } from "../errors.js";
import type { Fetch } from "../platform/host-fetch.js";
import type { InstrumentFetchOptions, TokenSource, Transport } from "../settings.js";
import type { Dropped } from "./report.js";
import type { Upload } from "./upload.js";

/** Where a `Delivery` gets its uploads from. */
export interface Source {
  /** Takes out the next upload, with `isEarly` of what is written early alone; `undefined` when there is none. */
  take(isEarly: boolean): Upload | undefined;
  /** What tells how many of the rows that are there now are still there. */
  mark(): () => number;
  /** What was lost there since the last call. */
  takeDropped(): Dropped;
}

/** Where a client keeps its rows until they are delivered, also beyond its own life: a page's is js/browser/outbox.ts. */
export interface Outbox extends Source {
  /** An id for what begins at `ms`. */
  mint(ms: number): string;
  /** Keeps the rows of an upload. */
  add(upload: Upload): void;
  /** Resolves when rows can be sent that wait for something; `undefined` where none does. */
  ready(): Promise<void> | undefined;
  /** Drops everything. */
  discard(): Promise<void>;
  /** Takes over what was left, and tells `found` each time. */
  recover(found: () => void): Promise<void>;
}

/** Makes one traced call, by `original`. */
export type CallTraced = (original: Fetch, args: Parameters<Fetch>) => Promise<Response>;

/** The parts of a page's client: js/browser/. */
export interface Page {
  readonly relayTransport: (url: URL) => Transport;
  readonly openOutbox: (url: URL, tokens: TokenSource | undefined) => Outbox;
  readonly instrumentFetch: (traced: CallTraced, options: InstrumentFetchOptions) => () => void;
  readonly warnOfCors: (url: URL, names: readonly string[], reporter: Reporter) => void;
}
