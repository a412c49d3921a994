// The server's JSON answers to the page and to tests. Times are ms since 1970, with fractions; durations are ms.

/** A trace in the list. */
export interface TraceSummary {
  readonly id: string;
  /** Counts traces in the order in which they arrived. */
  readonly n: number;
  readonly name: string;
  /** More than one where its rows disagree. */
  readonly projects: readonly string[];
  readonly start: number;
  /** `null` while it is open. */
  readonly ms: number | null;
  readonly spans: number;
  readonly errors: number;
  readonly tokens: number;
  /** The sum of all `total_estimated_cost`, in USD. */
  readonly cost: number;
  readonly thread: string | null;
  /** The senders of its rows. */
  readonly senders: readonly string[];
  /** Whether its own row is there, and not only spans of it. */
  readonly hasRow: boolean;
  /** The trace's own error. */
  readonly error: string | null;
}

/** A row without its input, output and metadata. */
export interface RowSummary {
  /** Names the row within its trace. */
  readonly key: string;
  readonly id: string;
  readonly parent: string | null;
  readonly project: string;
  readonly name: string;
  readonly type: string;
  /** `null` for a row of which only an update has arrived. */
  readonly start: number | null;
  readonly end: number | null;
  /** Its exception's type. */
  readonly error: string | null;
  readonly model: string | null;
  readonly provider: string | null;
  readonly tokens: number | null;
  readonly cost: number | null;
  readonly ttft: number | null;
  readonly sender: string;
  /** `true` if its metadata has `opik_edge_cancelled` or `opik_edge_unfinished`. */
  readonly cancelled: boolean;
  readonly unfinished: boolean;
  readonly scores: readonly Score[];
}

/** A feedback score. */
export interface Score {
  readonly name: string;
  readonly value: number;
  readonly reason?: string;
}

/** A trace with its rows. */
export interface TraceAnswer {
  readonly summary: TraceSummary;
  readonly traces: readonly RowSummary[];
  readonly spans: readonly RowSummary[];
}

/** One row, whole. */
export interface RowAnswer {
  readonly row: Readonly<Record<string, unknown>>;
  readonly sender: string;
}

/** The scores of a thread, and its traces, oldest first, each with its input and output. */
export interface ThreadAnswer {
  readonly thread: string;
  readonly scores: readonly Score[];
  readonly turns: readonly { readonly summary: TraceSummary; readonly input: unknown; readonly output: unknown }[];
}

/** A request that was refused. */
export interface RefusalEntry {
  /** Counts refusals. */
  readonly n: number;
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly message: string;
  readonly details: string | null;
  readonly sender: string;
  /** Number of rows in the batch. */
  readonly rows: number | null;
  /** The number of the row in its batch, from 0. */
  readonly row: number | null;
  readonly id: string | null;
  readonly name: string | null;
  readonly field: string | null;
  /** The field's value as JSON, cut to 200 characters. */
  readonly value: string | null;
  /** The fix. */
  readonly fix: string | null;
}

/** Counts of kept, dropped and forwarded rows. */
export interface Status {
  readonly version: string;
  readonly traces: number;
  readonly spans: number;
  /** Of the rows, as JSON. */
  readonly bytes: number;
  /** Number of traces that were dropped to make room. */
  readonly dropped: number;
  /** Where they are kept; `null` for memory. */
  readonly file: string | null;
  readonly refusals: number;
  readonly forward: ForwardStatus | null;
}

/** Results of the forwarded requests. */
export interface ForwardStatus {
  readonly url: string;
  readonly accepted: number;
  readonly failed: number;
  /** The last failed request. */
  readonly lastFailure: string | null;
}

/** The answer to a list. */
export interface ListAnswer {
  readonly traces: readonly TraceSummary[];
  /** Where the next page begins; `null` at the end. */
  readonly before: number | null;
  readonly status: Status;
}

/** An event of `/api/viewer/events`. */
export interface ChangeEvent {
  /** The traces that have changed; `null` for any of them. */
  readonly traces: readonly string[] | null;
}
