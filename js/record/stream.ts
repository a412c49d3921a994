// Detects the end of a stream or of a response body. Chunks pass through unchanged: no tee, no buffer, no transfer of
// ownership. iterator.ts and settle.ts watch iterators and the objects of SDKs.

import { isBrowser, within } from "../platform/env.js";
import type { Ending, OnEnd } from "./ending.js";

/** Called as soon as a reader cancels. The end follows when the source has cleaned up. */
export type OnCancel = () => void;
/** Called with each chunk just before its consumer gets it; must not throw. */
export type OnChunk = (chunk: unknown) => void;

/** The listeners of a watched stream. */
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

  /** The error that the stream failed with, if it is not a `TypeError`; otherwise `error`. */
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
 * A stream that passes on the chunks of `source` as they are read. `onEnd` is called when it is exhausted, when it fails,
 * or when its reader cancels. A stream that is already watched is returned itself.
 */
export function watchStream<T>(
  source: ReadableStream<T>,
  ...listener: [onEnd: OnEnd, onCancel?: OnCancel, onChunk?: OnChunk]
): ReadableStream<T> {
  const watched = watches.has(source) ? source : wrap(source);
  watches.get(watched)?.add(...listener);
  return watched;
}

/** Wraps a stream in one of the same kind. A byte stream stays a byte stream, and keeps a length that workerd knows. */
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
  // A byte stream detaches the buffers of its chunks from their owner. The chunks of another byte stream have no other
  // owner.
  const ofBytes = (): ReadableStream<T> => {
    const expectedLength = lengthOf(source);
    return new ReadableStream({
      type: "bytes",
      ...(expectedLength !== undefined && { expectedLength }), // for workerd, which otherwise drops Content-Length
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

/** `true` if a reader may bring its own buffer. */
function isOfBytes(source: ReadableStream<unknown>): boolean {
  try {
    // Node shows the controller; without this test, Node takes long to create the error thrown below.
    const state = shown(source, source, "kState") as { controller?: unknown } | undefined;
    if (state?.controller) return state.controller instanceof ReadableByteStreamController;
    const reader: unknown = source.getReader({ mode: "byob" });
    (reader as ReadableStreamBYOBReader).releaseLock();
    // Safari before 26 has no byte streams and ignores the mode.
    return reader instanceof ReadableStreamBYOBReader;
  } catch {
    return false;
  }
}

/** The length of a stream, which only workerd exposes, for `util.inspect`. */
export function lengthOf(stream: ReadableStream): number | undefined {
  const length = shown(stream, ReadableStream.prototype, "length");
  return typeof length === "bigint" ? Number(length) : undefined;
}

const symbols = new Map<string, symbol | undefined>();

/** A value that a runtime stores in `object` under a symbol with this description. The symbol is looked up in `holder`. */
function shown(object: object, holder: object, description: string): unknown {
  if (!symbols.has(description)) {
    const found = Object.getOwnPropertySymbols(holder).find((known) => known.description === description);
    symbols.set(description, found);
  }
  const symbol = symbols.get(description);
  return symbol && (object as Record<symbol, unknown>)[symbol];
}

/** Reads a stream and reports its end. */
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

  /** Locks the source at the first read, as an unwatched stream would. */
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

  /** A read that is pending during a cancel resolves as done; that does not count as the end. */
  #ended(ending: Ending): void {
    if (!this.#isCancelled) this.#onEnd(ending);
  }
}

function sum(bytes: number, chunk: unknown): number | undefined {
  return ArrayBuffer.isView(chunk) ? bytes + chunk.byteLength : undefined;
}

/** Time that a cancelled source gets to clean up before the stream counts as ended. */
const CANCEL_GRACE_MS = 1000;

/** Cancels the source, lets it clean up (a generator's `finally` may still update its span), then ends. */
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

/** Statuses without a body (Fetch standard, "null body status"); 101 belongs to WebSockets. */
const NO_BODY = new Set([101, 204, 205, 304]);

/** `true` if `response` has a body whose end can and needs to be watched. Does not change `response`. */
export function hasWatchableBody(response: Response): response is Response & { body: ReadableStream<Uint8Array> } {
  const { status } = response;
  if (!isPlatforms(response) || status < 200 || status > 599 || NO_BODY.has(status)) return false;
  // A service worker must answer with the original response, since the page can tell a copy from it.
  if (isBrowser() && "ServiceWorkerGlobalScope" in globalThis) return false;
  const key = unreadKey(response);
  if (key) {
    const [, body] = (response as unknown as Unread)[key]!;
    return body instanceof ReadableStream && !body.locked;
  }
  // `body` comes last: once it is accessed, Bun forgets the content type of a string body.
  return !isAllThere(response) && response.body !== null && !response.bodyUsed && !response.body.locked;
}

/** `true` if `response` can be copied: not a subclass, not frozen, and from this realm. */
function isPlatforms(response: Response): boolean {
  const prototype: object = Object.getPrototypeOf(response);
  return (
    Object.isExtensible(response) &&
    (prototype === Response.prototype ||
      // A library may have replaced the global class, as @hono/node-server does.
      (prototype.constructor.name === "Response" && Object.getPrototypeOf(prototype) === Object.prototype))
  );
}

/**
 * `true` if the body is a text or a buffer. Such a body is already complete. A server also sets its length and content
 * type, which it would not for a stream. Each runtime shows this in a different way.
 */
function isAllThere(response: Response): boolean {
  const { Bun, Deno } = globalThis as { Bun?: { inspect(value: unknown): string }; Deno?: unknown };
  // Bun shows the stream of a fetched response only after `body` has been accessed.
  if (Bun) return response.url === "" && !/^ {2}ReadableStream /m.test(Bun.inspect(response));
  if (Deno) {
    const inner = shown(response, response, "response") as DenoResponse | undefined;
    return inner !== undefined && !(inner.body?.streamOrStatic instanceof ReadableStream);
  }
  const { body, headers } = response;
  return body !== null && lengthOf(body) !== undefined && !headers.has("content-length");
}

/** The data that @hono/node-server stores in a response until its body is accessed, under its own symbol. */
type Unread = Record<symbol, [status: number, body: unknown, headers: unknown]>;

/** The key of that data. With it, a response is sent in another way and with other headers than after an access to its body. */
function unreadKey(response: Response): symbol | undefined {
  return Object.getOwnPropertySymbols(response).find(({ description }) => description === "cache");
}

/** The data that Deno stores in a response. */
interface DenoResponse {
  readonly body: { readonly streamOrStatic: unknown } | null;
}

/** `response`, with `onEnd` called at the end of its body. A copy, unless its body is already watched. */
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
  const [status, , headers] = kept; // read before the copy accesses them
  return Object.assign(copyOf(response, watched), { [key!]: [status, watched, headers] });
}

/** A copy of `response` with `body`, and everything else unchanged. */
export function withBody(response: Response, body: ReadableStream<Uint8Array>): Response {
  return keepOrigin(copyOf(response, body), response);
}

function copyOf(response: Response, body: ReadableStream<Uint8Array>): Response {
  const Class = response.constructor as typeof Response;
  return new Class(body as ReadableStream<Uint8Array<ArrayBuffer>>, response);
}

const READERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const;

/** Constructors do not accept `url`, `redirected` and `type`. */
function keepOrigin(copy: Response, original: Response, watch = watches.get(copy.body!)): Response {
  const { url, redirected, type } = original;
  if (copy.url === url && copy.redirected === redirected && copy.type === type) return copy;
  const clone = copy.clone.bind(copy);
  const members: Record<string, unknown> = { url, redirected, type, clone: () => keepOrigin(clone(), original, watch) };
  // Bun sets no type on a blob that it reads from a JavaScript stream.
  if ("Bun" in globalThis) members["blob"] = async () => new Response(await copy.arrayBuffer(), copy).blob();
  // When one of these methods reads a stream that fails, Chromium replaces the error by "Failed to fetch".
  for (const name of isBrowser() && watch ? READERS : []) {
    const read = copy[name]?.bind(copy);
    if (read) members[name] = () => read().catch((error) => Promise.reject(watch!.reason(error)));
  }
  for (const [name, value] of Object.entries(members)) Object.defineProperty(copy, name, { value, configurable: true });
  return copy;
}
