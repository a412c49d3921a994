// Owns the WebAssembly instance that reads model calls (src/llm/). It is made for the first such call, and replaced after a trap
// or when it has grown. src/llm/bindings.rs documents its functions.

import { load } from "#llm-wasm";
import { OpikError } from "../errors.js";
import { blockedBy } from "../platform/core.js";

/** An idle instance above this size is replaced, because WebAssembly memory never shrinks. */
const MAX_IDLE_BYTES = 8 * 1024 * 1024;
/** Separates the fields of a text. No field contains it. */
export const SEPARATOR = "\x1f";

/** Exports of the instance. Only numbers cross the boundary, so only the types of the glue are needed. Booleans are 0 and 1. */
type Exports = Omit<typeof import("./llm_bg.js"), "retarget"> & {
  readonly memory: WebAssembly.Memory;
  readonly retarget: (handle: number, step: number) => number;
};

/** A call. `target` is a URL, or `binding:` and a Workers AI model; `hosts` lists hosts and their providers, one per line. */
export interface CallText {
  readonly target: string;
  readonly hosts: string;
}

/** The result of opening a call by its target. */
export interface Opened {
  readonly handle: number;
  /** `true` if the target alone identifies a model call. */
  readonly isKnown: boolean;
  /** `true` for a request with several alternatives; the answer names the alternative that was used. */
  readonly isUniversal: boolean;
}

/** The result of a call. Each member is JSON, or "". */
export interface Read {
  readonly name: string;
  readonly model: string;
  readonly provider: string;
  readonly output: string;
  readonly metadata: string;
  readonly usage: string;
  readonly totalEstimatedCost: string;
  readonly errorType: string;
  readonly errorMessage: string;
}

/** Flag: the answer is complete. */
export const COMPLETE = 1;
/** Flag: the call has failed. */
export const FAILED = 2;
/** Flag: the first token has arrived. */
export const FIRST_TOKEN = 4;

let current: Reader | undefined;

/** The live instance. Throws an `OpikError` if WebAssembly is blocked. */
export function getReader(): Reader {
  if (!current?.isLive || current.isIdleAndLarge()) current = new Reader();
  return current;
}

/** One instance. Its methods throw an `OpikError` (`wasm_trap`) once it is dead. */
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

  /** Opens a call by its target; `undefined` if the target is not a model. */
  open({ target, hosts }: CallText, fieldBytes: number): Opened | undefined {
    return this.#call(() => {
      this.#stage([target, hosts, ""].join(SEPARATOR));
      const handle = this.#exports.open(fieldBytes);
      if (handle === 0) return undefined;
      const [isKnown, isUniversal] = this.#output();
      return { handle, isKnown: isKnown === "1", isUniversal: isUniversal === "1" };
    });
  }

  /**
   * Reads the body of a request; of a universal request, the entry `step`. Returns `{messages, …}` as JSON, or "" without
   * messages. `undefined` if the body is not a model call's.
   */
  request(handle: number, { target, hosts }: CallText, body: string, step: number): string | undefined {
    return this.#call(() => {
      this.#stage([target, hosts, body].join(SEPARATOR));
      return this.#exports.retarget(handle, step) === 0 ? undefined : this.#output()[2];
    });
  }

  /** Reads the status of the answer (0 without a status) and its headers: name and value on alternating lines. */
  answer(handle: number, status: number, headers: string): void {
    this.#call(() => {
      const { written } = this.#encoder.encodeInto(headers, this.#scratchView());
      this.#exports.answer(handle, status, written);
    });
  }

  /** Reads the next bytes of the answer. Returns the flags `COMPLETE`, `FAILED` and `FIRST_TOKEN`. */
  push(handle: number, bytes: Uint8Array): number {
    return this.#call(() => {
      let scratch = this.#scratchView();
      if (bytes.length <= scratch.length) {
        scratch.set(bytes);
        return this.#exports.push(handle, bytes.length);
      }
      let flags = 0;
      for (let at = 0; at < bytes.length; at += scratch.length) {
        scratch = this.#scratchView();
        const piece = bytes.subarray(at, at + scratch.length);
        scratch.set(piece);
        flags = this.#exports.push(handle, piece.length);
      }
      return flags;
    });
  }

  /** Ends a call and returns its result. */
  finish(handle: number): Read | undefined {
    return this.#call(() => {
      if (this.#exports.finish(handle) === 0) return undefined;
      const [name, model, provider, output, metadata, usage, totalEstimatedCost, errorType, errorMessage] =
        this.#output() as [string, string, string, string, string, string, string, string, string];
      return { name, model, provider, output, metadata, usage, totalEstimatedCost, errorType, errorMessage };
    });
  }

  /** Ends a call without a result. */
  abandon(handle: number): void {
    if (this.isLive) this.#call(() => this.#exports.abandon(handle));
  }

  isIdleAndLarge(): boolean {
    return this.#exports.memory.buffer.byteLength > MAX_IDLE_BYTES && this.#exports.openCalls() === 0;
  }

  #output(): string[] {
    const { memory, outputPointer, outputLength } = this.#exports;
    return this.#decoder.decode(new Uint8Array(memory.buffer, outputPointer(), outputLength())).split(SEPARATOR);
  }

  #stage(text: string): void {
    for (let rest = text; rest !== ""; ) {
      const { read, written } = this.#encoder.encodeInto(rest, this.#scratchView());
      this.#exports.stage(written);
      rest = rest.slice(read);
    }
  }

  /** A view of the scratch memory. Memory growth detaches the view and empties it; then it is made again. */
  #scratchView(): Uint8Array {
    if (!this.#scratch?.byteLength) {
      const pointer = this.#exports.scratchPointer(); // may itself grow the memory, so it comes first
      this.#scratch = new Uint8Array(this.#exports.memory.buffer, pointer, this.#exports.scratchLength());
    }
    return this.#scratch;
  }

  /** Runs a call into the instance. An exception is a trap: the state of the instance is then unreliable. */
  #call<T>(run: () => T): T {
    if (!this.isLive) throw new OpikError("wasm_trap", "this WebAssembly instance is gone: report it");
    try {
      return run();
    } catch (error) {
      this.isLive = false;
      throw new OpikError(
        "wasm_trap",
        "the reader of model calls failed, calls that are open are recorded as every call: report it",
        error,
      );
    }
  }
}
