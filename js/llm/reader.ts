// Owns the instance of the module that reads calls of models: src/llm/, made when the first such call begins, and replaced after a
// trap or when it has grown. Its functions are described in src/llm/bindings.rs.

import { load } from "#llm-wasm";
import { OpikError } from "../errors.js";
import { blockedBy } from "../platform/core.js";

/** An idle instance above this is replaced: WebAssembly memory never shrinks. */
const MAX_IDLE_BYTES = 8 * 1024 * 1024;
/** What stands between the fields of a text, and in none of them. */
export const SEPARATOR = "\x1f";

/** What the instance exports: numbers go in and out, so nothing of the glue's is needed but its types. Booleans come as 0 and 1. */
type Exports = Omit<typeof import("./llm_bg.js"), "retarget"> & {
  readonly memory: WebAssembly.Memory;
  readonly retarget: (handle: number, step: number) => number;
};

/** A call: its target is a URL or `binding:` and a model of Workers AI; `hosts` has hosts and their providers, a line each. */
export interface CallText {
  readonly target: string;
  readonly hosts: string;
}

/** What is known of a call by its target. */
export interface Opened {
  readonly handle: number;
  /** Whether the target alone tells that it is a call of a model. */
  readonly isKnown: boolean;
  /** Whether it is several calls, of which the answer tells the one that was made. */
  readonly isUniversal: boolean;
}

/** What is known of a call at its end: each as JSON, or "". */
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

/** All of the answer has come. */
export const COMPLETE = 1;
/** The call has failed. */
export const FAILED = 2;
/** The first token has come. */
export const FIRST_TOKEN = 4;

let current: Reader | undefined;

/** The live instance. Throws an `OpikError` where WebAssembly is blocked. */
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
  /** Whether it has not failed. */
  isLive = true;

  constructor() {
    try {
      const glue = { __wbindgen_init_externref_table: () => {} }; // no value crosses
      this.#exports = new WebAssembly.Instance(load(), { "./llm_bg.js": glue }).exports as unknown as Exports;
    } catch (error) {
      throw blockedBy(error, "calls of models are recorded as every call");
    }
  }

  /** Opens a call by its target alone; `undefined` where no model is called. */
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
   * Takes the body of a request, of a universal one what its entry `step` asks for; gives `{messages, …}` as JSON, or "" where it
   * has none. `undefined` where the body is none of a model's call.
   */
  request(handle: number, { target, hosts }: CallText, body: string, step: number): string | undefined {
    return this.#call(() => {
      this.#stage([target, hosts, body].join(SEPARATOR));
      return this.#exports.retarget(handle, step) === 0 ? undefined : this.#output()[2];
    });
  }

  /** Takes the status of the answer, 0 where it has none, and headers: a name, its value, a name, …, line by line. */
  answer(handle: number, status: number, headers: string): void {
    this.#call(() => {
      const { written } = this.#encoder.encodeInto(headers, this.#scratchView());
      this.#exports.answer(handle, status, written);
    });
  }

  /** Takes the next bytes of the answer; gives `COMPLETE`, `FAILED` and `FIRST_TOKEN`. */
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

  /** Ends a call; gives what is known of it. */
  finish(handle: number): Read | undefined {
    return this.#call(() => {
      if (this.#exports.finish(handle) === 0) return undefined;
      const [name, model, provider, output, metadata, usage, totalEstimatedCost, errorType, errorMessage] =
        this.#output() as [string, string, string, string, string, string, string, string, string];
      return { name, model, provider, output, metadata, usage, totalEstimatedCost, errorType, errorMessage };
    });
  }

  /** Ends a call of which nothing is to be known. */
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

  /** Remade when the memory has grown, which detaches every view: then it has no bytes. */
  #scratchView(): Uint8Array {
    if (!this.#scratch?.byteLength) {
      const pointer = this.#exports.scratchPointer(); // may itself grow the memory, so it comes first
      this.#scratch = new Uint8Array(this.#exports.memory.buffer, pointer, this.#exports.scratchLength());
    }
    return this.#scratch;
  }

  /** An exception out of the instance is a trap: its state can not be trusted any more. */
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
