// Spans and traces that are open for longer than Opik takes new rows of their age. While they are young enough their rows are written
// early (scope.ts); at their end the rows that Opik has are completed, each by a request of its own. See docs/adr/0003.

import { RowBuffer } from "../deliver/buffer.js";
import type { Source } from "../deliver/model.js";
import { sourceOf } from "../deliver/source.js";
import { Upload } from "../deliver/upload.js";
import type { Reporter } from "../errors.js";
import type { Row } from "../platform/model.js";
import type { Settings } from "../settings.js";
import type { Open } from "./model.js";

/** How much younger than Opik's limit a new row has to be: it takes a while to get there. */
const MARGIN_MS = 5 * 60 * 1000;
/** How many of a client's open spans and traces are held. */
const MAX_HELD = 1000;
/** How many more are noted, which takes 5 µs each (Node 24). Of further ones it is not seen that they last. */
const MAX_NOTED = 10_000;

/** Whether `row` is too old to be sent as a new one. */
export function isOld({ startMs, updatedMs }: Row, { maxIdAgeMs }: Settings): boolean {
  return updatedMs - startMs > maxIdAgeMs - MARGIN_MS;
}

/** What is open in a client. The host may lose a span without ending it: of many the older ones are not held. */
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

  /** The oldest first. */
  *[Symbol.iterator](): Generator<Open> {
    for (const [id, ref] of this.#refs) {
      const item = ref.deref();
      if (item) yield item;
      else this.#refs.delete(id);
    }
    yield* this.#held;
  }
}

/** The rows that were too old at their end to be sent as new ones, of which Opik has what was written early. */
export class OldRows {
  readonly #rows: RowBuffer;
  readonly #uploads: Upload[] = [];
  readonly source: Source;

  constructor(reporter: Reporter, { limits }: Settings) {
    this.#rows = new RowBuffer(reporter, limits);
    this.source = sourceOf(this.#uploads, () => this.#rows.takeDropped());
  }

  /** Keeps what completes the row that Opik has; gives how many bytes of its text. */
  append(row: Row): number {
    const bytes = this.#rows.append(row);
    const taken = this.#rows.take();
    if (taken) {
      // `SpanUpdate` and `TraceUpdate` have the fields of a new row but these.
      const {
        id,
        start_time: _,
        last_updated_at: __,
        ...fields
      } = JSON.parse(new TextDecoder().decode(taken.rowBytes()[0]));
      // What becomes of metadata that is not sent is Opik's affair, and the row says that it is unfinished.
      const body = new TextEncoder().encode(JSON.stringify({ metadata: {}, ...fields }));
      const upload = new Upload(taken.kind, body, Uint32Array.of(body.byteLength));
      upload.completes = id;
      this.#uploads.push(upload);
    }
    return bytes;
  }
}
