// Spans and traces that stay open longer than Opik accepts new rows of their age. Their rows are written early, while they
// are young enough (scope.ts). At their end, a separate request completes each of these rows. See docs/adr/0003.

import { RowBuffer } from "../deliver/buffer.js";
import type { Source } from "../deliver/model.js";
import { sourceOf } from "../deliver/source.js";
import { Upload } from "../deliver/upload.js";
import type { Reporter } from "../errors.js";
import type { Row } from "../platform/model.js";
import type { Settings } from "../settings.js";
import type { Open } from "./model.js";

/** Margin below Opik's age limit, for the time until a new row arrives. */
const MARGIN_MS = 5 * 60 * 1000;
/** Number of a client's open spans and traces that are held strongly. */
const MAX_HELD = 1000;
/** Number of further items that are held weakly, at 5 µs each (Node 24). Items beyond that number are never written early. */
const MAX_NOTED = 10_000;

/** `true` if `row` is too old to be sent as a new row. */
export function isOld({ startMs, updatedMs }: Row, { maxIdAgeMs }: Settings): boolean {
  return updatedMs - startMs > maxIdAgeMs - MARGIN_MS;
}

/**
 * Open spans and traces of a client. The host may drop a span without ending it, so the oldest are held weakly when there
 * are many.
 */
export class Noted {
  readonly #held = new Set<Open>();
  readonly #refs = new Map<string, WeakRef<Open>>();

  get size(): number {
    return this.#held.size + this.#refs.size;
  }

  add(item: Open): void {
    this.#held.add(item);
    if (this.#held.size <= MAX_HELD) return;
    const [oldest] = this.#held as unknown as [Open];
    this.#held.delete(oldest);
    if (typeof WeakRef !== "undefined" && this.#refs.size < MAX_NOTED) this.#refs.set(oldest.id, new WeakRef(oldest));
  }

  delete(item: Open): void {
    if (!this.#held.delete(item)) this.#refs.delete(item.id);
  }

  /** Oldest first. */
  *[Symbol.iterator](): Generator<Open> {
    for (const [id, ref] of this.#refs) {
      const item = ref.deref();
      if (item) yield item;
      else this.#refs.delete(id);
    }
    yield* this.#held;
  }
}

/** Rows that were too old at their end to be sent as new rows. Opik already has a row of each, written early. */
export class OldRows {
  readonly #rows: RowBuffer;
  readonly #uploads: Upload[] = [];
  readonly source: Source;

  constructor(reporter: Reporter, { limits }: Settings) {
    this.#rows = new RowBuffer(reporter, limits);
    this.source = sourceOf(this.#uploads, () => this.#rows.takeDropped());
  }

  /** Keeps the fields that complete a row Opik has. Returns the size of the row's text in bytes. */
  append(row: Row): number {
    const bytes = this.#rows.append(row);
    const taken = this.#rows.take();
    if (taken) {
      // `SpanUpdate` and `TraceUpdate` take the fields of a new row except these.
      const {
        id,
        start_time: _,
        last_updated_at: __,
        ...fields
      } = JSON.parse(new TextDecoder().decode(taken.rowBytes()[0]));
      // Metadata is always sent: the early row says that it is unfinished, and Opik might keep metadata that an update
      // leaves out.
      const body = new TextEncoder().encode(JSON.stringify({ metadata: {}, ...fields }));
      const upload = new Upload(taken.kind, body, Uint32Array.of(body.byteLength));
      upload.completes = id;
      this.#uploads.push(upload);
    }
    return bytes;
  }
}
