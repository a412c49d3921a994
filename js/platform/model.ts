// What goes into the core and comes out of it: types alone.

/** The text of a row's fields, as src/span.rs reads it. */
export interface RowText {
  readonly text: string;
  /** Where its last field, the output, begins, in UTF-16 units: in UTF-8 it begins there or later. */
  readonly outputAt: number;
}

/** A row, ready to be kept. */
export interface Row extends RowText {
  /** `SPAN_ROW` or `TRACE_ROW`. */
  readonly kind: number;
  /** When it began, in ms since 1970. */
  readonly startMs: number;
  /** When it ended; -1 while it goes on. */
  readonly endMs: number;
  /** When the row was written: of two rows with one id the later one wins. */
  readonly updatedMs: number;
  /** Whether its invocation ended first, or may yet. */
  readonly unfinished: boolean;
  /** Bytes that may be kept of it, beside what every row has. */
  readonly room: number;
}

/** What came back for an upload; status 0 when nothing did. */
export interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly message: string;
  readonly cause: unknown;
  readonly isCompressed: boolean;
  /** Whether it says that the rows are kept, and is none of Opik's: then there is no Opik at that URL. */
  readonly isForeign?: boolean;
}

/** Rows that were taken out of a buffer. */
export interface Taken {
  /** `SPAN_ROW` or `TRACE_ROW`. */
  readonly kind: number;
  /** As a request to Opik has them. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Where each row ends in the body. */
  readonly rowEnds: Uint32Array;
}
