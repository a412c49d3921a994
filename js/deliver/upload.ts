// One request's worth of rows on the JavaScript side: its bytes, and where its rows lie in them. What a
// response to it means is src/upload.rs.

import type { DropReason } from "../errors.js";
import type { Answer } from "../platform/model.js";

/** What an upload carries. */
export type RowKind = "traces" | "spans" | "trace_scores" | "span_scores";

/** Where each kind goes, below the base URL of the API. */
export const PATHS: Record<RowKind, string> = {
  traces: "/v1/private/traces/batch",
  spans: "/v1/private/spans/batch",
  trace_scores: "/v1/private/traces/feedback-scores",
  span_scores: "/v1/private/spans/feedback-scores",
};

/** Every kind. */
export const ROW_KINDS: readonly RowKind[] = Object.keys(PATHS) as RowKind[];

/** The kind that goes to `url`, which ends with one of the paths. */
export function kindOf(url: string): RowKind {
  return ROW_KINDS.find((kind) => url.endsWith(PATHS[kind])) as RowKind;
}

/** Whether rows of `kind` are feedback scores. */
export function isOfScores(kind: RowKind): boolean {
  return kind.endsWith("scores");
}

/** What a score's row scores: of those with one key the last one counts. */
export function scoreKey({ id, name }: { readonly id?: unknown; readonly name?: unknown }): string {
  return `${id} ${name}`;
}

/** Where the id of a row lies in it: behind `{"id":"`. */
const ID_AT = 7;
const ID_CHARS = 36;

/** Rows of one upload (Opik: 1 to 1000). */
export const MAX_UPLOAD_ROWS: number = 1000;
/** Bytes of one upload. */
export const MAX_UPLOAD_BYTES: number = 4 * 1024 * 1024;

/** The id of a row, which stands at its beginning. */
export function idOf(json: Uint8Array): string {
  return new TextDecoder().decode(json.subarray(ID_AT, ID_AT + ID_CHARS));
}

/** An upload of rows that are JSON already. */
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

/** A row that is JSON already, on its way into an upload. */
export interface PackedRow {
  readonly kind: RowKind;
  readonly json: Uint8Array;
  /** For a page's relay: what it was recorded with. */
  readonly token?: string | undefined;
  readonly secret?: string | undefined;
}

/** The first of `rows`, of traces before spans, and all that fit into one upload with it: of its kind, token and secret, in order. */
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

/** The body of an upload to `url` for what has no paths: rows under the name of their kind, behind `members`. */
export function selfContained(url: string, body: Uint8Array<ArrayBuffer>, members?: object): Uint8Array<ArrayBuffer> {
  const head = new TextEncoder().encode(JSON.stringify({ ...members, [kindOf(url)]: 0 }).slice(0, -2)); // without `0}`
  const rows = body.subarray(body.indexOf(0x5b)); // "["
  const enveloped = new Uint8Array(head.byteLength + rows.byteLength);
  enveloped.set(head);
  enveloped.set(rows, head.byteLength);
  return enveloped;
}

/** What became of an upload. */
export type Outcome = "sent" | "kept" | "aside" | { readonly lost: DropReason };

/** What an upload has beside its rows where it goes to a page's relay: see js/browser/outbox.ts. */
export interface Envelope {
  /** What its rows were recorded with, where the relay asks for one. */
  readonly token: string | undefined;
  /** By which the relay knows their ids for those of the page. */
  readonly secret: string | undefined;
  /** What has become of its rows since, if they are not to be sent any more. */
  outcome(): Outcome | undefined;
  /** Notes that the relay refuses the token. Gives whether another one, or an outcome, is there now. */
  refused(): boolean;
  /**
   * What is to be sent in place of an upload that was refused for the clock of who made its rows, which is `offsetMs` behind; `undefined` where
   * that is not why, or it is put right already.
   */
  shifted(upload: Upload, answer: Answer, offsetMs: number): Upload | undefined;
}

/** One upload, ready to send. */
export class Upload {
  readonly kind: RowKind;
  /** `{"spans":[…]}`, `{"traces":[…]}` or `{"scores":[…]}` in UTF-8. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Where each row ends in the body. */
  readonly rowEnds: Uint32Array;
  /** The indices of its rows in the upload that it was taken out of; `undefined` where it is whole. */
  readonly indices: readonly number[] | undefined;
  /** Whether its rows are to be written again: then they are not among those that can be lost. */
  isCheckpoint = false;
  /** The id of the row that its body, which is an object of fields then, completes. */
  completes: string | undefined;
  /** Counts up in the order in which its delivery took them. */
  number = 0;
  /** Why it was last not delivered. */
  failure: DropReason | undefined;
  /** Whether it was in a request. */
  wasSent = false;
  /** Whether its rows were in more than one. */
  isRetry = false;
  /**
   * For rows that strangers may have written: where the second half begins when they are refused, as an index of the upload's
   * rows, or 0 for no further. Such an upload is tried twice at most, and that the backend fails on it says nothing of others.
   */
  splitAt: ((upload: Upload) => number) | undefined;
  /** Told that it, or a part that it was split into, was accepted (`wasSent`) or is lost for good. */
  onSettled: ((upload: Upload, wasSent: boolean) => void) | undefined;
  envelope: Envelope | undefined;
  /** The body as it was compressed, for the next attempt. */
  compressed: Uint8Array<ArrayBuffer> | undefined;

  constructor(kind: RowKind, body: Uint8Array<ArrayBuffer>, rowEnds: Uint32Array) {
    this.kind = kind;
    this.body = body;
    this.rowEnds = rowEnds;
  }

  /** Appended to the base URL of the API. */
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

  /** How many rows it carries. */
  get rows(): number {
    return this.rowEnds.length;
  }

  /** Each of its rows by itself. */
  rowBytes(): Uint8Array<ArrayBuffer>[] {
    let from = this.body.indexOf(0x5b) + 1; // "["
    return [...this.rowEnds].map((end) => {
      const row = this.body.slice(from, end);
      from = end + 1;
      return row;
    });
  }

  /** Its rows in two uploads; `undefined` where they are not to be split further. */
  split(): [Upload, Upload] | undefined {
    const middle = this.splitAt ? this.splitAt(this) : this.rows >> 1;
    return middle > 0 ? [this.pick((row) => row < middle), this.pick((row) => row >= middle)] : undefined;
  }

  /** An upload of those of its rows, by their indices, that `isIn` names: one at least. */
  pick(isIn: (row: number) => boolean): Upload {
    const indices = [...this.rowEnds.keys()].filter(isIn);
    const rows = this.rowBytes();
    const picked = this.with(indices.map((index) => rows[index] as Uint8Array));
    return Object.assign(picked, { indices: indices.map((index) => this.indices?.[index] ?? index) });
  }

  /** The same with `rows` in place of its own. */
  with(rows: readonly Uint8Array[]): Upload {
    const { body, rowEnds } = uploadOf(this.kind, rows);
    return Object.assign(new Upload(this.kind, body, rowEnds), this, { body, rowEnds, compressed: undefined });
  }

  /** Of what there is one of for each row that it began with, those of its own rows. */
  partOf<T>(all: readonly T[]): readonly T[] {
    return this.indices?.map((index) => all[index] as T) ?? all;
  }
}
