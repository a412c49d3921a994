// The error class, its codes, and the reporter that reports each cause once. Only `new Opik` throws at its caller.

/** The stable name of a cause. The message explains it and its remedy; docs/guides/messages.md has a section for each code. */
export type OpikErrorCode =
  /** A configuration value is missing or malformed; the message names the field. */
  | "invalid_config"
  /** Incoming trace headers are malformed, or `trust` refused the caller; a new trace began. The message carries the reason. */
  | "invalid_headers"
  /** The two header spellings name different contexts; the one with underscores was taken. */
  | "conflicting_headers"
  /** The runtime refuses to compile WebAssembly; spans only forward the caller's ids. */
  | "wasm_blocked"
  /** The WebAssembly instance died and its rows are lost; the next request gets a new instance. */
  | "wasm_trap"
  /** The runtime lacks a required function, as jsdom lacks `TextEncoder`. The message names it. */
  | "unexpected"
  /** The runtime has no random bytes at this point: Workers refuse them outside a request. */
  | "no_random"
  /** No AsyncLocalStorage: a span is current only until the first `await`. */
  | "no_async_context"
  /** `update` or `end` was called on a span or trace whose row is already written. */
  | "already_ended"
  /** A span was used after its invocation had finished; nothing was recorded. */
  | "invocation_ended"
  /** `trace.update` was called on a trace that belongs to the caller; nothing was sent. */
  | "joined_trace"
  /** A value could not be read or written as JSON; a note replaces it. */
  | "unserializable"
  /** An entry that the Opik API would refuse (such as a usage value outside int32), or an unknown field, was left out. */
  | "field_dropped"
  /** A field or a row was too long. A note in place of the removed part gives the original size. */
  | "field_cut"
  /** A redactor threw; the whole field was masked. */
  | "redaction_failed"
  /** An observer threw or returned a promise; the call is recorded as if unobserved. */
  | "observer_failed"
  /** A score has no name, or a value that the Opik API would refuse; it was dropped. */
  | "invalid_score"
  /** In a page on a developer's machine: a traced call to another origin failed. The message says why. */
  | "cors_header"
  /** `sampleRate` threw or returned something other than a number from 0 to 1; the trace was recorded. */
  | "invalid_sample_rate"
  /** Rows and the API key go to another machine over plain http, where anyone on the path can read both. */
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

  /** `cause` is the caught value, if any. */
  constructor(code: OpikErrorCode, message: string, cause?: unknown) {
    super(printable(message), cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** `text` on one line, without control characters: messages quote strangers, and end up in terminals and logs. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_C}\p{Zl}\p{Zp}]/gu, "\ufffd");
}

/** The guide that explains each message. */
export const GUIDE = "docs/guides/messages.md";
/** The remedy for a late use of a span. */
export const AWAIT_IT = "await what records it, or hand it to waitUntil";

/** A user name and a password in a URL. */
export const USER_INFO: RegExp = /\/\/[^\s/?#]*@/g;

/** Removes queries and credentials from the URLs in an error's text. In a stack, a URL keeps its line and column. */
export function hideQueries(text: string): string {
  // Matches path and query of each word, in time linear in the text's length.
  return `${text}`.replace(/(?=[^\s"<>])([^\s"<>?#]*)([?#][^\s"<>]*)?/g, (word, path: string, query = "") =>
    path.includes("//") || query.includes("=")
      ? path.replace(USER_INFO, "//") + /(:\d+:\d+)?\W*$/.exec(query.slice(-32))?.[0]
      : word,
  );
}

/** Depth of the search through causes, and length of the text that is kept. */
const MAX_CAUSES = 5;
const MAX_CAUSE_CHARS = 300;

/** The text of the innermost cause: `connect ECONNREFUSED 127.0.0.1:5999` for "fetch failed"; "" if no cause has a text. */
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
    // A member of the cause threw.
  }
  return hideQueries(text.slice(0, MAX_CAUSE_CHARS)).trim();
}

/** The error for a setting. It names only the type of the value, which may contain a secret. */
export function invalid(field: string, expected: string, got: unknown): OpikError {
  const shown = typeof got === "number" ? got : got === null ? "null" : typeof got;
  return new OpikError("invalid_config", `${field}: expected ${expected}, got ${shown}`);
}

/**
 * Returns `value` if it is a number from `least` to `most`, by default a whole number. Throws an `OpikError` (`invalid_config`)
 * that names `field` for everything else, such as the text of an environment variable.
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

/** Receives every message of the tracer. It must not throw; an error that it throws is swallowed. */
export type OnError = (error: OpikError) => void;

/** The reason for a loss of rows. */
export type DropReason =
  /** The API refused the row (400, 422). The error's message quotes its answer: compare the row with it. */
  | "rejected"
  /** The key or the workspace is wrong (401, 403): set `apiKey` and `workspace`. In a page, the relay refused the `token`. */
  | "unauthorized"
  /** The account's quota is used up (402). Raise it, or record less with `sampleRate`. */
  | "quota_exceeded"
  /** There is no Opik API at this URL (404, 405), or it does not accept scores. Correct `url`; the doctor checks it. */
  | "not_found"
  /** The backend answered with a redirect (3xx), which the client never follows. Set `url` to its target. */
  | "redirected"
  /** The body is too long for the backend or for a proxy before it (413). Lower `limits`, or raise the limit there. */
  | "payload_too_large"
  /** The row's id is older than the API accepts: see `maxIdAgeMs`. End spans sooner, or have the operator raise the window. */
  | "too_old"
  /** The row's id is too far ahead of the API's clock. Correct this machine's clock. */
  | "too_far_future"
  /** The row's time is too far from the relay's clock (425). Correct the clock of the page's machine. */
  | "clock_skew"
  /** The backend answered with a status that has no meaning for rows. Look at the proxies before it. */
  | "unexpected_status"
  /** The backend refused more rows (429) until the invocation or the process ended. Record less, or put a queue in between. */
  | "rate_limited"
  /** The backend gave up waiting (408), until the invocation or the process ended. Look at the backend. */
  | "timeout"
  /** The backend failed (5xx), until the invocation or the process ended. Look at the backend. */
  | "server_error"
  /** The backend was unreachable or too slow until the invocation or the process ended. Check `url` and the network. */
  | "network_error"
  /** The invocation or the process ended before the row could be sent. Record less, or put a queue in between. */
  | "deadline"
  /** The invocation had no request left for the row. Flush less often, or put a queue in between. */
  | "too_many_requests"
  /** The circuit breaker was open after repeated failures when the invocation or the process ended. Look at the backend. */
  | "circuit_open"
  /** More rows waited than `limits.bufferBytes`, or a page, can hold: the oldest spans are lost. Raise it, or check the backend. */
  | "queue_full"
  /** More rows ended at once than the buffer holds. Flush earlier, or record less. */
  | "buffer_full"
  /** The row is longer than an upload, even after its fields were cut. Lower `limits.spanBytes`. */
  | "row_too_large"
  /** The upload already has a row with this id, and the API would refuse both. This package makes the ids: report it. */
  | "duplicate_id"
  /** The row's id is not a UUIDv7, or the core cannot read its fields. Report it. */
  | "malformed_row"
  /** The row's buffer is gone because its invocation has ended. Await the code that records it, or hand it to `waitUntil`. */
  | "stale_buffer"
  /** `discard()` ended the page's visit before the row was sent. This is intended. */
  | "discarded"
  /** The WebAssembly instance died and its rows are lost. The next row gets a new instance; report it. */
  | "wasm_trap"
  /** The runtime refuses to compile WebAssembly. A page's Content-Security-Policy needs `'wasm-unsafe-eval'`. */
  | "wasm_blocked"
  /** The runtime lacks a required function, as jsdom lacks `TextEncoder`. Provide the function that `onError` names. */
  | "unexpected";

/** Lost rows. */
export interface Drop {
  /** A key of `FlushReport.dropped`. */
  readonly reason: DropReason;
  /** Number of rows, at least 1. */
  readonly rows: number;
}

/** Receives the lost rows, once for each reason and flush. It must not throw; an error that it throws is swallowed. */
export type OnDrop = (drop: Drop) => void;

/** Callbacks of a `Reporter`. */
export interface Listeners {
  readonly onError?: OnError | undefined;
  readonly onDrop?: OnDrop | undefined;
}

/** `true` after a reporter has reported that WebAssembly is blocked, which concerns the whole process. */
let isBlockTold = false;

/** Limit of reported causes: they may contain names chosen by the application's callers. */
const MAX_TOLD = 100;

/** Reports errors to `onError` (by default `console.warn`), each cause of misuse once, and lost rows to `onDrop`. */
export class Reporter {
  readonly #onError: OnError;
  readonly #onDrop: OnDrop | undefined;
  readonly #seen: Set<string>;

  /** Reporters that share `seen` report each cause once among them. */
  constructor(listeners?: Listeners, seen: Set<string> = new Set()) {
    const { onError = warn, onDrop } = ownOf(listeners);
    this.#onError = onError;
    this.#onDrop = onDrop;
    this.#seen = seen;
  }

  /** Reports an error on every call: for losses, which are counted. */
  report(error: OpikError): void {
    this.#call("onError", () => this.#onError(error));
  }

  /** Reports lost rows. */
  dropped(drop: Drop): void {
    this.#call("onDrop", () => this.#onDrop?.(drop));
  }

  /** Reports the first error for each `code` and `detail`: for misuse and warnings. */
  once(code: OpikErrorCode, message: string, cause?: unknown, detail = ""): void {
    // The error is made only if needed: capturing its stack takes longer than everything else in a span.
    this.#first(`${code} ${detail}`, () => this.report(new OpikError(code, message, cause)));
  }

  /** Like `once`, for an error that already exists. */
  tellOnce(error: OpikError, detail = ""): void {
    this.#first(`${error.code} ${detail}`, () => this.report(error));
  }

  /** Reports an error that made a module unusable, once for each code; that it is blocked once for all reporters. */
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
      // An async callback may reject.
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

/** An error named `name` for the outcome of a call. Its stack would mislead, so it is removed. */
export function namedError(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  delete error.stack;
  return error;
}

function warn(error: OpikError): void {
  console.warn(`[opik-edge] ${error.code}: ${error.message}`);
}

/** Makes `object` print as `[kind id]`, or `[kind]` without an id, in JSON and in the inspectors of Node, Deno, Bun and workerd. */
export function printAs(kind: string, object: object): void {
  const value = function (this: { readonly id?: string }): string {
    return this.id ? `[${kind} ${this.id}]` : `[${kind}]`;
  };
  for (const name of ["toJSON", Symbol.for("nodejs.util.inspect.custom")]) {
    Object.defineProperty(object, name, { value });
  }
}

/** `true` for objects, `false` for functions and `null`. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** A copy of `options` with own members only, so that additions to `Object.prototype` do not act as options. */
export function ownOf<T extends object>(options: T | null | undefined): T {
  return { __proto__: null, ...options } as unknown as T; // JavaScript callers may pass null
}

/**
 * Reads an option if it is an own member. Returns `undefined` if there are no options or reading fails (a throwing getter, a
 * revoked proxy).
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
