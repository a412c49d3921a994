// Follows a call for an observer: passes the call's events to it, and records its results in the right span. Errors of the
// observer do not affect the call. fetch.ts makes the call, and uses this file only if the host has set observers.

import { OpikError } from "../errors.js";
import type { SpanFields } from "../fields.js";
import { isPlainPromise } from "../platform/promise.js";
import type { CallEnding, CallObservation, CallObserver, CallRecord, ObservedCall, Settings } from "../settings.js";
import { JsonText } from "./json.js";
import type { BegunCall, CallFollower, OpenSpan, TracedFetch } from "./model.js";

/** The longest request body that is read for an observer, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Host spans that a call is to record in, or has recorded in. */
const holders = new WeakSet<object>();

/**
 * An observer, for the setting `observe`. `take` is called with method and URL of each http or https call before it is
 * made, and returns an observation to follow it, or `undefined`. For a call that is not recorded, `take` is called too,
 * because its answer affects the headers; that call is not followed further. Create it once, at the top of a module, so
 * that all requests share their settings.
 *
 * @example
 * ```ts
 * import { callObserver, Opik } from "opik-edge";
 *
 * const searches = callObserver(({ url }) => {
 *   if (!url.startsWith("https://search.example.com/")) return undefined;
 *   let bytes = 0;
 *   return {
 *     chunk: (chunk) => {
 *       bytes += chunk.length;
 *     },
 *     end: () => ({ type: "tool", name: "search", output: { bytes } }),
 *   };
 * });
 *
 * export const opik = new Opik({ observe: [searches] });
 * ```
 */
export function callObserver(take: (call: ObservedCall) => CallObservation | undefined): CallObserver {
  return {
    follow(begun: BegunCall) {
      // Bun derives the headers of a `blob:` URL when they are first read.
      const { method, url } = begun.call;
      return url?.protocol.startsWith("http") ? followCall(begun, method, url.href, take) : undefined;
    },
  };
}

/** A follower of the call, if `take` takes it. The call need not be made by `fetch`. */
export function followCall(
  begun: BegunCall,
  method: string,
  url: string,
  take: (call: ObservedCall) => CallObservation | undefined,
): CallFollower | undefined {
  const { fieldBytes } = begun.span.trace.scope.settings.limits;
  const followed = new FollowedCall(begun, () => take({ method, url, fieldBytes }));
  return followed.isTaken ? followed : undefined;
}

class FollowedCall implements CallFollower {
  readonly #begun: BegunCall;
  readonly isTaken: boolean;
  #isForeign: unknown;
  /** `undefined` once the observer gets no more events. */
  #observation: CallObservation | undefined;
  /** The host's span that is to record the call. */
  #holder: OpenSpan | undefined;
  /** The record for the call's own span. */
  #record: CallRecord | undefined;
  #hasFailed = false;
  /** The time of the last chunk. */
  #chunkMs: number | undefined;
  /** `true` if the observer has said everything about the end. */
  #isSettled = false;
  #stopReading = (): void => {};

  constructor(begun: BegunCall, take: () => CallObservation | undefined) {
    this.#begun = begun;
    this.#observation = this.#ask(take) ?? undefined;
    this.#isForeign = this.#ask(() => this.#observation?.isForeign);
    this.isTaken = this.#observation !== undefined;
    if (this.#observation) this.#begin();
  }

  targets<P extends { readonly propagateTo: Settings["propagateTo"] }>(others: P): P {
    return this.#isForeign === true ? { ...others, propagateTo: others.propagateTo ?? [] } : others;
  }

  answered(response: Response): void {
    const { status } = response;
    this.#hasFailed = status >= 400;
    this.#ask(() => this.#observation?.answer?.({ status, header: (name) => response.headers.get(name) }));
  }

  readonly onChunk = (bytes: unknown): void => {
    const { trace, startMs } = this.#begun.span;
    if (!ArrayBuffer.isView(bytes)) return;
    const nowMs = trace.now();
    this.#chunkMs = nowMs;
    this.#ask(() => this.#observation?.chunk?.(bytes as Uint8Array, Math.max(0, nowMs - startMs)));
  };

  /** Ends at once, because the consumer need not wait until the source has cleaned up, and may end its own span first. */
  readonly onCancel = (): void => {
    this.ended(this.#begun.call.isAborted() ? "cancelled" : "stopped");
  };

  ended(how: CallEnding): boolean {
    const given = this.#ask(() => this.#observation?.end(how));
    if (given) this.#ask(() => this.#keep({ ...given }, how));
    this.#leave();
    return this.#isSettled;
  }

  #begin(): void {
    const { span, above, call } = this.#begun;
    if (!span.isRecorded) {
      this.#leave();
      return;
    }
    span.beforeEnd = (isUnfinished) => {
      span.beforeEnd = undefined; // the holder of the span need not hold the call
      const isSettled = this.ended(isUnfinished ? "unfinished" : "done");
      this.#ask(() => this.#write());
      // A consumer may stop reading after the last chunk that matters.
      return isUnfinished && isSettled ? this.#chunkMs : undefined;
    };
    const holder = above as OpenSpan | null | undefined;
    if (holder?.openRow?.fields.type === "llm" && !holders.has(holder)) {
      holders.add(holder);
      this.#holder = holder;
    }
    if (!this.#observation?.request) return;
    const body = bodyOf(call.args);
    if (typeof body === "object") {
      void this.#read(body);
      return;
    }
    const sent = this.#tellBody(body);
    if (typeof sent === "string") call.args = withBody(call.args, sent);
  }

  #keep({ isComplete, ...record }: CallRecord, how: CallEnding): void {
    const hasError = (record.error ?? undefined) !== undefined;
    const row = this.#holder?.openRow;
    // A failed call is usually followed by another.
    if (row && !hasError && !this.#hasFailed && how !== "failed") {
      // Token counts of two sources must not be mixed.
      const { usage = record.usage } = row.fields;
      row.merge(
        withValues({ ...record, usage }, (key) => key === "metadata" || row.fields[key] !== undefined),
        true,
      );
      this.#holder = undefined; // but the span stays in `holders`
    } else this.#record = record;
    this.#isSettled = hasError || (isComplete === true && how !== "failed");
  }

  /** Replaces the default input and output by the observer's record, and keeps the fields that describe the end. */
  #write(): void {
    const { span, name } = this.#begun;
    const row = span.openRow;
    if (!this.#record || !row) return;
    const record = withValues(this.#record, (key) => key === "metadata" && row.fields[key] !== undefined);
    Object.assign(row.fields, { input: undefined, output: undefined });
    row.merge(name === undefined ? record : { ...record, name });
  }

  #ask<T>(run: () => T): T | undefined {
    try {
      const answer = run();
      if (!isPlainPromise(answer)) return answer;
      answer.catch(() => {});
      throw new TypeError("an observer answers at once, not by a promise");
    } catch (error) {
      this.#leave();
      const { reporter } = this.#begun.span.trace.scope;
      if (error instanceof OpikError && error.code === "wasm_blocked") reporter.failure(error);
      else
        reporter.once("observer_failed", "an observer failed, so its call is recorded without it: see `cause`", error);
      return undefined;
    }
  }

  #leave(): void {
    const left = this.#observation;
    this.#observation = undefined;
    this.#ask(() => left?.close?.());
    this.#stopReading();
    if (this.#holder) holders.delete(this.#holder);
    this.#holder = undefined;
  }

  #tellBody(body: string | undefined): unknown {
    const answer = this.#ask(() => this.#observation?.request?.(body));
    if (answer === false) {
      this.#isForeign = false; // the call is not one of the observer's
      this.#leave();
    }
    return answer;
  }

  async #read(stream: ReadableStream<Uint8Array> | Promise<ReadableStream<Uint8Array>>): Promise<void> {
    let text: string | undefined = "";
    let room = MAX_BODY_BYTES;
    try {
      const reader = (await stream).getReader();
      this.#stopReading = () => void reader.cancel().catch(() => {});
      const decoder = new TextDecoder();
      for (let next = await reader.read(); text !== undefined && !next.done; next = await reader.read()) {
        room -= next.value.byteLength;
        text = room < 0 ? undefined : text + decoder.decode(next.value, { stream: true });
      }
    } catch {
      text = undefined; // the host's stream failed
    }
    this.#stopReading();
    this.#tellBody(text || undefined);
  }
}

/** `record` with its JSON texts parsed where they are to be merged. */
function withValues(record: CallRecord, isMerged: (key: keyof SpanFields) => boolean): CallRecord {
  const values: Record<string, unknown> = { ...record };
  for (const [key, value] of Object.entries(record)) {
    if (value instanceof JsonText && isMerged(key as keyof SpanFields)) values[key] = value.toJSON();
  }
  return values;
}

/** `args` with `body` in place of a text body in the init. */
function withBody(args: Parameters<TracedFetch>, body: string): Parameters<TracedFetch> {
  const [input, init, ...rest] = args;
  const members = Object.getOwnPropertyDescriptors(Object(init));
  if (typeof members["body"]?.value !== "string") return args;
  const changed = { ...members, body: { ...members["body"], value: body } };
  return [input, Object.create(Object.getPrototypeOf(init), changed), ...rest] as Parameters<TracedFetch>;
}

/** The request body: its text, or a stream of a copy. `undefined` if reading it would change the call. */
function bodyOf([input, init]: Parameters<TracedFetch>):
  | string
  | ReadableStream<Uint8Array>
  | Promise<ReadableStream<Uint8Array>>
  | undefined {
  try {
    const own = Object.getOwnPropertyDescriptor(Object(init), "body"); // the platform alone calls a getter
    const body: unknown = own?.value;
    if (typeof body === "string") return body;
    if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) {
      return body.byteLength > MAX_BODY_BYTES ? undefined : new TextDecoder().decode(body as ArrayBuffer);
    }
    const isOfRequest = own ? !own.get && (body ?? undefined) === undefined : !("body" in Object(init));
    if (!isOfRequest) return undefined;
    const copy: Request = Request.prototype.clone.call(input);
    // Firefox has no `body` on requests.
    return "body" in copy ? (copy.body ?? undefined) : (copy as Request).blob().then((blob) => blob.stream());
  } catch {
    return undefined; // not a request, or its body is used up
  }
}
