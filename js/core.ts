// Owns the WebAssembly instance: made once, lazily, synchronously, and replaced after a trap or when
// it has grown. Everything else talks to the core through the object that `getCore` returns.

import { load } from "#wasm";
import * as bg from "./core_bg.js";
import { randomBytes } from "./env.js";
import { OpikError } from "./errors.js";
import type { HeaderPair, Incoming } from "./headers.js";

/** How many random bytes the core is handed at a time: enough for some hundred ids. */
const RANDOM_POOL_BYTES = 2048;

/** An idle instance above this is replaced: WebAssembly memory never shrinks. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;

/** Who the parent is, as the core decided. */
export interface CoreContext {
  readonly traceId: string;
  /** The caller's span, or "" when there is none. */
  readonly parentId: string;
  /** Whether the trace is the caller's: then its row is never ours to write. */
  readonly joined: boolean;
  /** The reason why headers were refused, or "". */
  readonly warning: string;
}

/** One upload, ready to send. */
export interface Upload {
  readonly path: string;
  readonly rows: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Which kind of row is appended, as the core counts them. */
export const SPAN_ROW = 0;
/** The row of a trace. */
export const TRACE_ROW = 1;

let current: Core | undefined;
/** The memory that the glue looks at. */
let glueMemory: WebAssembly.Memory | undefined;
let blocked: OpikError | undefined;

/** The live instance. Throws an `OpikError` where WebAssembly is blocked. */
export function getCore(): Core {
  if (blocked) throw blocked;
  current ??= new Core();
  return current;
}

/** Replaces an instance that holds no rows but much memory. */
export function releaseIdleCore(): void {
  if (current?.isIdleAndLarge()) current = undefined;
}

/** One WebAssembly instance. Its methods throw an `OpikError` (`wasm_trap`) once it is dead. */
export class Core {
  readonly #memory: WebAssembly.Memory;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #scratch: Uint8Array | undefined;
  #dead = false;

  constructor() {
    let instance: WebAssembly.Instance;
    try {
      instance = new WebAssembly.Instance(load(), { "./core_bg.js": bg as unknown as WebAssembly.ModuleImports });
    } catch (error) {
      blocked = new OpikError(
        "wasm_blocked",
        "this runtime refuses to compile WebAssembly, so spans only forward the caller's ids; " +
          "a page with a Content-Security-Policy needs 'wasm-unsafe-eval' in script-src",
        error,
      );
      throw blocked;
    }
    // The glue keeps views of the memory it has, and remakes those that are detached; growing detaches, also by 0.
    glueMemory?.grow(0);
    bg.__wbg_set_wasm(instance.exports);
    (instance.exports["__wbindgen_start"] as (() => void) | undefined)?.();
    this.#memory = instance.exports["memory"] as WebAssembly.Memory;
    glueMemory = this.#memory;
    bg.scratchPointer(); // allocates the scratch
  }

  /** Whether it still holds what it was given. The glue knows one instance at a time, so a replaced one is dead too. */
  get isLive(): boolean {
    return !this.#dead && current === this;
  }

  /** Joins the trace that `incoming` names, or begins one. */
  context(incoming: Incoming | undefined, nowMs: number): CoreContext {
    // Line by line. HTTP allows no line break in a value; one from elsewhere shifts what is, after all, the caller's.
    const values = incoming?.join("\n") ?? "";
    const lines = this.#withRandom(() => this.#lines(bg.context(this.#write(values), nowMs)));
    const [traceId, parentId, origin, warning] = lines as [string, string, string, string];
    return { traceId, parentId, joined: origin === "joined", warning };
  }

  /** A new UUIDv7, greater than every one before it. */
  mint(nowMs: number): string {
    return this.#withRandom(() => this.#lines(bg.mint(nowMs)))[0] as string;
  }

  /** A handle to a new buffer of rows; 0 when there is none to be had. */
  openBuffer(nowMs: number): number {
    return this.#call(() => bg.openBuffer(nowMs));
  }

  /** Appends one ended row. ≥ 0: entries left out; < 0: the whole row was, see `dropReason`. */
  append(handle: number, kind: number, text: string, startMs: number, endMs: number, unfinished: boolean): number {
    return this.#call(() => {
      // encodeInto stops at whole characters; a long text takes several pieces.
      let { read, written } = this.#encoder.encodeInto(text, this.#scratchView());
      for (let rest = text; read < rest.length; ) {
        bg.push(written);
        rest = rest.slice(read);
        ({ read, written } = this.#encoder.encodeInto(rest, this.#scratchView()));
      }
      return bg.append(handle, kind, startMs, endMs, unfinished, written);
    });
  }

  /** The reason behind a negative result of `append`. */
  dropReason(code: number): string {
    return this.#call(() => this.#lines(bg.dropReason(code)).join());
  }

  /** Takes the next upload out of a buffer; `undefined` when it is empty. */
  take(handle: number): Upload | undefined {
    return this.#call(() => {
      const rows = bg.take(handle);
      if (rows === 0) return undefined;
      const [path] = this.#lines(bg.takenPath());
      const at = bg.takenPointer();
      return { rows, path: path as string, body: new Uint8Array(this.#memory.buffer.slice(at, at + bg.takenLength())) };
    });
  }

  /** Frees a buffer and what is left in it. */
  closeBuffer(handle: number): void {
    this.#call(() => bg.closeBuffer(handle));
  }

  /** The request headers of an upload. */
  requestHeaders(apiKey: string | undefined, workspace: string): HeaderPair[] {
    const lines = this.#call(() => this.#lines(bg.requestHeaders(this.#write(`${apiKey ?? ""}\n${workspace}`))));
    return lines.flatMap((name, index) => (index % 2 === 0 ? [[name, lines[index + 1] as string]] : []));
  }

  /** "" when a response of this status means delivered, else why its rows are lost. 0 is a network error. */
  verdict(status: number): string {
    return this.#call(() => this.#lines(bg.verdict(status)).join());
  }

  isIdleAndLarge(): boolean {
    return this.#memory.buffer.byteLength > MAX_IDLE_BYTES && this.#call(() => bg.openBuffers()) === 0;
  }

  /** The core's scratch; remade when the memory has grown, which detaches every view. */
  #scratchView(): Uint8Array {
    if (this.#scratch === undefined || this.#scratch.buffer !== this.#memory.buffer) {
      const pointer = bg.scratchPointer(); // may itself grow the memory, so it comes first
      this.#scratch = new Uint8Array(this.#memory.buffer, pointer, bg.scratchLength());
    }
    return this.#scratch;
  }

  /** Writes a short text into the scratch; gives the bytes written. */
  #write(text: string): number {
    return this.#encoder.encodeInto(text, this.#scratchView()).written;
  }

  /** Reads what the core wrote into the scratch: texts with a line break behind each. */
  #lines(length: number): string[] {
    return this.#decoder.decode(this.#scratchView().subarray(0, length)).split("\n").slice(0, -1);
  }

  /** The core writes nothing when it is out of random bytes. */
  #withRandom(make: () => string[]): string[] {
    const made = this.#call(make);
    if (made.length > 0) return made;
    let bytes: Uint8Array;
    try {
      bytes = randomBytes(RANDOM_POOL_BYTES);
    } catch (error) {
      throw new OpikError("no_random", "this runtime gives no random bytes here, so nothing is recorded", error);
    }
    return this.#call(() => {
      this.#scratchView().set(bytes);
      bg.refill(bytes.length);
      return make();
    });
  }

  /** An exception out of the instance is a trap: its state can not be trusted any more. */
  #call<T>(run: () => T): T {
    if (!this.isLive) throw new OpikError("wasm_trap", "this WebAssembly instance is gone");
    try {
      return run();
    } catch (error) {
      this.#dead = true;
      current = undefined;
      throw new OpikError("wasm_trap", "the WebAssembly instance failed; its rows are lost", error);
    }
  }
}
