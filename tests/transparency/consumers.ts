// Every way to consume a response, by name. Each returns its result as JSON, including errors.

import { Lacks } from "./table.js";

/** Helpers for a consumer. */
export interface Surroundings {
  /** Makes the server go on to the next step of its answer. */
  next(): Promise<void>;
  /** Resolves to `true` if the server noticed that the client has left. */
  hungUp(): Promise<boolean>;
  /** Aborts the call. */
  abort(reason?: unknown): void;
  /** URL for the consumer's own requests, which are not traced. */
  readonly url: string;
  readonly fetch: typeof fetch;
}

export type Consumer = (response: Response, surroundings: Surroundings) => Promise<unknown>;

/** Bytes in a form that people can compare. */
export function shown(bytes: ArrayBuffer | ArrayBufferView): unknown {
  const view = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  let text = "";
  let sum = 0;
  for (const byte of view) {
    if (text.length < 100) text += String.fromCharCode(byte);
    sum = (Math.imul(sum, 31) + byte) | 0;
  }
  return { bytes: view.length, text, sum };
}

/** Concatenates the chunks, since the network decides where a body is split. */
function joined(chunks: readonly Uint8Array[]): unknown {
  const all = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return { ...(shown(all) as object), classes: [...new Set(chunks.map((chunk) => chunk?.constructor?.name))] };
}

/** Runs a step. Returns its error as a value, so that the case goes on. */
async function attempt(step: () => unknown): Promise<unknown> {
  try {
    return { value: (await step()) ?? null };
  } catch (error) {
    return { error: described(error) };
  }
}

/** An error as a host sees it. */
export function described(error: unknown, depth = 0): unknown {
  if (typeof error !== "object" || error === null) return { type: typeof error, value: String(error) };
  const { name, message, code, cause } = error as Record<string, unknown>;
  return {
    class: error.constructor?.name,
    tag: Object.prototype.toString.call(error),
    isError: error instanceof Error,
    name,
    message,
    ...(code !== undefined && { code }),
    ...(cause !== undefined && depth < 3 && { cause: described(cause, depth + 1) }),
  };
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    chunks.push(value);
  }
}

async function readWith(
  reader: ReadableStreamBYOBReader,
  size: number,
): Promise<{ chunks: Uint8Array[]; last: unknown }> {
  const chunks: Uint8Array[] = [];
  let buffer = new ArrayBuffer(size);
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done)
      return { chunks, last: value === undefined ? "undefined" : `${value.constructor.name} of ${value.byteLength}` };
    chunks.push(value.slice());
    buffer = value.buffer;
  }
}

const bodyOf = (response: Response): ReadableStream<Uint8Array<ArrayBuffer>> => {
  if (!response.body) throw new TypeError("there is no body");
  return response.body;
};

const iterated = (response: Response): AsyncIterable<Uint8Array> => {
  const body = bodyOf(response);
  if (!(Symbol.asyncIterator in body)) throw new Lacks("async iteration of streams");
  return body as never;
};

function sink(): { stream: WritableStream<Uint8Array>; chunks: Uint8Array[]; ended: string[] } {
  const chunks: Uint8Array[] = [];
  const ended: string[] = [];
  const stream = new WritableStream<Uint8Array>({
    write: (chunk) => void chunks.push(chunk),
    close: () => void ended.push("closed"),
    abort: (reason) => void ended.push(`aborted: ${reason}`),
  });
  return { stream, chunks, ended };
}

const method = (name: "text" | "json" | "arrayBuffer" | "blob" | "formData" | "bytes"): Consumer => {
  return async (response) => {
    if (!(name in response)) throw new Lacks(`Response.prototype.${name}`);
    const promise = (response as Response & { bytes(): Promise<Uint8Array> })[name]();
    const during = response.bodyUsed;
    const value = await promise;
    const made = { class: value?.constructor?.name, promise: promise.constructor.name, during };
    if (value instanceof ArrayBuffer || value instanceof Uint8Array) return { ...made, ...(shown(value) as object) };
    if (value instanceof Blob) return { ...made, type: value.type, size: value.size, text: await value.text() };
    if (value instanceof FormData) {
      const entries = [...value].map(([key, field]) => [
        key,
        typeof field === "string" ? field : [field.name, field.type, field.size],
      ]);
      return { ...made, entries };
    }
    if (name === "text") return { ...made, ...(shown(new TextEncoder().encode(value as string)) as object) };
    return { ...made, value };
  };
};

/** Consumers for any answer. */
export const CONSUMERS: Record<string, Consumer> = {
  text: method("text"),
  json: method("json"),
  arrayBuffer: method("arrayBuffer"),
  bytes: method("bytes"),
  blob: method("blob"),
  formData: method("formData"),
  "not at all": async () => null,
  async reader(response) {
    const reader = bodyOf(response).getReader();
    const chunks = await readAll(reader);
    const closed = await attempt(() => reader.closed);
    reader.releaseLock();
    return { ...(joined(chunks) as object), closed, locked: response.body?.locked };
  },
  async "reader with its own buffer"(response) {
    const reader = bodyOf(response).getReader({ mode: "byob" });
    const { chunks, last } = await readWith(reader, 100_000);
    return { ...(joined(chunks) as object), last, closed: await attempt(() => reader.closed) };
  },
  async "reader with a small buffer"(response) {
    const { chunks, last } = await readWith(bodyOf(response).getReader({ mode: "byob" }), 1000);
    return { ...(joined(chunks) as object), last };
  },
  async "for await"(response) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of iterated(response)) chunks.push(chunk);
    return joined(chunks);
  },
  async "for await, left"(response) {
    for await (const chunk of iterated(response)) {
      return { class: chunk.constructor.name, first: chunk.byteLength > 0 };
    }
    return "nothing came";
  },
  async "values, without cancelling"(response) {
    const body = iterated(response) as unknown as {
      values(options: object): AsyncIterable<Uint8Array>;
    };
    for await (const chunk of body.values({ preventCancel: true })) {
      if (chunk.byteLength > 0) break;
    }
    return {
      locked: response.body?.locked,
      rest: await attempt(async () => (await readAll(bodyOf(response).getReader())).length >= 0),
    };
  },
  async pipeTo(response) {
    const { stream, chunks, ended } = sink();
    await bodyOf(response).pipeTo(stream);
    return { ...(joined(chunks) as object), ended };
  },
  async "pipeTo, aborted"(response) {
    const { stream, ended } = sink();
    const piped = await attempt(() =>
      bodyOf(response).pipeTo(stream, { signal: AbortSignal.abort(new RangeError("enough")) }),
    );
    return { piped, ended };
  },
  async "pipeTo what fails"(response) {
    const stream = new WritableStream({
      write() {
        throw new RangeError("the sink's own");
      },
    });
    return attempt(() => bodyOf(response).pipeTo(stream));
  },
  async pipeThrough(response) {
    const chunks: Uint8Array[] = [];
    const passed = bodyOf(response).pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
    chunks.push(...(await readAll(passed.getReader())));
    return joined(chunks);
  },
  async "pipeThrough a decoder"(response) {
    if (typeof TextDecoderStream === "undefined") throw new Lacks("TextDecoderStream");
    const decoded = bodyOf(response).pipeThrough(
      new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>,
    );
    const reader = decoded.getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return shown(new TextEncoder().encode(text));
      text += value;
    }
  },
  async tee(response) {
    const [one, two] = bodyOf(response).tee();
    const both = await Promise.all([readAll(one.getReader()), readAll(two.getReader())]);
    return { both: both.map(joined), class: one.constructor.name, locked: response.body?.locked };
  },
  async "tee, one cancelled"(response) {
    const [one, two] = bodyOf(response).tee();
    const cancelled = attempt(() => one.cancel("not this one"));
    const chunks = await readAll(two.getReader());
    return { ...(joined(chunks) as object), cancelled: await cancelled };
  },
  async "clone, both read"(response, surroundings) {
    const clone = response.clone();
    const [one, two] = await Promise.all([
      CONSUMERS["text"]!(response, surroundings),
      CONSUMERS["text"]!(clone, surroundings),
    ]);
    return { one, two, response: describedResponse(clone) };
  },
  async "clone, the clone first"(response, surroundings) {
    const clone = response.clone();
    const one = await CONSUMERS["arrayBuffer"]!(clone, surroundings);
    return { one, two: await CONSUMERS["text"]!(response, surroundings) };
  },
  async "clone of a clone"(response, surroundings) {
    const clones = [response.clone()];
    clones.push(clones[0]!.clone());
    const read = await Promise.all([...clones, response].map((each) => CONSUMERS["text"]!(each, surroundings)));
    return { read, origins: clones.map(({ url, type }) => [url, type]) };
  },
  async "clone by the prototype"(response) {
    const clone = Response.prototype.clone.call(response);
    return { text: await clone.text(), accessors: [clone.url, clone.type] };
  },
  async "clone after reading"(response, surroundings) {
    const text = await CONSUMERS["text"]!(response, surroundings);
    return { text, clone: await attempt(() => void response.clone()) };
  },
  async "text twice"(response) {
    const first = (await response.text()).length;
    return {
      first,
      second: await attempt(() => response.text()),
      body: await attempt(() => void response.body?.getReader()),
    };
  },
  async "text while it is locked"(response) {
    const reader = bodyOf(response).getReader();
    const locked = { text: await attempt(() => response.text()), clone: await attempt(() => void response.clone()) };
    reader.releaseLock();
    return {
      ...locked,
      used: response.bodyUsed,
      after: await attempt(async () => shown(await response.arrayBuffer())),
    };
  },
  async "a lock released in the middle"(response) {
    const body = bodyOf(response);
    const first = body.getReader();
    const { value, done } = await first.read();
    first.releaseLock();
    const closed = await first.closed.then(
      () => "closed",
      ({ name }) => name,
    );
    const text = await attempt(() => response.text());
    const rest = done ? [] : await readAll(body.getReader());
    return { ...(joined([...(value ? [value] : []), ...rest]) as object), closed, text, used: response.bodyUsed };
  },
  async "cancelled unread"(response) {
    const body = bodyOf(response);
    const cancelled = await attempt(() => body.cancel(new RangeError("not wanted")));
    const read = await attempt(() => body.getReader().read());
    // WebKit's message for this text depends on how much of the body has arrived.
    const text = await response.text().then(
      () => "a text",
      ({ name }) => name,
    );
    return { cancelled, used: response.bodyUsed, read, text };
  },
  async "cancelled by its reader"(response) {
    const reader = bodyOf(response).getReader();
    await reader.read();
    const cancelled = await attempt(() => reader.cancel("enough"));
    return { cancelled, closed: await attempt(() => reader.closed), read: await attempt(() => reader.read()) };
  },
  async "cancelled while it is locked"(response) {
    bodyOf(response).getReader();
    return attempt(() => bodyOf(response).cancel());
  },
  async "reads side by side"(response) {
    const reader = bodyOf(response).getReader();
    const reads = await Promise.all([reader.read(), reader.read(), reader.read()]);
    const rest = await readAll(reader);
    return joined([...reads.flatMap(({ value }) => (value ? [value] : [])), ...rest]);
  },
  async "a response of its body"(response) {
    const made = new Response(response.body, response);
    return {
      text: shown(await made.arrayBuffer()),
      headers: [...made.headers],
      status: made.status,
      used: response.bodyUsed,
    };
  },
  async "a response of its members"(response) {
    const made = new Response("another body", response);
    return { text: await made.text(), headers: [...made.headers], status: made.status, statusText: made.statusText };
  },
  async "a request of its body"(response, { url, fetch }) {
    const init = { method: "POST", body: response.body, duplex: "half" };
    const request = new Request(`${url}json`, init as RequestInit);
    const answer = await fetch(request);
    return { status: answer.status, json: await answer.json() };
  },
  async "moved to another thread"(response) {
    const body = bodyOf(response);
    let moved: typeof body;
    try {
      moved = structuredClone(body, { transfer: [body] });
    } catch (error) {
      return described(error);
    }
    return joined(await readAll(moved.getReader()));
  },
  async "its prototype's methods"(response) {
    const read = Response.prototype.arrayBuffer.call(response);
    return shown(await (read as Promise<ArrayBuffer>));
  },
};

/** Consumers for answers that come step by step. */
export const STEPS: Record<string, { readonly answer: string; readonly consume: Consumer }> = {
  "each chunk as it comes": {
    answer: "step by step",
    async consume(response, { next }) {
      const reader = bodyOf(response).getReader();
      const chunks: string[] = [];
      const kept: Uint8Array[] = [];
      for (;;) {
        const { done, value } = await reader.read();
        // The earlier chunks must still be intact.
        if (done) return { chunks, kept: kept.map((chunk) => [chunk.byteLength, chunk.buffer.byteLength > 0]) };
        chunks.push(new TextDecoder().decode(value));
        kept.push(value);
        await next();
      }
    },
  },
  "each chunk into a buffer of one's own": {
    answer: "step by step",
    async consume(response, { next }) {
      const reader = bodyOf(response).getReader({ mode: "byob" });
      const chunks: string[] = [];
      for (;;) {
        const { done, value } = await reader.read(new Uint8Array(1000));
        if (done) return chunks;
        chunks.push(new TextDecoder().decode(value));
        await next();
      }
    },
  },
  "each chunk by for await": {
    answer: "step by step",
    async consume(response, { next }) {
      const chunks: string[] = [];
      for await (const chunk of iterated(response)) {
        chunks.push(new TextDecoder().decode(chunk));
        await next();
      }
      return chunks;
    },
  },
  "the first chunk, then the rest as a text": {
    answer: "step by step",
    async consume(response, { next }) {
      const [one, two] = bodyOf(response).tee();
      const { value } = await one.getReader().read();
      for (let step = 0; step < 4; step += 1) await next();
      return [new TextDecoder().decode(value), await new Response(two).text()];
    },
  },
  "reset after the first chunk": {
    answer: "reset in the second step",
    async consume(response, { next }) {
      const reader = bodyOf(response).getReader();
      const { value } = await reader.read();
      await next();
      return {
        first: new TextDecoder().decode(value),
        read: await attempt(() => reader.read()),
        closed: await attempt(() => reader.closed),
        again: await attempt(() => reader.read()),
      };
    },
  },
  "cancelled after the first chunk": {
    answer: "endless",
    async consume(response, { hungUp }) {
      const reader = bodyOf(response).getReader();
      await reader.read();
      const cancelled = await attempt(() => reader.cancel("done"));
      return { cancelled, hungUp: await hungUp(), read: await attempt(() => reader.read()) };
    },
  },
  "cancelled while a read waits": {
    answer: "endless",
    async consume(response, { hungUp }) {
      const reader = bodyOf(response).getReader();
      await reader.read();
      const waiting = attempt(() => reader.read());
      const cancelled = await attempt(() => reader.cancel());
      return { cancelled, waiting: await waiting, hungUp: await hungUp(), closed: await attempt(() => reader.closed) };
    },
  },
  "cancelled before the first chunk": {
    answer: "endless",
    async consume(response, { hungUp }) {
      return {
        cancelled: await attempt(() => bodyOf(response).cancel()),
        hungUp: await hungUp(),
        used: response.bodyUsed,
      };
    },
  },
  "left in the middle of for await": {
    answer: "endless",
    async consume(response, { hungUp }) {
      for await (const chunk of iterated(response)) {
        if (chunk.byteLength > 0) break;
      }
      return { hungUp: await hungUp(), locked: response.body?.locked, used: response.bodyUsed };
    },
  },
  "aborted after the first chunk": {
    answer: "endless",
    async consume(response, { abort, hungUp }) {
      const reader = bodyOf(response).getReader();
      await reader.read();
      abort();
      return {
        read: await attempt(() => reader.read()),
        closed: await attempt(() => reader.closed),
        hungUp: await hungUp(),
      };
    },
  },
  "aborted with a reason while a read waits": {
    answer: "endless",
    async consume(response, { abort, hungUp }) {
      const reader = bodyOf(response).getReader();
      await reader.read();
      const waiting = attempt(() => reader.read());
      abort(new RangeError("the host's reason"));
      return { waiting: await waiting, hungUp: await hungUp() };
    },
  },
  "aborted while text waits": {
    answer: "endless",
    async consume(response, { abort, hungUp }) {
      const text = attempt(() => response.text());
      abort();
      return { text: await text, hungUp: await hungUp() };
    },
  },
  "aborted unread": {
    answer: "endless",
    async consume(response, { abort, hungUp }) {
      abort();
      return { text: await attempt(() => response.text()), hungUp: await hungUp(), used: response.bodyUsed };
    },
  },
  "aborted after it was read": {
    answer: "text",
    async consume(response, { abort }) {
      const text = await response.text();
      abort();
      return { text, used: response.bodyUsed };
    },
  },
  "both branches of tee cancelled": {
    answer: "endless",
    async consume(response, { hungUp }) {
      const [one, two] = bodyOf(response).tee();
      const cancelled = [attempt(() => one.cancel("one")), attempt(() => two.cancel("two"))];
      return { cancelled: await Promise.all(cancelled), hungUp: await hungUp() };
    },
  },
  "piped to what closes": {
    answer: "endless",
    async consume(response, { hungUp }) {
      let written = 0;
      const stream = new WritableStream({
        write(_, controller) {
          written += 1;
          controller.error(new RangeError("closed"));
        },
      });
      return { piped: await attempt(() => bodyOf(response).pipeTo(stream)), written, hungUp: await hungUp() };
    },
  },
};

/** Own members by name. Symbols are left out, because platforms keep internal state there. */
const ownNames = (object: object): string[] => Object.getOwnPropertyNames(object);

/** A response as its host sees it without reading the body. */
export function describedResponse(response: Response): Record<string, unknown> {
  const { status, statusText, ok, type, url, redirected, bodyUsed, body } = response;
  const prototype = Response.prototype as object;
  const asked = (name: string): unknown => {
    const { get } = Object.getOwnPropertyDescriptor(prototype, name) ?? {};
    return get ? get.call(response) : "no accessor";
  };
  return {
    status: { status, statusText, ok },
    origin: { type, url, redirected },
    headers: [...response.headers],
    body: body && {
      class: body.constructor.name,
      isStream: body instanceof ReadableStream,
      own: ownNames(body),
      locked: body.locked,
      used: bodyUsed,
      isSame: response.body === body,
    },
    class: {
      constructor: response.constructor?.name,
      isResponse: response instanceof Response,
      prototype: Object.getPrototypeOf(response) === prototype,
      tag: Object.prototype.toString.call(response),
    },
    own: ownNames(response),
    shown: { keys: Object.keys(response), json: JSON.stringify(response) },
    accessors: { url: asked("url"), type: asked("type"), redirected: asked("redirected") },
  };
}
