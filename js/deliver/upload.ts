// The rows of one request: the bytes of its body, and the position of each row. src/upload.rs interprets the response.

import type { DropReason } from "../errors.js";
import type { Answer } from "../platform/model.js";

/** The kinds of rows. */
export type RowKind = "traces" | "spans" | "trace_scores" | "span_scores" | "thread_scores";

/** The path of each kind, below the base URL of the API. */
export const PATHS: Record<RowKind, string> = {
  traces: "/v1/private/traces/batch",
  spans: "/v1/private/spans/batch",
  trace_scores: "/v1/private/traces/feedback-scores",
  span_scores: "/v1/private/spans/feedback-scores",
  thread_scores: "/v1/private/traces/threads/feedback-scores",
};

/** All kinds. */
export const ROW_KINDS: readonly RowKind[] = Object.keys(PATHS) as RowKind[];

/** The kind of the rows sent to `url`, which ends with one of the paths. */
export function kindOf(url: string): RowKind {
  return ROW_KINDS.find((kind) => url.endsWith(PATHS[kind])) as RowKind;
}

/** `true` if rows of `kind` are feedback scores. */
export function isOfScores(kind: RowKind): boolean {
  return kind.endsWith("scores");
}

/** The identity of a score: its target and name. Of several scores with one key the last one counts. */
export function scoreKey({ id, thread_id, name }: Partial<Record<"id" | "thread_id" | "name", unknown>>): string {
  return `${thread_id ?? id} ${name}`;
}

/** The position of the id in a row, after `{"id":"`. */
const ID_AT = 7;
const ID_CHARS = 36;

/** Maximum number of rows in one upload (Opik accepts 1 to 1000). */
export const MAX_UPLOAD_ROWS: number = 1000;
/** Maximum size of one upload in bytes. */
export const MAX_UPLOAD_BYTES: number = 4 * 1024 * 1024;

/** The id of a row, at its start. */
export function idOf(json: Uint8Array): string {
  return new TextDecoder().decode(json.subarray(ID_AT, ID_AT + ID_CHARS));
}

/** An upload of rows that are already JSON. */
export function uploadOf(kind: RowKind, rows: readonly Uint8Array[]): Upload {
  const opening = new TextEncoder().encode(`{"${isOfScores(kind) ? "scores" : kind}":[`);
  const body = new Uint8Array(rows.reduce((bytes, row) => bytes + row.byteLength + 1, opening.byteLength + 1));
  body.set(opening);
  const rowEnds = new Uint32Array(rows.length);
  let at = opening.byteLength;
  for (const [index, row] of rows.entries()) {
    body.set(row, at);
    at += row.byteLength;
    rowEnds[index] = at;
    body[at++] = 0x2c; // ","
  }
  body.set([0x5d, 0x7d], at - 1); // "]}" in place of the last comma
  return new Upload(kind, body, rowEnds);
}

/** A row as JSON, ready to be put into an upload. */
export interface PackedRow {
  readonly kind: RowKind;
  readonly json: Uint8Array;
  /** For a page's relay: the token and the secret that it was recorded with. */
  readonly token?: string | undefined;
  readonly secret?: string | undefined;
}

/**
 * The first of `rows`, traces before spans, with the rows that fit into the same upload: equal in kind, token and secret,
 * in order.
 */
export function firstOfOneUpload<R extends PackedRow>(rows: readonly R[], maxBytes: number): R[] {
  for (const kind of ROW_KINDS) {
    const ofKind = rows.filter((row) => row.kind === kind).slice(0, MAX_UPLOAD_ROWS);
    let bytes = 0;
    const end = ofKind.findIndex(({ token, secret, json }, index) => {
      bytes += json.byteLength + 1;
      const isOther = token !== ofKind[0]?.token || secret !== ofKind[0]?.secret;
      return isOther || (index > 0 && bytes > maxBytes);
    });
    if (ofKind.length > 0) return end < 0 ? ofKind : ofKind.slice(0, end);
  }
  return [];
}

/** The body of an upload to `url` for receivers without paths: `members`, then the rows under the name of their kind. */
export function selfContained(url: string, body: Uint8Array<ArrayBuffer>, members?: object): Uint8Array<ArrayBuffer> {
  const head = new TextEncoder().encode(JSON.stringify({ ...members, [kindOf(url)]: 0 }).slice(0, -2)); // without `0}`
  const rows = body.subarray(body.indexOf(0x5b)); // "["
  const enveloped = new Uint8Array(head.byteLength + rows.byteLength);
  enveloped.set(head);
  enveloped.set(rows, head.byteLength);
  return enveloped;
}

/** The outcome of an upload. */
export type Outcome = "sent" | "kept" | "aside" | { readonly lost: DropReason };

/** The data that accompanies an upload to a page's relay: see js/browser/outbox.ts. */
export interface Envelope {
  /** The token of its rows, if the relay asks for a token. */
  readonly token: string | undefined;
  /** The secret that proves to the relay that the ids belong to the page. */
  readonly secret: string | undefined;
  /** The outcome of its rows if they must not be sent any more. */
  outcome(): Outcome | undefined;
  /** Notes that the relay refused the token. Returns `true` if another token or an outcome is available now. */
  refused(): boolean;
  /**
   * The replacement, with corrected times, of an upload that was refused because its writer's clock is `offsetMs` behind.
   * `undefined` if it was refused for another reason, or is already corrected.
   */
  shifted(upload: Upload, answer: Answer, offsetMs: number): Upload | undefined;
}

/** One upload, ready to send. */
export class Upload {
  readonly kind: RowKind;
  /** `{"spans":[…]}`, `{"traces":[…]}` or `{"scores":[…]}` in UTF-8. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** The end of each row in the body. */
  readonly rowEnds: Uint32Array;
  /** The indices of its rows in the upload that it is a part of; `undefined` if it is whole. */
  readonly indices: readonly number[] | undefined;
  /** `true` if its rows will be written again, so that their loss does not count. */
  isCheckpoint = false;
  /** The id of an existing row that its body, a single object of fields, completes. */
  completes: string | undefined;
  /** Its position in the order in which its delivery took uploads. */
  number = 0;
  /** The reason of its last failure. */
  failure: DropReason | undefined;
  /** `true` if it was in a request. */
  wasSent = false;
  /** `true` if its rows were in more than one request. */
  isRetry = false;
  /**
   * For rows that strangers may have written: after a refusal, returns the row at which the second half begins, or 0 to
   * stop splitting. Such an upload is tried at most twice, and a server error on it does not count against the destination.
   */
  splitAt: ((upload: Upload) => number) | undefined;
  /** Called when the upload, or a part that it was split into, is accepted (`wasSent`) or lost for good. */
  onSettled: ((upload: Upload, wasSent: boolean) => void) | undefined;
  envelope: Envelope | undefined;
  /** The compressed body, for the next attempt. */
  compressed: Uint8Array<ArrayBuffer> | undefined;

  constructor(kind: RowKind, body: Uint8Array<ArrayBuffer>, rowEnds: Uint32Array) {
    this.kind = kind;
    this.body = body;
    this.rowEnds = rowEnds;
  }

  /** The path below the base URL of the API. */
  get path(): string {
    const path = PATHS[this.kind];
    return this.completes ? path.replace("batch", this.completes) : path;
  }

  get method(): "POST" | "PUT" | "PATCH" {
    return this.completes ? "PATCH" : this.isOfScores ? "PUT" : "POST";
  }

  get isOfScores(): boolean {
    return isOfScores(this.kind);
  }

  /** The number of its rows. */
  get rows(): number {
    return this.rowEnds.length;
  }

  /** Each of its rows separately. */
  rowBytes(): Uint8Array<ArrayBuffer>[] {
    let from = this.body.indexOf(0x5b) + 1; // "["
    return [...this.rowEnds].map((end) => {
      const row = this.body.slice(from, end);
      from = end + 1;
      return row;
    });
  }

  /** Two uploads with its rows; `undefined` if it must not be split further. */
  split(): [Upload, Upload] | undefined {
    const middle = this.splitAt ? this.splitAt(this) : this.rows >> 1;
    return middle > 0 ? [this.pick((row) => row < middle), this.pick((row) => row >= middle)] : undefined;
  }

  /** An upload of the rows whose indices `isIn` accepts, which must be at least one. */
  pick(isIn: (row: number) => boolean): Upload {
    const indices = [...this.rowEnds.keys()].filter(isIn);
    const rows = this.rowBytes();
    const picked = this.with(indices.map((index) => rows[index] as Uint8Array));
    return Object.assign(picked, { indices: indices.map((index) => this.indices?.[index] ?? index) });
  }

  /** A copy with other rows. */
  with(rows: readonly Uint8Array[]): Upload {
    const { body, rowEnds } = uploadOf(this.kind, rows);
    return Object.assign(new Upload(this.kind, body, rowEnds), this, { body, rowEnds, compressed: undefined });
  }

  /** The items that belong to its rows, out of `all`, which has an item for each row of the original upload. */
  partOf<T>(all: readonly T[]): readonly T[] {
    return this.indices?.map((index) => all[index] as T) ?? all;
  }
}
