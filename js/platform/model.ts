// Types of the data that enters and leaves the core.

/** The text of a row's fields, as src/span.rs reads it. */
export interface RowText {
  readonly text: string;
  /** Start of the last field, the output, in UTF-16 units. The start in UTF-8 bytes is the same or greater. */
  readonly outputAt: number;
}

/** A row, ready to be kept. */
export interface Row extends RowText {
  /** `SPAN_ROW` or `TRACE_ROW`. */
  readonly kind: number;
  /** Start time in ms since 1970. */
  readonly startMs: number;
  /** End time; -1 while the span or trace is open. */
  readonly endMs: number;
  /** The time of writing. Of two rows with one id, the later one wins. */
  readonly updatedMs: number;
  /** `true` if its invocation ended first, or might end first. */
  readonly unfinished: boolean;
  /** Bytes that may be kept of the row, not counting the part that every row has. */
  readonly room: number;
}

/** The response to an upload; status 0 without a response. */
export interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly message: string;
  readonly cause: unknown;
  readonly isCompressed: boolean;
  /** `true` if the status reports success but the answer is not from Opik: then the URL is wrong. */
  readonly isForeign?: boolean;
}

/** Rows that were taken out of a buffer. */
export interface Taken {
  /** `SPAN_ROW` or `TRACE_ROW`. */
  readonly kind: number;
  /** The body of a request to Opik. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** The end of each row in the body. */
  readonly rowEnds: Uint32Array;
}
