// Owns the WebAssembly instance that reads model calls (src/llm/). It is made for the first such call, and replaced after a trap
// or when it has grown. src/llm/bindings.rs documents its functions; calls.ts calls most of them.

import { load } from "#llm-wasm";
import { OpikError } from "../errors.js";
import { blockedBy } from "../platform/core.js";
import { currentFrame } from "../record/frame.js";

/** An idle instance above this size is replaced, because WebAssembly memory never shrinks. */
const MAX_IDLE_BYTES = 8 * 1024 * 1024;
/** Separates the fields of a text. No field contains it. */
export const SEPARATOR = "\x1f";

/** Exports of the instance. Only numbers cross the boundary, so only the types of the glue are needed. Booleans are 0 and 1. */
type Exports = Omit<typeof import("./llm_bg.js"), "retarget"> & {
  readonly memory: WebAssembly.Memory;
  readonly retarget: (handle: number, step: number) => number;
};

let current: Reader | undefined;

/** The live instance. Throws an `OpikError` if WebAssembly is blocked. */
export function getReader(): Reader {
  if (!current?.isLive || current.isIdleAndLarge()) current = new Reader();
  return current;
}

let seen = 0;
/** The spans in which observers have taken model calls. */
const seenIn = new WeakSet<object>();

/** The number of model calls that observers have taken. */
export function callsSeen(): number {
  return seen;
}

/** `true` if an observer has taken a model call that was made with `span` current. */
export function hasSeenIn(span: object): boolean {
  return seenIn.has(span);
}

/** Notes that an observer takes a model call. */
export function sawCall(): void {
  seen += 1;
  const span = currentFrame()?.span;
  if (span) seenIn.add(span);
}

/** One instance. */
export class Reader {
  readonly #exports: Exports;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #scratch: Uint8Array | undefined;
  /** `false` after a trap. */
  isLive = true;

  constructor() {
    try {
      const glue = { __wbindgen_init_externref_table: () => {} }; // never called: only numbers cross
      this.#exports = new WebAssembly.Instance(load(), { "./llm_bg.js": glue }).exports as unknown as Exports;
    } catch (error) {
      throw blockedBy(error, "calls of models are recorded as every call");
    }
  }

  /**
   * Runs a call into the instance. Throws an `OpikError` (`wasm_trap`) if the instance is dead. An exception is a trap: the state of
   * the instance is then unreliable.
   */
  run<T>(call: (exports: Exports) => T): T {
    if (!this.isLive) throw new OpikError("wasm_trap", "this WebAssembly instance is gone: report it");
    try {
      return call(this.#exports);
    } catch (error) {
      this.isLive = false;
      throw new OpikError(
        "wasm_trap",
        "the reader of model calls failed, calls that are open are recorded as every call: report it",
        error,
      );
    }
  }

  isIdleAndLarge(): boolean {
    return this.#exports.memory.buffer.byteLength > MAX_IDLE_BYTES && this.#exports.openCalls() === 0;
  }

  /** The fields of the output. */
  output(): string[] {
    const { memory, outputPointer, outputLength } = this.#exports;
    return this.#decoder.decode(new Uint8Array(memory.buffer, outputPointer(), outputLength())).split(SEPARATOR);
  }

  /** Passes in a text of any length. */
  stage(text: string): void {
    for (let rest = text; rest !== ""; ) {
      const { read, written } = this.write(rest);
      this.#exports.stage(written);
      rest = rest.slice(read);
    }
  }

  /** Writes the beginning of a text to the scratch memory. */
  write(text: string): TextEncoderEncodeIntoResult {
    return this.#encoder.encodeInto(text, this.scratch());
  }

  /** A view of the scratch memory. Memory growth detaches the view and empties it; then it is made again. */
  scratch(): Uint8Array {
    if (!this.#scratch?.byteLength) {
      const pointer = this.#exports.scratchPointer(); // may itself grow the memory, so it comes first
      this.#scratch = new Uint8Array(this.#exports.memory.buffer, pointer, this.#exports.scratchLength());
    }
    return this.#scratch;
  }
}
