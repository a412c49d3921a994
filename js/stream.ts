// Notices when something that is consumed bit by bit has come to its end: a stream, a response's body,
// an iterator. Everything passes through untouched: no tee, no buffering.

import { within } from "./env.js";

/** How a stream or iterator came to its end. */
export type Ending =
  | { readonly how: "done" }
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

/** Called at the end; a further call says nothing new. */
export type OnEnd = (ending: Ending) => void;

/**
 * `source`, chunk by chunk as it is read. `onEnd` is called when it is exhausted, when its reader
 * cancels (a client that hangs up), or when it fails.
 */
export function watchStream<T>(source: ReadableStream<T>, onEnd: OnEnd): ReadableStream<T> {
  if (!isOfBytes(source)) return watchValues(source, onEnd);
  return watchBytes(source as ReadableStream<never>, onEnd) as ReadableStream<never>;
}

/** Whether a reader may bring its own buffer. */
function isOfBytes(source: ReadableStream<unknown>): boolean {
  try {
    source.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

function watchValues<T>(source: ReadableStream<T>, onEnd: OnEnd): ReadableStream<T> {
  // Taken last: where the constructor throws, the source is as it was. Nothing is pulled before it is read.
  let reader: WatchedReader<T>;
  const watched = new ReadableStream<T>(
    {
      async pull(controller) {
        const next = await reader.read();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  reader = new WatchedReader(source, onEnd);
  return watched;
}

/** The same for a body: readers that bring their own buffer keep working, where the runtime has such. */
export function watchBytes(source: ReadableStream<Uint8Array>, onEnd: OnEnd): ReadableStream<Uint8Array<ArrayBuffer>> {
  const length = lengthOf(source);
  let reader: WatchedReader<Uint8Array>;
  let watched: ReadableStream<Uint8Array<ArrayBuffer>>;
  try {
    watched = new ReadableStream({
      type: "bytes",
      async pull(controller) {
        let next = await reader.read();
        // A byte stream refuses empty chunks.
        while (!next.done && next.value.byteLength === 0) next = await reader.read();
        if (next.done) {
          controller.close();
          controller.byobRequest?.respond(0);
        } else {
          controller.enqueue(next.value as Uint8Array<ArrayBuffer>);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    });
  } catch {
    // Safari before 26 has no byte streams.
    return watchValues(source as ReadableStream<Uint8Array<ArrayBuffer>>, onEnd);
  }
  reader = new WatchedReader(source, onEnd);
  if (length !== undefined) lengths.set(watched, length);
  return watched;
}

/** The lengths of watched streams: a stream made in JavaScript does not carry its own. */
const lengths = new WeakMap<ReadableStream, number>();

/** How many bytes `stream` has, where that is known. */
export function lengthOf(stream: ReadableStream<Uint8Array>): number | undefined {
  return shownLength(stream) ?? lengths.get(stream);
}

/** What workerd, and nobody else, shows of a stream to `util.inspect`: its length, under a symbol. */
function shownLength(stream: ReadableStream<Uint8Array>): number | undefined {
  const symbol = Object.getOwnPropertySymbols(ReadableStream.prototype).find((s) => s.description === "length");
  const shown = symbol && (stream as unknown as Record<symbol, unknown>)[symbol];
  return typeof shown === "bigint" ? Number(shown) : undefined;
}

/** Reads a stream, and tells how it has ended. */
class WatchedReader<T> {
  readonly #reader: ReadableStreamDefaultReader<T>;
  readonly #onEnd: OnEnd;
  #isCancelled = false;

  constructor(source: ReadableStream<T>, onEnd: OnEnd) {
    this.#reader = source.getReader();
    this.#onEnd = onEnd;
  }

  async read(): Promise<ReadableStreamReadResult<T>> {
    try {
      const next = await this.#reader.read();
      if (next.done) this.#ended({ how: "done" });
      return next;
    } catch (error) {
      this.#ended({ how: "failed", error });
      throw error;
    }
  }

  cancel(reason: unknown): Promise<void> {
    this.#isCancelled = true;
    return cancelReader(this.#reader, reason, this.#onEnd);
  }

  /** What is being read when the reader goes away is told that the stream is done: that is no end of its own. */
  #ended(ending: Ending): void {
    if (!this.#isCancelled) this.#onEnd(ending);
  }
}

/** How long a cancelled source may take to clean up before its end is taken for granted. */
const CANCEL_GRACE_MS = 1000;

/** Cancels the source, lets it clean up (a generator's `finally` may still annotate its span), then ends. */
export async function cancelReader(
  reader: ReadableStreamDefaultReader<unknown>,
  reason: unknown,
  onEnd: OnEnd,
): Promise<void> {
  const cancelled = reader.cancel(reason);
  await within(CANCEL_GRACE_MS, cancelled);
  onEnd({ how: "cancelled" });
  await cancelled;
}

/** Statuses whose responses have no body (Fetch standard, "null body status"); 101 is a WebSocket's. */
const NO_BODY = new Set([101, 204, 205, 304]);

/** Whether `response` has a body whose end can be watched, and is worth it. */
export function hasWatchableBody(response: Response): response is Response & { body: ReadableStream<Uint8Array> } {
  const { status, body, headers } = response;
  if (body === null || response.bodyUsed || body.locked || status < 200 || status > 599 || NO_BODY.has(status)) {
    return false;
  }
  // A length that no header states is that of a string or a buffer: it is all there, and keeps its Content-Length.
  return shownLength(body) === undefined || headers.has("content-length");
}

/** A copy of `response` with `body` in place of its own, and all else as it was. */
export function withBody(response: Response, body: ReadableStream<Uint8Array<ArrayBuffer>>): Response {
  return keepOrigin(new Response(body, response), response);
}

/** `url`, `redirected` and `type` can not be given to a constructor. */
function keepOrigin(copy: Response, original: Response): Response {
  const { url, redirected, type } = original;
  for (const [name, value] of Object.entries({ url, redirected, type })) {
    Object.defineProperty(copy, name, { value, configurable: true });
  }
  const clone = copy.clone.bind(copy);
  Object.defineProperty(copy, "clone", { value: () => keepOrigin(clone(), original), configurable: true });
  return copy;
}

type AnyIterator = {
  next: (...args: unknown[]) => unknown;
  return?: (...args: unknown[]) => unknown;
  throw?: (...args: unknown[]) => unknown;
};

/** Whether `value` is an iterator or generator, sync or async. An array or a `Map` is not. */
export function isIterator(value: unknown): value is AnyIterator {
  if (typeof value !== "object" || value === null) return false;
  return (
    typeof (value as AnyIterator).next === "function" && (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}

/** Whether `value` is consumed by `for await` though it is no iterator itself: an SDK's stream object. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/**
 * Watches `iterator` in place, so that it stays the object it is. Each step runs inside `run`.
 */
export function watchIterator(iterator: AnyIterator, run: <T>(fn: () => T) => T, onEnd: OnEnd): void {
  const fail = (error: unknown): never => {
    onEnd({ how: "failed", error });
    throw error;
  };
  for (const method of ["next", "return", "throw"] as const) {
    const original = iterator[method];
    if (typeof original !== "function") continue;
    const settled = (step: unknown): unknown => {
      if ((step as IteratorResult<unknown>).done) onEnd({ how: method === "next" ? "done" : "cancelled" });
      return step;
    };
    const watched = (...args: unknown[]): unknown => {
      let step: unknown;
      try {
        step = run(() => original.apply(iterator, args));
      } catch (error) {
        return fail(error);
      }
      return isThenable(step) ? step.then(settled, fail) : settled(step);
    };
    Object.defineProperty(iterator, method, { value: watched, configurable: true, writable: true });
  }
}

/** Watches the iterations of `iterable` in place; the first to end is what counts. */
export function watchAsyncIterable(iterable: AsyncIterable<unknown>, run: <T>(fn: () => T) => T, onEnd: OnEnd): void {
  const begin = iterable[Symbol.asyncIterator];
  const watched = (): AsyncIterator<unknown> => {
    const iterator = run(() => begin.call(iterable));
    watchIterator(iterator as AnyIterator, run, onEnd);
    return iterator;
  };
  Object.defineProperty(iterable, Symbol.asyncIterator, { value: watched, configurable: true, writable: true });
}

/** Whether `value` can be awaited. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    typeof (value as PromiseLike<unknown>).then === "function"
  );
}
