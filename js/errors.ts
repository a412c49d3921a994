// What can go wrong, as one error class with one union of codes, and the reporter that tells
// the host about each cause once. Nothing here throws at the host: only `new Opik` does.

/** The stable name of a cause; the message explains it and says what to do. docs/guides/messages.md has a section for each. */
export type OpikErrorCode =
  /** A configuration value is missing or malformed; the message names the field. */
  | "invalid_config"
  /** Incoming trace headers were refused, or `trust` did not believe who sent them; a new trace began. The message carries the reason. */
  | "invalid_headers"
  /** The two header spellings name different contexts; the one with underscores was taken. */
  | "conflicting_headers"
  /** The runtime refuses to compile WebAssembly; spans only forward the caller's ids. */
  | "wasm_blocked"
  /** The WebAssembly instance died; its rows are lost, the next request gets a new one. */
  | "wasm_trap"
  /** The runtime lacks something that is needed here, as jsdom lacks `TextEncoder`: the message names it. */
  | "unexpected"
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
  /** A value could not be read or written as JSON; a note stands in its place. */
  | "unserializable"
  /** An entry the Opik API would refuse (a usage value that is no int32 …), or a field of no known name, was left out. */
  | "field_dropped"
  /** A field or a row was too long; what was cut says so in its place, with its original size. */
  | "field_cut"
  /** A redactor threw; the whole field was masked. */
  | "redaction_failed"
  /** An observer threw, or answered by a promise; the call is recorded as every call. */
  | "observer_failed"
  /** A score has no name, or a value the Opik API would refuse; it was not kept. */
  | "invalid_score"
  /** In a page of the developer's own machine: a traced call to another origin failed, and why. */
  | "cors_header"
  /** `sampleRate` threw or gave no number from 0 to 1; the trace was recorded. */
  | "invalid_sample_rate"
  /** Rows, and the key with them, go by plain http to another machine: whoever is in between reads both. */
  | "insecure_url"
  /** A whole row could not be kept; the message carries the reason. */
  | "row_dropped"
  /** Uploads were not accepted; the message carries the reason and the number of rows. */
  | "delivery_failed";

/**
 * The one error class of this package. `code` is stable; the message is for people.
 *
 * @example
 * ```ts
 * import { Opik, OpikError } from "opik-edge";
 *
 * export function clientFor(url: string): Opik | undefined {
 *   try {
 *     return new Opik({ url });
 *   } catch (error) {
 *     if (error instanceof OpikError && error.code === "invalid_config") return undefined;
 *     throw error;
 *   }
 * }
 * ```
 */
export class OpikError extends Error {
  /** `"OpikError"`, in every copy of the package. */
  override readonly name = "OpikError";
  /** The stable name of the cause. */
  readonly code: OpikErrorCode;

  /** With `cause` being what was caught, if anything. */
  constructor(code: OpikErrorCode, message: string, cause?: unknown) {
    super(printable(message), cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** `text` in one line that a terminal shows as it is: what a backend or a caller wrote is in messages, and so in logs. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_C}\p{Zl}\p{Zp}]/gu, "\ufffd");
}

/** What explains each message. */
export const GUIDE = "docs/guides/messages.md";
/** What ends a message of what comes too late. */
export const AWAIT_IT = "await what records it, or hand it to waitUntil";

/** A user name and a password in a URL. */
export const USER_INFO: RegExp = /\/\/[^\s/?#]*@/g;

/** The text of an error without the queries and credentials of URLs in it; behind those in a stack their line and column stay. */
export function hideQueries(text: string): string {
  // Path and query of each word, in a time that grows with the text's length.
  return `${text}`.replace(/(?=[^\s"<>])([^\s"<>?#]*)([?#][^\s"<>]*)?/g, (word, path: string, query = "") =>
    path.includes("//") || query.includes("=")
      ? path.replace(USER_INFO, "//") + /(:\d+:\d+)?\W*$/.exec(query.slice(-32))?.[0]
      : word,
  );
}

/** How deep causes are looked through, and how much of one is told. */
const MAX_CAUSES = 5;
const MAX_CAUSE_CHARS = 300;

/** What the innermost cause of `thrown` says: `connect ECONNREFUSED 127.0.0.1:5999` of "fetch failed". "" where nothing does. */
export function causeOf(thrown: unknown): string {
  let text = "";
  try {
    let error = thrown as (Error & { readonly code?: unknown; readonly errors?: Error[] }) | undefined;
    for (let depth = 0; error && depth < MAX_CAUSES; depth += 1) {
      const { message = isObject(error) ? "" : `${error}`, code } = error;
      text = message || text;
      if (typeof code === "string" && !text.includes(code)) text += ` (${code})`;
      error = (error.cause ?? error.errors?.[0]) as typeof error;
    }
  } catch {
    // One that can not be read.
  }
  return hideQueries(text.slice(0, MAX_CAUSE_CHARS)).trim();
}

/** The error of a setting. It names the type of what is there: the value may be a secret, or have one in it. */
export function invalid(field: string, expected: string, got: unknown): OpikError {
  const shown = typeof got === "number" ? got : got === null ? "null" : typeof got;
  return new OpikError("invalid_config", `${field}: expected ${expected}, got ${shown}`);
}

/**
 * `value`, if it is a number from `least` to `most`, by default a whole one. Throws an `OpikError` (`invalid_config`) that names
 * `field` where it is another, or none: text of an environment variable say.
 */
export function numberFrom(
  field: string,
  value: unknown,
  least: number,
  most: number,
  isRight: (value: unknown) => boolean = Number.isInteger,
): number {
  if (isRight(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const what = isRight === Number.isInteger ? "whole number" : "number";
  throw invalid(field, `a ${what} from ${least} to ${most}`, value);
}

/** Receives what the tracer has to say. It must not throw; if it does, that is swallowed. */
export type OnError = (error: OpikError) => void;

/** Why rows are lost. */
export type DropReason =
  /** The API refused the row (400, 422); the error's message has its words. Compare the row with what they ask for. */
  | "rejected"
  /** The key or the workspace is wrong (401, 403). Set `apiKey` and `workspace`; a page's relay refuses its `token` so. */
  | "unauthorized"
  /** The account's quota is used up (402). Raise it, or record less with `sampleRate`. */
  | "quota_exceeded"
  /** There is no Opik API at this URL (404, 405), or none that knows scores. Correct `url`; the doctor says what is there. */
  | "not_found"
  /** The backend answered with a redirect, which is never followed (3xx). Set `url` to where it leads. */
  | "redirected"
  /** The body is too long for the backend or what stands before it (413). Lower `limits`, or raise its limit. */
  | "payload_too_large"
  /** The row's id is older than the API takes: see `maxIdAgeMs`. End what is open sooner, or have the operator raise the window. */
  | "too_old"
  /** The row's id is too far ahead of the API's clock. Set this machine's clock right. */
  | "too_far_future"
  /** The row is from another time by the relay's clock (425). Set the clock of the page's machine right. */
  | "clock_skew"
  /** The backend answered by a status that means nothing for rows. Look at what stands before it. */
  | "unexpected_status"
  /** The backend took no more for now (429), until the invocation or the process ended. Record less, or put a queue in between. */
  | "rate_limited"
  /** The backend gave up waiting (408), until the invocation or the process ended. Look at the backend. */
  | "timeout"
  /** The backend failed (5xx), until the invocation or the process ended. Look at the backend. */
  | "server_error"
  /** The backend was not reached, or did not answer in time, until the invocation or the process ended. Look at `url` and the network. */
  | "network_error"
  /** The invocation or the process ended before there was time to send the row. Give it less to send, or put a queue in between. */
  | "deadline"
  /** The invocation had no request left for the row. Flush less often, or put a queue in between. */
  | "too_many_requests"
  /** The backend had failed so often that it was left alone when the invocation or the process ended. Look at the backend. */
  | "circuit_open"
  /** More waited to be sent than `limits.bufferBytes`, or than a page keeps: the oldest spans are lost. Raise it, or look at the backend. */
  | "queue_full"
  /** More ended than the buffer holds before it could be taken out. Flush earlier, or record less. */
  | "buffer_full"
  /** The row alone is longer than an upload may be, even when it is cut. Lower `limits.spanBytes`. */
  | "row_too_large"
  /** The upload has a row of this id already, and the API would refuse both. Ids come from this package: report it. */
  | "duplicate_id"
  /** The row has an id that is no UUIDv7, or fields that the core can not read. Report it. */
  | "malformed_row"
  /** The buffer of the row is gone, as its invocation is. Await, or hand to `waitUntil`, what records it. */
  | "stale_buffer"
  /** The page's visit ended by `discard()` before the row was sent: as it was meant to. */
  | "discarded"
  /** The WebAssembly instance died, and its rows with it. The next row gets a new one; report it. */
  | "wasm_trap"
  /** This runtime refuses to compile WebAssembly. A page's Content-Security-Policy needs `'wasm-unsafe-eval'`. */
  | "wasm_blocked"
  /** This runtime lacks something that is needed, as jsdom lacks `TextEncoder`. Give it what `onError` names. */
  | "unexpected";

/** Rows that are lost. */
export interface Drop {
  /** A key of `FlushReport.dropped`. */
  readonly reason: DropReason;
  /** How many, at least 1. */
  readonly rows: number;
}

/** Told of the rows that are lost, once for each reason and flush. It must not throw; if it does, that is swallowed. */
export type OnDrop = (drop: Drop) => void;

/** Whom a `Reporter` tells. */
export interface Listeners {
  readonly onError?: OnError | undefined;
  readonly onDrop?: OnDrop | undefined;
}

/** Whether somebody was told that WebAssembly is blocked. It is so for the whole process. */
let isBlockTold = false;

/** How many causes are told: names may be a client's of the host. */
const MAX_TOLD = 100;

/** Tells `onError` (by default `console.warn`) of errors, each cause of misuse once, and `onDrop` of lost rows. */
export class Reporter {
  readonly #onError: OnError;
  readonly #onDrop: OnDrop | undefined;
  readonly #seen: Set<string>;

  /** Reporters that share `seen` tell each cause once among them. */
  constructor(listeners?: Listeners, seen: Set<string> = new Set()) {
    const { onError = warn, onDrop } = ownOf(listeners);
    this.#onError = onError;
    this.#onDrop = onDrop;
    this.#seen = seen;
  }

  /** Reports an error every time it is called: for losses, which are counted. */
  report(error: OpikError): void {
    this.#call("onError", () => this.#onError(error));
  }

  /** Says that rows are lost. */
  dropped(drop: Drop): void {
    this.#call("onDrop", () => this.#onDrop?.(drop));
  }

  /** Reports the first error of each code (and `detail`): for misuse and warnings. */
  once(code: OpikErrorCode, message: string, cause?: unknown, detail = ""): void {
    // An error knows where it was made, which takes longer than all the rest of a span.
    this.#first(`${code} ${detail}`, () => this.report(new OpikError(code, message, cause)));
  }

  /** The same for an error that is there already. */
  tellOnce(error: OpikError, detail = ""): void {
    this.#first(`${error.code} ${detail}`, () => this.report(error));
  }

  /** Reports, once of each code, why a module could not be used; that it is blocked once for all reporters. */
  failure(error: unknown): void {
    const known =
      error instanceof OpikError ? error : new OpikError("unexpected", `${error}; see unexpected in ${GUIDE}`, error);
    if (known.code === "wasm_blocked") {
      if (isBlockTold) return;
      isBlockTold = true;
    }
    this.tellOnce(known);
  }

  #call(name: string, tell: () => unknown): void {
    const threw = (thrown: unknown): void =>
      this.#first(name, () => warn(new OpikError("invalid_config", `${name} threw: it must not`, thrown)));
    try {
      // An async one may reject.
      void Promise.resolve(tell()).catch(threw);
    } catch (thrown) {
      threw(thrown);
    }
  }

  #first(key: string, tell: () => void): void {
    if (this.#seen.has(key) || this.#seen.size === MAX_TOLD) return;
    this.#seen.add(key);
    tell();
  }
}

/** An error that tells what became of a call by `name`. Where it was made says nothing. */
export function namedError(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  delete error.stack;
  return error;
}

function warn(error: OpikError): void {
  console.warn(`[opik-edge] ${error.code}: ${error.message}`);
}

/** Has `object` be `[kind id]`, or `[kind]` without an id, in JSON and where Node, Deno, Bun and workerd print it. */
export function printAs(kind: string, object: object): void {
  const value = function (this: { readonly id?: string }): string {
    return this.id ? `[${kind} ${this.id}]` : `[${kind}]`;
  };
  for (const name of ["toJSON", Symbol.for("nodejs.util.inspect.custom")]) {
    Object.defineProperty(object, name, { value });
  }
}

/** Whether `value` is an object, and no function. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** `options` as its own members alone: what somebody has added to `Object.prototype` is no option of the host's. */
export function ownOf<T extends object>(options: T | null | undefined): T {
  return { __proto__: null, ...options } as unknown as T; // JavaScript may say null
}

/**
 * An option of the host's, if it is an own member; `undefined` where there are no options, or it can not be read (a getter that
 * throws, a revoked proxy).
 */
export function readOption<T extends object, K extends keyof T>(
  options: T | null | undefined,
  key: K,
): T[K] | undefined {
  try {
    return options && Object.hasOwn(options, key) ? options[key] : undefined;
  } catch {
    return undefined;
  }
}
