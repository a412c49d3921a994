// The ended rows of one invocation: a handle into the core, safe to use after its end and after a
// trap. Counts every row that it could not keep. Next in the flow: delivery.ts.

import { type BufferLimits, type Core, CUT, getCore, LEFT_OUT, type Row, releaseIdleCore } from "./core.js";
import { now } from "./env.js";
import { OpikError, type Reporter } from "./errors.js";
import type { Dropped } from "./flush.js";
import type { Upload } from "./upload.js";

/** The rows of one invocation, kept in WebAssembly memory until they are taken. */
export class RowBuffer {
  readonly #reporter: Reporter;
  readonly #limits: BufferLimits;
  #core: Core | undefined;
  #handle = 0;
  #rows = 0;
  #closed = false;
  #dropped: Dropped = {};

  constructor(reporter: Reporter, limits: BufferLimits) {
    this.#reporter = reporter;
    this.#limits = limits;
  }

  /** Keeps a row, and says whether it could; what can not be kept is counted and reported. Never throws. */
  append(row: Row): boolean {
    if (this.#closed) {
      this.#reporter.once("invocation_ended", "a span ended after its invocation: nothing was recorded");
      return false;
    }
    try {
      const core = this.#open();
      const result = core.append(this.#handle, row);
      if (result < 0) {
        this.#drop(core.dropReason(result), 1);
        return false;
      }
      this.#rows += 1;
      if (result & LEFT_OUT) {
        this.#reporter.once("field_dropped", "an entry the Opik API would refuse was left out of a row");
      }
      if (result & CUT) this.#reporter.once("field_cut", "a row was cut to its limits: see the setting `limits`");
      return true;
    } catch (error) {
      this.#lost(error, 1);
      return false;
    }
  }

  /** Takes out everything that is there, as uploads. Never throws. */
  takeAll(): Upload[] {
    const uploads: Upload[] = [];
    if (this.#core === undefined || this.#closed) return uploads;
    try {
      while (this.#rows > 0) {
        const upload = this.#core.take(this.#handle);
        if (!upload) break;
        this.#rows -= upload.rows;
        uploads.push(upload);
      }
      // A client may idle for hours: an emptied buffer is given back, the next row opens another.
      this.#release();
      if (this.#rows > 0) this.#drop("stale_buffer", this.#rows);
      this.#rows = 0;
    } catch (error) {
      this.#lost(error, 0);
    }
    return uploads;
  }

  /** What was lost since the last call. */
  takeDropped(): Dropped {
    const dropped = this.#dropped;
    this.#dropped = {};
    return dropped;
  }

  /** Frees what is left. A closed buffer keeps nothing more. */
  close(): void {
    this.#closed = true;
    try {
      this.#release();
    } catch {
      // The instance is gone, and the rows with it; that was counted when they were taken.
    }
  }

  #release(): void {
    const core = this.#core;
    this.#core = undefined;
    core?.closeBuffer(this.#handle);
    releaseIdleCore();
  }

  #open(): Core {
    // What its instance held died with it; the next row need not.
    if (this.#core?.isLive === false) this.#lost(new OpikError("wasm_trap", "this WebAssembly instance is gone"), 0);
    if (this.#core === undefined) {
      const core = getCore();
      this.#handle = core.openBuffer(now(), this.#limits);
      this.#core = core;
    }
    return this.#core;
  }

  /** An instance died: what it held is lost with it; the next row opens another. */
  #lost(error: unknown, alsoLost: number): void {
    this.#core = undefined;
    const rows = this.#rows + alsoLost;
    this.#rows = 0;
    if (rows > 0) this.#count(error instanceof OpikError ? error.code : "unexpected", rows);
    this.#reporter.failure(error);
  }

  #drop(reason: string, rows: number): void {
    this.#count(reason, rows);
    this.#reporter.once("row_dropped", `a row could not be kept: ${reason}`, undefined, reason);
  }

  #count(reason: string, rows: number): void {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + rows;
  }
}
