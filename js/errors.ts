// What can go wrong, as one error class with one union of codes, and the reporter that tells
// the host about each cause once. Nothing here throws at the host: only `new Opik` does.

/** The stable name of a cause; the message explains it and says what to do. */
export type OpikErrorCode =
  /** A configuration value is missing or malformed; the message names the field. */
  | "invalid_config"
  /** Incoming trace headers were refused; a new trace began. The message carries the reason. */
  | "invalid_headers"
  /** The two header spellings name different contexts; the one with underscores was taken. */
  | "conflicting_headers"
  /** The runtime refuses to compile WebAssembly; spans only forward the caller's ids. */
  | "wasm_blocked"
  /** The WebAssembly instance died; its rows are lost, the next request gets a new one. */
  | "wasm_trap"
  /** The runtime gives no random bytes here: Workers refuse them outside a request. */
  | "no_random"
  /** No AsyncLocalStorage: a span is current only until the first `await`. */
  | "no_async_context"
  /** `update` or `end` on a span or trace whose row is already written. */
  | "already_ended"
  /** A span of a finished invocation was still used; nothing was recorded. */
  | "invocation_ended"
  /** `trace.update` on a trace that belongs to the caller; nothing was sent. */
  | "joined_trace"
  /** A value could not be written as JSON; a note stands in its place. */
  | "unserializable"
  /** An entry the Opik API would refuse (a usage value that is no int32 …) was left out. */
  | "field_dropped"
  /** A whole row could not be kept; the message carries the reason. */
  | "row_dropped"
  /** An upload was not accepted; the message carries the reason and the number of rows. */
  | "delivery_failed";

/** The one error class of this package. `code` is stable; the message is for people. */
export class OpikError extends Error {
  override readonly name = "OpikError";
  readonly code: OpikErrorCode;

  constructor(code: OpikErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Receives what the tracer has to say. It must not throw; if it does, that is swallowed. */
export type OnError = (error: OpikError) => void;

/** Tells `onError` (by default `console.warn`) of errors, each cause of misuse once. */
export class Reporter {
  readonly #sink: OnError;
  readonly #seen: Set<string>;

  /** Reporters that share `seen` tell each cause once among them. */
  constructor(sink: OnError = warn, seen: Set<string> = new Set()) {
    this.#sink = sink;
    this.#seen = seen;
  }

  /** Reports an error every time it is called: for losses, which are counted. */
  report(error: OpikError): void {
    try {
      this.#sink(error);
    } catch (thrown) {
      this.#first("onError", () => warn(new OpikError("invalid_config", "onError threw", thrown)));
    }
  }

  /** Reports the first error of each code (and `detail`): for misuse and warnings. */
  once(code: OpikErrorCode, message: string, cause?: unknown, detail = ""): void {
    this.#first(`${code} ${detail}`, () => this.report(new OpikError(code, message, cause)));
  }

  /** Reports, once of each code, why the core could not be used. */
  failure(error: unknown): void {
    const known = error instanceof OpikError ? error : new OpikError("wasm_trap", String(error), error);
    this.#first(`${known.code} `, () => this.report(known));
  }

  #first(key: string, tell: () => void): void {
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    tell();
  }
}

function warn(error: OpikError): void {
  console.warn(`[opik-edge] ${error.code}: ${error.message}`);
}
