// Types of the parts of delivery. Only types, so that every file can import them.

import type { Fetch, InstrumentFetchOptions, TokenSource, Transport } from "../settings.js";
import type { Dropped, FlushReport } from "./report.js";
import type { Upload } from "./upload.js";

/** Supplies a `Delivery` with uploads. */
export interface Source {
  /** Takes out the next upload, with `isEarly` only an upload of rows that are written early; `undefined` if no row waits. */
  take(isEarly: boolean): Upload | undefined;
  /** Marks the rows that wait now. The returned function counts how many of them are still waiting. */
  mark(): () => number;
  /** Rows lost in the source since the last call. */
  takeDropped(): Dropped;
}

/** Options of one flush. */
export interface FlushMode {
  /** Longest duration, in ms. */
  readonly timeoutMs: number;
  /** `true` for the last flush. Its deadline then aborts running requests, and the remaining rows are lost and counted. */
  readonly isLast?: boolean;
}

/** The circumstances of a delivery. */
export interface DeliveryOptions {
  /** `true` if its requests count together until it ends. */
  readonly isInvocation?: boolean;
  /**
   * `true` if different requests of a Worker may flush it. These must not wait for each other, so each flush sends only the
   * rows that it finds.
   */
  readonly isShared?: boolean;
  /** `true` if rows that the last flush leaves stay available: in an outbox, or at the code that handed them over. */
  readonly keeps?: boolean;
  /** Called when nothing is being sent any more. */
  readonly onIdle?: () => void;
}

/** The sending side, as seen by the code that wakes it: delivery.ts. */
export interface Sender {
  /** `true` if no row waits to be sent. */
  readonly isEmpty: boolean;
  /** `true` while an upload is being sent or a flush waits. */
  readonly isRunning: boolean;
  /** Remaining pause of the destination, in ms. */
  readonly pauseMs: number;
  /** Ends the destination's pause, to try one upload. */
  probe(): void;
  /** Sends waiting rows without waiting for the result. */
  wake(): void;
  /** Sends waiting rows and waits for the result. Never rejects. */
  flush(mode: FlushMode): Promise<FlushReport>;
}

/** Keeps a client's rows until they are delivered, even beyond its own life. js/browser/outbox.ts implements it for pages. */
export interface Outbox extends Source {
  /** An id for a span or trace that begins at `ms`. */
  mint(ms: number): string;
  /**
   * Adds the page's token to the trace headers of a call to the page's own origin, if a valid token is at hand and the host
   * has set none itself. `own` returns the host's headers.
   */
  authorize?(url: URL, own: () => unknown, headers: Record<string, string>): void;
  /** Keeps the rows of an upload. */
  add(upload: Upload): void;
  /** Resolves when rows that wait for a token can be sent; `undefined` if no row does. */
  ready(): Promise<void> | undefined;
  /** Drops everything. */
  discard(): Promise<void>;
  /** Takes over the rows of earlier visits, and calls `found` each time. */
  recover(found: () => void): Promise<void>;
}

/** Makes one traced call, using `original`. */
export type CallTraced = (original: Fetch, args: Parameters<Fetch>) => Promise<Response>;

/** The parts of a page's client: js/browser/. */
export interface Page {
  readonly relayTransport: (url: URL) => Transport;
  readonly openOutbox: (url: URL, tokens: TokenSource | undefined) => Outbox;
  readonly instrumentFetch: (traced: CallTraced, options: InstrumentFetchOptions) => () => void;
}

/** The part of a client that flushes it. */
export interface Flushable {
  flush(options?: { readonly timeoutMs?: number | undefined }): Promise<FlushReport>;
}

/** The clients of a process: flush-clients.ts. */
export interface Clients {
  /** Adds `client`, which must be a `Flushable`, to the clients that are flushed together. */
  readonly add: (client: object) => void;
  /** Flushes all clients and `own`. Returns the sum of their reports, or `undefined` if there is no client. Never rejects. */
  flush(options?: Parameters<Flushable["flush"]>[0], own?: Flushable): Promise<FlushReport> | undefined;
}
