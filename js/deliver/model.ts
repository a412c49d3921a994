// What delivery is plugged together from: types alone.

import type { Fetch, InstrumentFetchOptions, TokenSource, Transport } from "../settings.js";
import type { Dropped, FlushReport } from "./report.js";
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

/** How rows are flushed. */
export interface FlushMode {
  /** How long it may take, in ms. */
  readonly timeoutMs: number;
  /** Whether it is the last one: then its deadline breaks off what is under way, and what is left is lost, and counted. */
  readonly isLast?: boolean;
}

/** What a delivery is for. */
export interface DeliveryOptions {
  /** Whether its requests are counted together until it ends. */
  readonly isInvocation?: boolean;
  /**
   * Whether its flushes may be of different requests of a Worker, which must not wait for each other: then each sends what it
   * finds, and nothing else.
   */
  readonly isShared?: boolean;
  /** Whether what the last flush leaves stays in reach: in an outbox, or with whoever handed it over. */
  readonly keeps?: boolean;
  /** Told when nothing is under way any more. */
  readonly onIdle?: () => void;
}

/** What is woken to send: delivery.ts. */
export interface Sender {
  /** Whether nothing waits to be sent. */
  readonly isEmpty: boolean;
  /** Whether something is being sent. */
  readonly isRunning: boolean;
  /** For how many ms the destination is still left alone. */
  readonly pauseMs: number;
  /** Tries one upload even while the destination is left alone. */
  probe(): void;
  /** Sends what is there, and waits for nothing. */
  wake(): void;
  /** Sends what is there, and waits for it. Never rejects. */
  flush(mode: FlushMode): Promise<FlushReport>;
}

/** Where a client keeps its rows until they are delivered, also beyond its own life: a page's is js/browser/outbox.ts. */
export interface Outbox extends Source {
  /** An id for what begins at `ms`. */
  mint(ms: number): string;
  /**
   * Adds the page's token to the trace headers of a call, where the call is to the page's own origin, the host has set none itself
   * (`own` gives its headers), and one is at hand that is still good.
   */
  authorize?(url: URL, own: () => unknown, headers: Record<string, string>): void;
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
}

/** A client, as far as it is flushed. */
export interface Flushable {
  flush(options?: { readonly timeoutMs?: number | undefined }): Promise<FlushReport>;
}

/** The clients of a process: flush-clients.ts. */
export interface Clients {
  /** Has `client`, which is a `Flushable`, be flushed with the others. */
  readonly add: (client: object) => void;
  /** Flushes all of them, and `own`; gives the sum of their reports, `undefined` where there is none of them. Never rejects. */
  flush(options?: Parameters<Flushable["flush"]>[0], own?: Flushable): Promise<FlushReport> | undefined;
}
