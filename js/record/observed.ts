// A call that an observer follows: what the observer is told of it, and in which span what it says is recorded. Whatever it does
// there, the call goes on as without it. The call itself is made in fetch.ts, which comes here only where the host has observers.

import { OpikError } from "../errors.js";
import type { SpanFields } from "../fields.js";
import { isPlainPromise } from "../platform/promise.js";
import type { CallEnding, CallObservation, CallObserver, CallRecord, ObservedCall, Settings } from "../settings.js";
import { JsonText } from "./json.js";
import type { BegunCall, CallFollower, OpenSpan, TracedFetch } from "./model.js";

/** The longest body that is read for an observer, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Spans of the host's in which a call records itself. */
const holders = new WeakSet<object>();

/**
 * An observer, for the setting `observe`. `take` is asked of every call by http or https that is about to be made, by its method and
 * its URL: it gives what follows the call, or `undefined`. Of a call that is not recorded it is asked too, for the sake of its headers,
 * and the call then followed no further. Make it once, at the top of a module, so that requests have the same settings.
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
      // Bun derives the headers of a `blob:` from when they are looked at.
      const { method, url } = begun.call;
      return url?.protocol.startsWith("http") ? followCall(begun, method, url.href, take) : undefined;
    },
  };
}

/** What follows a call that need not be one of `fetch`, if `take` takes it. */
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
  /** `undefined` when it is told nothing more. */
  #observation: CallObservation | undefined;
  /** The span of the host's that is to record the call. */
  #holder: OpenSpan | undefined;
  /** What its own span is to record. */
  #record: CallRecord | undefined;
  #hasFailed = false;
  /** When the last chunk came. */
  #chunkMs: number | undefined;
  /** Whether there is nothing to be added to what the observer says of the end. */
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

  /** At once, since the consumer may not wait for the source to have cleaned up: it ends its own span, say. */
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
      span.beforeEnd = undefined; // who holds the span need not hold the call
      const isSettled = this.ended(isUnfinished ? "unfinished" : "done");
      this.#ask(() => this.#write());
      // Who has read the last that matters may leave the body there.
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
    // After a call that has failed there is mostly another one.
    if (row && !hasError && !this.#hasFailed && how !== "failed") {
      // Counts of two sources would be of neither.
      const { usage = record.usage } = row.fields;
      row.merge(
        withValues({ ...record, usage }, (key) => key === "metadata" || row.fields[key] !== undefined),
        true,
      );
      this.#holder = undefined; // it goes on being one
    } else this.#record = record;
    this.#isSettled = hasError || (isComplete === true && how !== "failed");
  }

  /** Puts what it says in place of what is recorded of every call, beside what has been recorded of the end. */
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
      else reporter.once("observer_failed", "an observer failed, so its call is recorded as every call: see `cause`", error);
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
      this.#isForeign = false; // it is none of its calls
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
      text = undefined; // it is the host's own that fails
    }
    this.#stopReading();
    this.#tellBody(text || undefined);
  }
}

/** `record`, with values in place of those of its texts that are to be merged. */
function withValues(record: CallRecord, isMerged: (key: keyof SpanFields) => boolean): CallRecord {
  const values: Record<string, unknown> = { ...record };
  for (const [key, value] of Object.entries(record)) {
    if (value instanceof JsonText && isMerged(key as keyof SpanFields)) values[key] = value.toJSON();
  }
  return values;
}

/** `args` with `body` in place of a text in their init. */
function withBody(args: Parameters<TracedFetch>, body: string): Parameters<TracedFetch> {
  const [input, init, ...rest] = args;
  const members = Object.getOwnPropertyDescriptors(Object(init));
  if (typeof members["body"]?.value !== "string") return args;
  const changed = { ...members, body: { ...members["body"], value: body } };
  return [input, Object.create(Object.getPrototypeOf(init), changed), ...rest] as Parameters<TracedFetch>;
}

/** The body of the request: its text, or what it can be read from beside the call; `undefined` where that would change the call. */
function bodyOf([input, init]: Parameters<TracedFetch>):
  | string
  | ReadableStream<Uint8Array>
  | Promise<ReadableStream<Uint8Array>>
  | undefined {
  try {
    const own = Object.getOwnPropertyDescriptor(Object(init), "body"); // a getter is called once, by the platform
    const body: unknown = own?.value;
    if (typeof body === "string") return body;
    if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) {
      return body.byteLength > MAX_BODY_BYTES ? undefined : new TextDecoder().decode(body as ArrayBuffer);
    }
    const isOfRequest = own ? !own.get && (body ?? undefined) === undefined : !("body" in Object(init));
    if (!isOfRequest) return undefined;
    const copy: Request = Request.prototype.clone.call(input);
    // Firefox shows no stream of a request.
    return "body" in copy ? (copy.body ?? undefined) : (copy as Request).blob().then((blob) => blob.stream());
  } catch {
    return undefined; // what is no request, or is used up
  }
}
