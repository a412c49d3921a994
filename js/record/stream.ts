// Notices when a stream or the body of a response has come to its end. What passes through is handed on as it is: no tee, no
// buffer, no chunk that changes its owner. Iterators and the objects of SDKs are watched in iterator.ts and settle.ts.

import { isBrowser, within } from "../platform/env.js";
import type { Ending, OnEnd } from "./ending.js";

/** Called as soon as a reader goes away; the end comes when what it has read from has been cleaned up. */
export type OnCancel = () => void;
/** Called with each chunk just before its consumer has it; it must not throw. */
export type OnChunk = (chunk: unknown) => void;

/** What is watched already, and who is told of its end. */
class Watch {
  readonly #listeners: [OnEnd, OnCancel?, OnChunk?][] = [];
  #ending: Ending | undefined;

  add(...listener: [OnEnd, OnCancel?, OnChunk?]): void {
    if (this.#ending) listener[0](this.#ending);
    else this.#listeners.push(listener);
  }

  show(chunk: unknown): void {
    for (const [, , onChunk] of this.#listeners) onChunk?.(chunk);
  }

  cancel(): void {
    for (const [, onCancel] of this.#listeners) onCancel?.();
  }

  /** What it was broken off with, if it was; else `error`. */
  reason(error: unknown): unknown {
    const ending = this.#ending;
    return ending?.how === "failed" && !(ending.error instanceof TypeError) ? ending.error : error;
  }

  end(ending: Ending): void {
    this.#ending ??= ending;
    for (const [onEnd] of this.#listeners.splice(0)) onEnd(this.#ending);
  }
}

const watches = new WeakMap<ReadableStream, Watch>();

/**
 * `source`, chunk by chunk as it is read. `onEnd` is called when it is exhausted, when it fails, or when its reader cancels. A
 * stream that is watched already stays itself.
 */
export function watchStream<T>(
  source: ReadableStream<T>,
  ...listener: [onEnd: OnEnd, onCancel?: OnCancel, onChunk?: OnChunk]
): ReadableStream<T> {
  const watched = watches.has(source) ? source : wrap(source);
  watches.get(watched)?.add(...listener);
  return watched;
}

/** A stream of the same kind: one of bytes stays one of bytes, and one whose length workerd knows keeps it. */
function wrap<T>(source: ReadableStream<T>): ReadableStream<T> {
  const watch = new Watch();
  const reader = new WatchedReader(source, (ending) => watch.end(ending));
  const cancel = (reason: unknown): Promise<void> => {
    watch.cancel();
    return reader.cancel(reason);
  };
  const ofValues = (): ReadableStream<T> =>
    new ReadableStream<T>(
      {
        async pull(controller) {
          const next = await reader.read();
          if (next.done) controller.close();
          else {
            watch.show(next.value);
            controller.enqueue(next.value);
          }
        },
        cancel,
      },
      { highWaterMark: 0 }, // nothing is read before it is asked for
    );
  // A byte stream takes the buffers of its chunks away from their owner. Those of another byte stream have none but us.
  const ofBytes = (): ReadableStream<T> => {
    const expectedLength = lengthOf(source);
    return new ReadableStream({
      type: "bytes",
      ...(expectedLength !== undefined && { expectedLength }), // workerd's: without it Content-Length is lost
      async pull(controller: ReadableByteStreamController) {
        let next = await reader.read();
        // A byte stream refuses empty chunks.
        while (!next.done && (next.value as ArrayBufferView).byteLength === 0) next = await reader.read();
        if (next.done) {
          controller.close();
          controller.byobRequest?.respond(0);
        } else {
          watch.show(next.value);
          controller.enqueue(next.value as ArrayBufferView<ArrayBuffer>);
        }
      },
      cancel,
    } as UnderlyingByteSource) as ReadableStream<unknown> as ReadableStream<T>;
  };
  const watched = isOfBytes(source) ? ofBytes() : ofValues();
  watches.set(watched, watch);
  return watched;
}

/** Whether a reader may bring its own buffer. */
function isOfBytes(source: ReadableStream<unknown>): boolean {
  try {
    // Node shows it, and takes long for the error that says the same.
    const state = shown(source, source, "kState") as { controller?: unknown } | undefined;
    if (state?.controller) return state.controller instanceof ReadableByteStreamController;
    const reader: unknown = source.getReader({ mode: "byob" });
    (reader as ReadableStreamBYOBReader).releaseLock();
    // Safari before 26 has no byte streams, and gives any reader.
    return reader instanceof ReadableStreamBYOBReader;
  } catch {
    return false;
  }
}

/** The length of a stream, which workerd, and nobody else, shows to `util.inspect`. */
export function lengthOf(stream: ReadableStream): number | undefined {
  const length = shown(stream, ReadableStream.prototype, "length");
  return typeof length === "bigint" ? Number(length) : undefined;
}

const symbols = new Map<string, symbol | undefined>();

/** What a runtime keeps of `object` under a symbol of this description, which it finds in `holder`. */
function shown(object: object, holder: object, description: string): unknown {
  if (!symbols.has(description)) {
    const found = Object.getOwnPropertySymbols(holder).find((known) => known.description === description);
    symbols.set(description, found);
  }
  const symbol = symbols.get(description);
  return symbol && (object as Record<symbol, unknown>)[symbol];
}

/** Reads a stream, and tells how it has ended. */
class WatchedReader<T> {
  readonly #source: ReadableStream<T>;
  readonly #onEnd: OnEnd;
  #opened: ReadableStreamDefaultReader<T> | undefined;
  #bytes: number | undefined = 0;
  #isCancelled = false;

  constructor(source: ReadableStream<T>, onEnd: OnEnd) {
    this.#source = source;
    this.#onEnd = onEnd;
  }

  /** The source is locked when it is first read, as without us. */
  get #reader(): ReadableStreamDefaultReader<T> {
    this.#opened ??= this.#source.getReader();
    return this.#opened;
  }

  async read(): Promise<ReadableStreamReadResult<T>> {
    try {
      const next = await this.#reader.read();
      if (next.done) this.#ended({ how: "done" });
      else if (this.#bytes !== undefined) this.#bytes = sum(this.#bytes, next.value);
      return next;
    } catch (error) {
      this.#ended({ how: "failed", error });
      throw error;
    }
  }

  cancel(reason: unknown): Promise<void> {
    this.#isCancelled = true;
    return cancelReader(this.#reader, reason, () => this.#onEnd({ how: "stopped", bytes: this.#bytes }));
  }

  /** What is being read when the reader goes away is told that the stream is done: that is no end of its own. */
  #ended(ending: Ending): void {
    if (!this.#isCancelled) this.#onEnd(ending);
  }
}

function sum(bytes: number, chunk: unknown): number | undefined {
  return ArrayBuffer.isView(chunk) ? bytes + chunk.byteLength : undefined;
}

/** How long a cancelled source may take to clean up before its end is taken for granted. */
const CANCEL_GRACE_MS = 1000;

/** Cancels the source, lets it clean up (a generator's `finally` may still annotate its span), then ends. */
export async function cancelReader(
  reader: ReadableStreamDefaultReader<unknown>,
  reason: unknown,
  ended: () => void,
): Promise<void> {
  const cancelled = reader.cancel(reason);
  await within(CANCEL_GRACE_MS, cancelled);
  ended();
  await cancelled;
}

/** Statuses whose responses have no body (Fetch standard, "null body status"); 101 is a WebSocket's. */
const NO_BODY = new Set([101, 204, 205, 304]);

/** Whether `response` has a body whose end can be watched, and is worth it. Nothing of `response` is changed. */
export function hasWatchableBody(response: Response): response is Response & { body: ReadableStream<Uint8Array> } {
  const { status } = response;
  if (!isPlatforms(response) || status < 200 || status > 599 || NO_BODY.has(status)) return false;
  // A service worker answers with the response itself, or the page learns of another.
  if (isBrowser() && "ServiceWorkerGlobalScope" in globalThis) return false;
  const key = unreadKey(response);
  if (key) {
    const [, body] = (response as unknown as Unread)[key]!;
    return body instanceof ReadableStream && !body.locked;
  }
  // Last, since it makes Bun forget which content type belongs to a string.
  return !isAllThere(response) && response.body !== null && !response.bodyUsed && !response.body.locked;
}

/** Whether `response` is one that can be copied: no subclass, none of another realm, none that is frozen. */
function isPlatforms(response: Response): boolean {
  const prototype: object = Object.getPrototypeOf(response);
  return (
    Object.isExtensible(response) &&
    (prototype === Response.prototype ||
      // A library has put a class of its own in place of the global one, as @hono/node-server does.
      (prototype.constructor.name === "Response" && Object.getPrototypeOf(prototype) === Object.prototype))
  );
}

/**
 * Whether the body is a text or a buffer: then there is nothing to wait for, and its server states a length, and derives a
 * content type, that a stream does not have. Each runtime shows it in its own way.
 */
function isAllThere(response: Response): boolean {
  const { Bun, Deno } = globalThis as { Bun?: { inspect(value: unknown): string }; Deno?: unknown };
  // Of a fetched one Bun shows a stream only when its body has been looked at.
  if (Bun) return response.url === "" && !/^ {2}ReadableStream /m.test(Bun.inspect(response));
  if (Deno) {
    const inner = shown(response, response, "response") as DenoResponse | undefined;
    return inner !== undefined && !(inner.body?.streamOrStatic instanceof ReadableStream);
  }
  const { body, headers } = response;
  return body !== null && lengthOf(body) !== undefined && !headers.has("content-length");
}

/** What @hono/node-server keeps of a response that nobody has looked at, by a symbol of its own. */
type Unread = Record<symbol, [status: number, body: unknown, headers: unknown]>;

/** That symbol. Such a response is sent in another way, and with other headers, than one whose body was asked for. */
function unreadKey(response: Response): symbol | undefined {
  return Object.getOwnPropertySymbols(response).find(({ description }) => description === "cache");
}

/** What Deno keeps of a response. */
interface DenoResponse {
  readonly body: { readonly streamOrStatic: unknown } | null;
}

/** `response`, with `onEnd` called at the end of its body; a copy of it, unless its body is watched already. */
export function watchResponseBody(
  response: Response & { body: ReadableStream<Uint8Array> },
  ...listener: [onEnd: OnEnd, onCancel?: OnCancel, onChunk?: OnChunk]
): Response {
  const key = unreadKey(response);
  const kept = key && (response as unknown as Unread)[key];
  const body = kept ? (kept[1] as typeof response.body) : response.body;
  const watched = watchStream(body, ...listener);
  if (watched === body) return response;
  if (!kept) return withBody(response, watched);
  const [status, , headers] = kept; // as they are before the copy asks for them
  return Object.assign(copyOf(response, watched), { [key!]: [status, watched, headers] });
}

/** A copy of `response` with `body` in place of its own, and all else as it was. */
export function withBody(response: Response, body: ReadableStream<Uint8Array>): Response {
  return keepOrigin(copyOf(response, body), response);
}

function copyOf(response: Response, body: ReadableStream<Uint8Array>): Response {
  const Class = response.constructor as typeof Response;
  return new Class(body as ReadableStream<Uint8Array<ArrayBuffer>>, response);
}

const READERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const;

/** `url`, `redirected` and `type` can not be given to a constructor. */
function keepOrigin(copy: Response, original: Response, watch = watches.get(copy.body!)): Response {
  const { url, redirected, type } = original;
  if (copy.url === url && copy.redirected === redirected && copy.type === type) return copy;
  const clone = copy.clone.bind(copy);
  const members: Record<string, unknown> = { url, redirected, type, clone: () => keepOrigin(clone(), original, watch) };
  // Bun gives what it reads from a stream of JavaScript no type.
  if ("Bun" in globalThis) members["blob"] = async () => new Response(await copy.arrayBuffer(), copy).blob();
  // Chromium says of a stream that is broken off, and was being read by one of these, that it "Failed to fetch".
  for (const name of isBrowser() && watch ? READERS : []) {
    const read = copy[name]?.bind(copy);
    if (read) members[name] = () => read().catch((error) => Promise.reject(watch!.reason(error)));
  }
  for (const [name, value] of Object.entries(members)) Object.defineProperty(copy, name, { value, configurable: true });
  return copy;
}
