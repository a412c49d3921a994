// One request's worth of rows on the JavaScript side: its bytes, and where its rows lie in them. What a
// response to it means is src/upload.rs.

/** What an upload carries. */
export type RowKind = "traces" | "spans";

/** Rows of one upload (Opik: 1 to 1000). */
export const MAX_UPLOAD_ROWS: number = 1000;
/** Bytes of one upload. */
export const MAX_UPLOAD_BYTES: number = 4 * 1024 * 1024;

/** An upload of rows that are JSON already. */
export function uploadOf(kind: RowKind, rows: readonly Uint8Array[]): Upload {
  const opening = new TextEncoder().encode(`{"${kind}":[`);
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
  return new Upload(`/v1/private/${kind}/batch`, body, rowEnds);
}

/** What became of an upload. */
export type Outcome = "sent" | "kept" | { readonly lost: string };

/** One upload, ready to send. */
export class Upload {
  /** Appended to the base URL of the API. */
  readonly path: string;
  /** `{"spans":[…]}` or `{"traces":[…]}` in UTF-8. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Where each row ends in the body. */
  readonly rowEnds: Uint32Array;
  /** The index of its first row in the upload that it was split from. */
  readonly firstRow: number;
  /** Whether its rows are to be written again: then they are not among those that can be lost. */
  isCheckpoint = false;
  /** Whether it was in a request. */
  wasSent = false;
  /** Whether its rows were in more than one. */
  isRetry = false;
  /** Told what became of it, or of each part that it was split into. */
  onSettled: ((upload: Upload, outcome: Outcome) => void) | undefined;
  /** The body as it was compressed, for the next attempt. */
  compressed: Uint8Array<ArrayBuffer> | undefined;

  constructor(path: string, body: Uint8Array<ArrayBuffer>, rowEnds: Uint32Array, firstRow = 0) {
    this.path = path;
    this.body = body;
    this.rowEnds = rowEnds;
    this.firstRow = firstRow;
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

  /** Its rows in two uploads. */
  split(): [Upload, Upload] {
    const middle = this.rows >> 1;
    return [this.#slice(0, middle), this.#slice(middle, this.rows)];
  }

  #slice(from: number, to: number): Upload {
    const opening = this.body.indexOf(0x5b) + 1; // "["
    // Between two rows is a comma.
    const start = from === 0 ? opening : (this.rowEnds[from - 1] as number) + 1;
    const end = this.rowEnds[to - 1] as number;
    const body = new Uint8Array(opening + end - start + 2);
    body.set(this.body.subarray(0, opening));
    body.set(this.body.subarray(start, end), opening);
    body.set([0x5d, 0x7d], body.length - 2); // "]}"
    const rowEnds = this.rowEnds.slice(from, to).map((rowEnd) => rowEnd - start + opening);
    const half = new Upload(this.path, body, rowEnds, this.firstRow + from);
    half.isCheckpoint = this.isCheckpoint;
    half.wasSent = this.wasSent;
    half.isRetry = this.isRetry;
    half.onSettled = this.onSettled;
    return half;
  }
}
