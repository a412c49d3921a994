// One invocation, or a client outside any: whose settings apply, where its rows are kept, and which
// of its spans are still open. Concurrent requests share nothing but the WebAssembly instance.

import { RowBuffer } from "./buffer.js";
import type { Settings } from "./config.js";
import type { Reporter } from "./errors.js";
import { type FlushReport, flushBuffer } from "./flush.js";
import type { Masks } from "./json.js";

/** Something that is still open when its invocation ends. */
export interface Open {
  /** Ends it and marks it unfinished. */
  close(): void;
}

/** Where spans are recorded: settings, reporter and buffer of one invocation or one client. */
export class Scope {
  readonly settings: Settings;
  readonly reporter: Reporter;
  /** Objects of the invocation that must not be recorded: `env`, `ctx`. */
  readonly masks: Masks | undefined;
  readonly buffer: RowBuffer;
  /** The same in every row, so written once. */
  readonly projectJson: string;
  readonly environmentJson: string;
  readonly #open: Set<Open> | undefined;

  /** A scope with `masks` is an invocation: it ends, and then closes what is still open. */
  constructor(settings: Settings, reporter: Reporter, masks?: Masks) {
    this.settings = settings;
    this.reporter = reporter;
    this.masks = masks;
    this.buffer = new RowBuffer(reporter);
    this.projectJson = JSON.stringify(settings.projectName);
    this.environmentJson = settings.environment === undefined ? "" : JSON.stringify(settings.environment);
    this.#open = masks && new Set();
  }

  /** Notes that `item` is open. Outside an invocation nothing is noted, so nothing can pile up. */
  opened(item: Open): void {
    this.#open?.add(item);
  }

  /** Notes that `item` has ended. */
  ended(item: Open): void {
    this.#open?.delete(item);
  }

  /** Sends the rows that have ended. Never rejects, never waits for what is open. */
  flush(): Promise<FlushReport> {
    return flushBuffer(this.buffer, this.settings, this.reporter);
  }

  /** Ends the invocation: closes what is open, sends the rest, keeps nothing more. */
  async end(): Promise<FlushReport> {
    for (const item of [...(this.#open ?? [])].reverse()) item.close();
    try {
      return await this.flush();
    } finally {
      this.buffer.close();
    }
  }
}
