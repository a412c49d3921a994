// Owns the WebAssembly instance, which is created once, lazily and synchronously, and replaced after a trap or when it has
// grown. All other code calls the core through the object that `getCore` returns.

import { load } from "#wasm";
import { __wbg_set_wasm, __wbindgen_init_externref_table } from "../core_bg.js";
import { type DropReason, OpikError } from "../errors.js";
import type { BufferLimits, HeaderPair } from "../settings.js";
import { randomBytes } from "./env.js";
import type { Answer, Row, Taken } from "./model.js";

/** Random bytes passed to the core at a time, enough for a few hundred ids. */
const RANDOM_POOL_BYTES = 2048;

/** An idle instance above this size is replaced, because WebAssembly memory never shrinks. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;

/** The trace and the parent that the core has chosen. */
export interface CoreContext {
  readonly traceId: string;
  /** The caller's span, or "". */
  readonly parentId: string;
  /** A new id for the first span, which often begins at the same time as the trace. */
  readonly spanId: string;
  /** `true` if the trace began at the caller, which then writes its row. */
  readonly joined: boolean;
  /** The meaning of the caller's trace context: a number of `Link` in src/w3c.rs. */
  readonly link: string;
  /** The reason why headers were refused, or "". */
  readonly warning: string;
}

/** One attempt to send an upload. */
export interface Attempt {
  /** Counts from 1. */
  readonly number: number;
  readonly rows: number;
  readonly nowMs: number;
  readonly deadlineMs: number;
  /** 32 random bits. */
  readonly random: number;
}

/** The meanings of an answer, in the core's numbering: see `Verdict` in src/upload.rs. */
const VERDICTS = ["sent", "retry", "plain", "split", "drop", "defer", "stop"] as const;

/** The meaning of an answer for the rows of its request. */
export interface Verdict {
  readonly what: (typeof VERDICTS)[number];
  /** Empty when the rows were sent. */
  readonly reason: DropReason;
  /** Delay in ms before the next attempt. */
  readonly waitMs: number;
}

const SENT: Verdict = { what: VERDICTS[0], reason: "" as DropReason, waitMs: 0 };

/** The row of a span, in the core's numbering. */
export const SPAN_ROW = 0;
/** The row of a trace. */
export const TRACE_ROW = 1;

/** An entry that the API would refuse was left out of a row. */
export const LEFT_OUT = 1;
/** A row was cut to its limits. */
export const CUT = 2;
/** The bits above these are the kept bytes of a row's text. */
export const BYTES_SHIFT = 2;

/**
 * The exports of the instance. They take and return only numbers, so only the types of the glue code are used. Booleans are
 * 0 and 1.
 */
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

/** Makes the next call create a new instance. The rows and the state of the old one are lost. */
export function replaceCore(): void {
  current = undefined;
}

/** Replaces an instance without rows whose memory is large. */
export function releaseIdleCore(): void {
  if (current?.isIdleAndLarge()) current = undefined;
}

/** The error of a module that cannot be compiled. The message of `error` is the remedy. */
export function blockedBy(error: unknown, effect: string): OpikError {
  return new OpikError("wasm_blocked", `WebAssembly is refused, so ${effect}: ${(error as Error).message}`, error);
}

/** Copied, because transports may mutate the headers. */
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

  /** `true` while the instance holds its rows. A replaced instance has lost them. */
  get isLive(): boolean {
    return !this.#dead && current === this;
  }

  /** Joins the trace in `incoming`, or begins a trace. */
  context(incoming: readonly (string | undefined)[] | undefined, nowMs: number): CoreContext {
    // One value per line. HTTP allows no line break in a value; a line break from elsewhere only shifts the caller's own
    // values.
    const values = incoming?.join("\n") ?? "";
    const text = this.#withRandom(() => this.#core.context(this.#write(values), nowMs));
    const [traceId, parentId, spanId, origin, warning, link] = text.split("\n") as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    return { traceId, parentId, spanId, joined: origin === "joined", warning, link };
  }

  /**
   * The headers `traceparent`, `tracestate` and `baggage` of a call. The lines of `text` are the ids of the trace and the span,
   * what the call has itself of these headers, and the two that came in: see `outgoing` in src/w3c.rs.
   */
  traceContext(text: string): string[] {
    return this.#ask(text, (written) => this.#core.traceContext(written)).split("\n");
  }

  /** A new UUIDv7, greater than all before it. */
  mint(nowMs: number): string {
    return this.#withRandom(() => this.#core.mint(nowMs));
  }

  /** A handle to a new buffer of rows; 0 if no buffer can be opened. */
  openBuffer(nowMs: number, { bufferBytes, batchBytes, rowBytes, fieldBytes }: BufferLimits): number {
    return this.#call(() => this.#core.openBuffer(nowMs, bufferBytes, batchBytes, rowBytes, fieldBytes));
  }

  /**
   * Appends one row. A result ≥ 0 combines `LEFT_OUT`, `CUT` and the kept bytes; at < 0 the row was left out, see
   * `dropReason`.
   */
  append(handle: number, { kind, text, outputAt, startMs, endMs, updatedMs, unfinished, room }: Row): number {
    return this.#call(() => {
      // encodeInto writes only whole characters; a long text takes several calls.
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
   * Describes the first cut in the last appended row: the position of the field, plus 32 times the number of the limit. The
   * limits are 0 (of a field), 1 (of the row or its trace) and 2 (of base64).
   */
  firstCut(): number {
    return this.#call(() => this.#core.firstCut());
  }

  /** The reason behind a negative result of `append`. */
  dropReason(code: number): DropReason {
    return this.#call(() => this.#read(this.#core.dropReason(code)) as DropReason);
  }

  /** Takes the next rows out of a buffer; `undefined` if it is empty. */
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

  /** Frees a buffer and the rows left in it. */
  closeBuffer(handle: number): void {
    this.#call(() => this.#core.closeBuffer(handle));
  }

  /** The request headers of an upload. The result of the last call is cached. */
  requestHeaders(apiKey: string | undefined, workspace: string, isCompressed: boolean): HeaderPair[] {
    const given = `${apiKey ?? ""}\n${workspace}`;
    const known = this.#knownHeaders;
    if (known?.given === given && known.isCompressed === isCompressed) return copyOf(known.pairs);
    const lines = this.#ask(given, (written) => this.#core.requestHeaders(isCompressed, written)).split("\n");
    const pairs = lines.flatMap((name, index): HeaderPair[] =>
      index % 2 === 0 ? [[name, lines[index + 1] as string]] : [],
    );
    this.#knownHeaders = { given, isCompressed, pairs };
    return copyOf(pairs);
  }

  /** The meaning of an answer to an upload. */
  verdict({ status, headers, isCompressed }: Answer, attempt: Attempt): Verdict {
    const { number, rows, nowMs, deadlineMs, random } = attempt;
    return this.#call(() => {
      const written = this.#write(headers.flat().join("\n"));
      const what = this.#core.verdict(status, number, rows, isCompressed, nowMs, deadlineMs, random, written);
      if (what === 0) return SENT; // the usual case
      const reason = this.#read(this.#core.verdictReason()) as DropReason;
      return { what: VERDICTS[what] ?? "drop", reason, waitMs: this.#core.verdictWait() };
    });
  }

  /**
   * For an upload that was refused because an id is too old or too new: the accepted distance from now, in ms, as the
   * answer states it, or else `presetMs`. 0 for any other refusal.
   */
  refusedWindow({ status, message }: Answer, presetMs: number): number {
    return this.#call(() => this.#core.refusedWindow(status, presetMs, this.#write(message)));
  }

  /** The pause of a destination after this number of failures in a row, in ms. */
  pause(failures: number, wasStopped: boolean, random: number): number {
    return this.#call(() => this.#core.pause(failures, wasStopped, random));
  }

  /** `true` if the trace `id` is in a sample of `rate`, 0 to 1. */
  isSampled(id: string, rate: number): boolean {
    return this.#call(() => this.#core.isSampled(this.#write(id), rate * 2 ** 53) !== 0);
  }

  isIdleAndLarge(): boolean {
    return this.#core.memory.buffer.byteLength > MAX_IDLE_BYTES && this.#call(() => this.#core.openBuffers()) === 0;
  }

  /** The core's scratch memory. When the memory grows, the view is detached and empty, and is created again. */
  #scratchView(): Uint8Array {
    if (!this.#scratch?.byteLength) {
      const pointer = this.#core.scratchPointer(); // may itself grow the memory, so it comes first
      this.#scratch = new Uint8Array(this.#core.memory.buffer, pointer, this.#core.scratchLength());
    }
    return this.#scratch;
  }

  /** Writes a short text into the scratch. Returns the number of bytes. */
  #write(text: string): number {
    return text === "" ? 0 : this.#encoder.encodeInto(text, this.#scratchView()).written;
  }

  /** Reads the texts that the core wrote into the scratch. Each ends with a line break; the last break is left out. */
  #read(length: number, begin = 0): string {
    return length === 0 ? "" : this.#decoder.decode(this.#scratchView().subarray(begin, begin + length - 1));
  }

  /** The core's answer to `text`, which it writes behind it. */
  #ask(text: string, answer: (written: number) => number): string {
    return this.#call(() => {
      const written = this.#write(text);
      return this.#read(answer(written), written);
    });
  }

  /** The core writes nothing when it has run out of random bytes. */
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

  /** An exception from the instance is a trap, after which its state is unreliable. */
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
