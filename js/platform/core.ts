// Owns the WebAssembly instance: made once, lazily, synchronously, and replaced after a trap or when
// it has grown. Everything else talks to the core through the object that `getCore` returns.

import { load } from "#wasm";
import { __wbg_set_wasm, __wbindgen_init_externref_table } from "../core_bg.js";
import { type DropReason, OpikError } from "../errors.js";
import type { BufferLimits, HeaderPair } from "../settings.js";
import { randomBytes } from "./env.js";
import type { Answer, Row, Taken } from "./model.js";

/** How many random bytes the core is handed at a time: enough for some hundred ids. */
const RANDOM_POOL_BYTES = 2048;

/** An idle instance above this is replaced: WebAssembly memory never shrinks. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;

/** Who the parent is, as the core decided. */
export interface CoreContext {
  readonly traceId: string;
  /** The caller's span, or "" when there is none. */
  readonly parentId: string;
  /** A new id for the first span, which begins with the trace as often as not. */
  readonly spanId: string;
  /** Whether the trace is the caller's: then its row is never ours to write. */
  readonly joined: boolean;
  /** The reason why headers were refused, or "". */
  readonly warning: string;
}

/** One try to send an upload. */
export interface Attempt {
  /** Counts from 1. */
  readonly number: number;
  readonly rows: number;
  readonly nowMs: number;
  readonly deadlineMs: number;
  /** 32 random bits. */
  readonly random: number;
}

/** What an answer means, as the core numbers them: see `Verdict` in src/upload.rs. */
const VERDICTS = ["sent", "retry", "plain", "split", "drop", "defer", "stop"] as const;

/** What an answer means for the rows of its request. */
export interface Verdict {
  readonly what: (typeof VERDICTS)[number];
  /** None when they were sent. */
  readonly reason: DropReason;
  /** How long to wait before it is tried again. */
  readonly waitMs: number;
}

const SENT: Verdict = { what: VERDICTS[0], reason: "" as DropReason, waitMs: 0 };

/** Which kind of row is appended, as the core counts them. */
export const SPAN_ROW = 0;
/** The row of a trace. */
export const TRACE_ROW = 1;

/** An entry that the API would refuse was left out of a row. */
export const LEFT_OUT = 1;
/** A row was cut to its limits. */
export const CUT = 2;
/** Above these are the bytes of a row's text that were kept. */
export const BYTES_SHIFT = 2;

/** What the instance exports: numbers go in and out, so nothing of the glue's is needed but its types. Booleans come as 0 and 1. */
type Exports = Omit<typeof import("../core_bg.js"), "__wbg_set_wasm" | "isSampled"> & {
  readonly memory: WebAssembly.Memory;
  readonly isSampled: (written: number, share: number) => number;
  readonly __wbindgen_start: () => void;
};

let current: Core | undefined;
let blocked: OpikError | undefined;

/** The live instance. Throws an `OpikError` where WebAssembly is blocked. */
export function getCore(): Core {
  if (blocked) throw blocked;
  current ??= new Core();
  return current;
}

/** Makes the next call begin with a new instance: what the old one remembers and holds is lost. */
export function replaceCore(): void {
  current = undefined;
}

/** Replaces an instance that holds no rows but much memory. */
export function releaseIdleCore(): void {
  if (current?.isIdleAndLarge()) current = undefined;
}

/** The error of a module that can not be compiled. `error` names the remedy. */
export function blockedBy(error: unknown, effect: string): OpikError {
  return new OpikError("wasm_blocked", `WebAssembly is refused, so ${effect}: ${(error as Error).message}`, error);
}

/** Whoever is given headers may change them. */
function copyOf(pairs: readonly HeaderPair[]): HeaderPair[] {
  return pairs.map(([name, value]) => [name, value]);
}

/** One WebAssembly instance. Its methods throw an `OpikError` (`wasm_trap`) once it is dead. */
export class Core {
  readonly #core: Exports;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #scratch: Uint8Array | undefined;
  #knownHeaders: { readonly given: string; readonly isCompressed: boolean; readonly pairs: HeaderPair[] } | undefined;
  #dead = false;

  constructor() {
    let instance: WebAssembly.Instance;
    try {
      instance = new WebAssembly.Instance(load(), { "./core_bg.js": { __wbindgen_init_externref_table } });
    } catch (error) {
      blocked = blockedBy(error, "spans only forward the caller's ids");
      throw blocked;
    }
    this.#core = instance.exports as unknown as Exports;
    __wbg_set_wasm(instance.exports);
    this.#core.__wbindgen_start();
    this.#core.scratchPointer(); // allocates the scratch
  }

  /** Whether it still holds what it was given. One that was replaced does not. */
  get isLive(): boolean {
    return !this.#dead && current === this;
  }

  /** Joins the trace that `incoming` names, or begins one. */
  context(incoming: readonly (string | undefined)[] | undefined, nowMs: number): CoreContext {
    // Line by line. HTTP allows no line break in a value; one from elsewhere shifts what is, after all, the caller's.
    const values = incoming?.join("\n") ?? "";
    const text = this.#withRandom(() => this.#core.context(this.#write(values), nowMs));
    const [traceId, parentId, spanId, origin, warning] = text.split("\n") as [string, string, string, string, string];
    return { traceId, parentId, spanId, joined: origin === "joined", warning };
  }

  /** A new UUIDv7, greater than every one before it. */
  mint(nowMs: number): string {
    return this.#withRandom(() => this.#core.mint(nowMs));
  }

  /** A handle to a new buffer of rows; 0 when there is none to be had. */
  openBuffer(nowMs: number, { bufferBytes, batchBytes, rowBytes, fieldBytes }: BufferLimits): number {
    return this.#call(() => this.#core.openBuffer(nowMs, bufferBytes, batchBytes, rowBytes, fieldBytes));
  }

  /** Appends one row. ≥ 0: `LEFT_OUT`, `CUT` and the bytes that were kept; < 0: the whole row was left out, see `dropReason`. */
  append(handle: number, { kind, text, outputAt, startMs, endMs, updatedMs, unfinished, room }: Row): number {
    return this.#call(() => {
      // encodeInto stops at whole characters; a long text takes several pieces.
      let { read, written } = this.#encoder.encodeInto(text, this.#scratchView());
      for (let rest = text; read < rest.length; ) {
        this.#core.push(handle, room, written);
        rest = rest.slice(read);
        ({ read, written } = this.#encoder.encodeInto(rest, this.#scratchView()));
      }
      return this.#core.append(handle, kind, startMs, endMs, updatedMs, unfinished, room, outputAt, written);
    });
  }

  /** The fields of which the row appended last went without an entry: a bit for each position. */
  leftOut(): number {
    return this.#call(() => this.#core.leftOut());
  }

  /**
   * Of the row that was appended last and cut: the position of the field that was cut first, and 32 times the number of the limit
   * that it is beyond: 0 of a field, 1 of the row or its trace, 2 of base64.
   */
  firstCut(): number {
    return this.#call(() => this.#core.firstCut());
  }

  /** The reason behind a negative result of `append`. */
  dropReason(code: number): DropReason {
    return this.#call(() => this.#read(this.#core.dropReason(code)) as DropReason);
  }

  /** Takes the next rows out of a buffer; `undefined` when it is empty. */
  take(handle: number): Taken | undefined {
    return this.#call(() => {
      const rows = this.#core.take(handle);
      if (rows === 0) return undefined;
      const { buffer } = this.#core.memory;
      const body = new Uint8Array(buffer, this.#core.takenPointer(), this.#core.takenLength()).slice();
      const rowEnds = new Uint32Array(buffer, this.#core.takenRowEnds(), rows).slice();
      return { kind: this.#core.takenKind(), body, rowEnds };
    });
  }

  /** Frees a buffer and what is left in it. */
  closeBuffer(handle: number): void {
    this.#call(() => this.#core.closeBuffer(handle));
  }

  /** The request headers of an upload; those of the last one are remembered. */
  requestHeaders(apiKey: string | undefined, workspace: string, isCompressed: boolean): HeaderPair[] {
    const given = `${apiKey ?? ""}\n${workspace}`;
    const known = this.#knownHeaders;
    if (known?.given === given && known.isCompressed === isCompressed) return copyOf(known.pairs);
    const lines = this.#call(() => this.#read(this.#core.requestHeaders(isCompressed, this.#write(given)))).split("\n");
    const pairs = lines.flatMap((name, index): HeaderPair[] =>
      index % 2 === 0 ? [[name, lines[index + 1] as string]] : [],
    );
    this.#knownHeaders = { given, isCompressed, pairs };
    return copyOf(pairs);
  }

  /** What an answer to an upload means. */
  verdict({ status, headers, isCompressed }: Answer, attempt: Attempt): Verdict {
    const { number, rows, nowMs, deadlineMs, random } = attempt;
    return this.#call(() => {
      const written = this.#write(headers.flat().join("\n"));
      const what = this.#core.verdict(status, number, rows, isCompressed, nowMs, deadlineMs, random, written);
      if (what === 0) return SENT; // which is what nearly all of them mean
      const reason = this.#read(this.#core.verdictReason()) as DropReason;
      return { what: VERDICTS[what] ?? "drop", reason, waitMs: this.#core.verdictWait() };
    });
  }

  /**
   * How far from now the time of an id may be, in ms, where an upload was refused for one that is further away: as the answer says,
   * else `presetMs`. 0 where it was refused for something else.
   */
  refusedWindow({ status, message }: Answer, presetMs: number): number {
    return this.#call(() => this.#core.refusedWindow(status, presetMs, this.#write(message)));
  }

  /** How long to leave a destination alone after so many failures in a row, in ms. */
  pause(failures: number, wasStopped: boolean, random: number): number {
    return this.#call(() => this.#core.pause(failures, wasStopped, random));
  }

  /** Whether the trace of `id` is in a sample of `rate`, 0 to 1. */
  isSampled(id: string, rate: number): boolean {
    return this.#call(() => this.#core.isSampled(this.#write(id), rate * 2 ** 53) !== 0);
  }

  isIdleAndLarge(): boolean {
    return this.#core.memory.buffer.byteLength > MAX_IDLE_BYTES && this.#call(() => this.#core.openBuffers()) === 0;
  }

  /** The core's scratch; remade when the memory has grown, which detaches every view: then it has no bytes. */
  #scratchView(): Uint8Array {
    if (!this.#scratch?.byteLength) {
      const pointer = this.#core.scratchPointer(); // may itself grow the memory, so it comes first
      this.#scratch = new Uint8Array(this.#core.memory.buffer, pointer, this.#core.scratchLength());
    }
    return this.#scratch;
  }

  /** Writes a short text into the scratch; gives the bytes written. */
  #write(text: string): number {
    return text === "" ? 0 : this.#encoder.encodeInto(text, this.#scratchView()).written;
  }

  /** Reads what the core wrote into the scratch: texts with a line break behind each, of which the last is left out. */
  #read(length: number): string {
    return length === 0 ? "" : this.#decoder.decode(this.#scratchView().subarray(0, length - 1));
  }

  /** The core writes nothing when it is out of random bytes. */
  #withRandom(make: () => number): string {
    const written = this.#call(make);
    if (written > 0) return this.#read(written);
    let bytes: Uint8Array;
    try {
      bytes = randomBytes(RANDOM_POOL_BYTES);
    } catch (error) {
      throw new OpikError(
        "no_random",
        "nothing is recorded where the runtime gives no random bytes; in a Worker record inside a handler",
        error,
      );
    }
    return this.#call(() => {
      this.#scratchView().set(bytes);
      this.#core.refill(bytes.length);
      return this.#read(make());
    });
  }

  /** An exception out of the instance is a trap: its state can not be trusted any more. */
  #call<T>(run: () => T): T {
    if (!this.isLive) throw new OpikError("wasm_trap", "this WebAssembly instance is gone: report it");
    try {
      return run();
    } catch (error) {
      this.#dead = true;
      current = undefined;
      throw new OpikError("wasm_trap", "the WebAssembly instance failed, its rows are lost: report it", error);
    }
  }
}
