// Ended rows of one invocation: a handle into the core that stays safe to use after its end and after a trap. Counts every
// row that it could not keep. Next in the flow: delivery.ts.

import { AWAIT_IT, type DropReason, OpikError, type OpikErrorCode, type Reporter } from "../errors.js";
import { BYTES_SHIFT, type Core, CUT, getCore, LEFT_OUT, releaseIdleCore, SPAN_ROW } from "../platform/core.js";
import { now } from "../platform/env.js";
import type { Row } from "../platform/model.js";
import type { Settings } from "../settings.js";
import { explainCut, explainLeftOut, type Tell } from "./explain-row.js";
import { addCounts, type Dropped, remedyOf } from "./report.js";
import { Upload } from "./upload.js";

/** The rows of one invocation, kept in WebAssembly memory until they are taken. */
export class RowBuffer {
  readonly #reporter: Reporter;
  readonly #limits: Settings["limits"];
  /** Called when a row does not fit; takes rows out. */
  readonly #makeRoom: () => void;
  #core: Core | undefined;
  #handle = 0;
  /** Rows kept so far, and how many of these are gone, as spans and traces. */
  readonly #added: [number, number] = [0, 0];
  #taken: [number, number] = [0, 0];
  #closed = false;
  #dropped: Dropped = {};

  constructor(reporter: Reporter, limits: Settings["limits"], makeRoom: () => void = () => {}) {
    this.#reporter = reporter;
    this.#limits = limits;
    this.#makeRoom = makeRoom;
  }

  /**
   * Keeps a row, and returns the size of its text in bytes; 0 if it cannot be kept, which is counted and reported. Never
   * throws.
   */
  append(row: Row): number {
    if (this.#closed) {
      this.#reporter.once("invocation_ended", `a span ended after its invocation: nothing was recorded; ${AWAIT_IT}`);
      return 0;
    }
    try {
      let result = this.#open().append(this.#handle, row);
      let reason = this.#reasonOf(result);
      if (reason === "buffer_full") {
        this.#makeRoom();
        result = this.#open().append(this.#handle, row);
        reason = this.#reasonOf(result);
      }
      if (reason) return this.drop(reason);
      this.#added[row.kind as 0 | 1] += 1;
      if (result & LEFT_OUT) explainLeftOut(row, this.#open().leftOut(), this.#teller("field_dropped"));
      if (result & CUT) explainCut(row, this.#open().firstCut(), this.#limits, this.#teller("field_cut"));
      return result >> BYTES_SHIFT;
    } catch (error) {
      this.#lost(error, 1);
      return 0;
    }
  }

  #teller(code: OpikErrorCode): Tell {
    return (field, sentence) => this.#reporter.once(code, sentence, undefined, field);
  }

  /** Counts a row that cannot be kept. */
  drop(reason: DropReason): 0 {
    addCounts(this.#dropped, { [reason]: 1 });
    this.#reporter.once("row_dropped", `a row could not be kept: ${reason}; ${remedyOf(reason)}`, undefined, reason);
    return 0;
  }

  /** Takes out the next upload; `undefined` if no row waits. Never throws. */
  take(): Upload | undefined {
    if (this.#core === undefined) return undefined;
    try {
      const taken = this.#core.take(this.#handle);
      if (taken) this.#taken[taken.kind as 0 | 1] += taken.rowEnds.length;
      else if (this.#left() > 0) {
        // It was untouched for so long that the core took its invocation for killed.
        addCounts(this.#dropped, { stale_buffer: this.#left() });
        this.#taken = [...this.#added];
      }
      // A client may idle for hours, so an empty buffer is closed; the next row opens another.
      if (this.#left() === 0) this.#release();
      return taken && new Upload(taken.kind === SPAN_ROW ? "spans" : "traces", taken.body, taken.rowEnds);
    } catch (error) {
      this.#lost(error, 0);
      return undefined;
    }
  }

  /** Marks the rows that wait now. The returned function counts how many of them are still waiting. */
  mark(): () => number {
    const [spans, traces] = this.#added;
    return () => this.#left(spans, traces);
  }

  /** The number of rows left of the first `spans` and `traces` that were kept; by default of all rows. */
  #left(spans = this.#added[0], traces = this.#added[1]): number {
    return Math.max(0, spans - this.#taken[0]) + Math.max(0, traces - this.#taken[1]);
  }

  /** Rows lost since the last call. */
  takeDropped(): Dropped {
    const dropped = this.#dropped;
    this.#dropped = {};
    return dropped;
  }

  /** Rejects rows from here on. Rows that wait can still be taken. */
  close(): void {
    this.#closed = true;
  }

  /** The reason for which a row was left out; "" if it was kept. */
  #reasonOf(result: number): DropReason | "" {
    return result < 0 ? this.#open().dropReason(result) : "";
  }

  #release(): void {
    const core = this.#core;
    this.#core = undefined;
    core?.closeBuffer(this.#handle);
    releaseIdleCore();
  }

  #open(): Core {
    // After a trap the instance's rows are lost, but the next row can go to a new instance.
    if (this.#core?.isLive === false)
      this.#lost(new OpikError("wasm_trap", "this WebAssembly instance is gone: report it"), 0);
    if (this.#core === undefined) {
      const core = getCore();
      this.#handle = core.openBuffer(now(), this.#limits);
      this.#core = core;
    }
    return this.#core;
  }

  /** Counts the rows of a dead instance as lost, together with `alsoLost` further ones. The next row opens another buffer. */
  #lost(error: unknown, alsoLost: number): void {
    this.#core = undefined;
    const rows = this.#left() + alsoLost;
    this.#taken = [...this.#added];
    if (rows > 0)
      addCounts(this.#dropped, { [error instanceof OpikError ? (error.code as DropReason) : "unexpected"]: rows });
    this.#reporter.failure(error);
  }
}
