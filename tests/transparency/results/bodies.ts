// The platform's streams and responses. Their chunks and buffers belong to the host.

import { CONSUMERS, described, describedResponse } from "../consumers.js";
import { Lacks } from "../table.js";
import { type Family, type Given, type Host, macrotask, type Result, type Use } from "./host.js";

async function read(given: Given, host: Host): Promise<unknown> {
  const reader = given.getReader();
  const chunks: unknown[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    chunks.push(host.describe(value));
  }
}

function sink(host: Host): WritableStream {
  return new WritableStream({
    write: (chunk) => host.note("written", chunk),
    close: () => host.note("closed"),
    abort: (reason) => host.note("aborted", reason),
  });
}

const streamUses: Record<string, Use> = {
  "not used": () => null,
  read: (given, host) => host.outcome(() => read(given, host)),
  "with a buffer": async (given, host) => {
    const reader = given.getReader({ mode: "byob" });
    const chunks: unknown[] = [];
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(100));
      if (done) return chunks;
      chunks.push(host.describe(value));
    }
  },
  "for await": (given, host) => {
    if (!(Symbol.asyncIterator in given)) throw new Lacks("async iteration of streams");
    return host.outcome(async () => {
      const chunks: unknown[] = [];
      for await (const chunk of given) chunks.push(chunk);
      return chunks;
    });
  },
  "for await, left": async (given, host) => {
    if (!(Symbol.asyncIterator in given)) throw new Lacks("async iteration of streams");
    for await (const chunk of given) return host.describe(chunk);
    return "nothing came";
  },
  pipeTo: (given, host) => host.outcome(() => given.pipeTo(sink(host))),
  pipeThrough: (given, host) => host.outcome(() => read(given.pipeThrough(new TransformStream()), host)),
  tee: (given, host) => host.outcome(() => Promise.all(given.tee().map((branch: unknown) => read(branch, host)))),
  cancelled: async (given, host) => {
    const cancelled = await host.outcome(() => given.cancel(host.name(new RangeError("enough"), "reason")));
    return [cancelled, given.locked, await host.outcome(() => given.getReader().read())];
  },
  "cancelled after a chunk": async (given, host) => {
    const reader = given.getReader();
    const first = await host.outcome(() => reader.read());
    return [first, await host.outcome(() => reader.cancel("enough")), await host.outcome(() => reader.closed)];
  },
  "looked at": async (given, host) => {
    await macrotask();
    return [given.locked, given.constructor?.name, host.describe(given.allReady)];
  },
  "a body": (given, host) => host.outcome(() => new Response(given).text()),
  "a request's body": (given, host) => {
    const init = { method: "POST", body: given, duplex: "half" };
    return host.outcome(() => new Request("http://host.test/", init as RequestInit).text());
  },
  moved: async (given, host) => {
    try {
      return await host.outcome(() => read(structuredClone(given, { transfer: [given] }), host));
    } catch (error) {
      return described(error);
    }
  },
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A stream that gives these chunks on demand, and notes `pull` and `cancel`. */
function of(host: Host, chunks: readonly unknown[], strategy?: QueuingStrategy): ReadableStream {
  let next = 0;
  return new ReadableStream(
    {
      pull(controller) {
        host.note("pull");
        if (next < chunks.length) controller.enqueue(chunks[next++]);
        else controller.close();
      },
      cancel: (reason) => host.note("cancel", reason),
    },
    strategy ?? { highWaterMark: 0 },
  );
}

/** A stream that has these chunks from the start. */
const full = (chunks: readonly unknown[]): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

function ofBytes(host: Host, texts: readonly string[]): ReadableStream {
  let next = 0;
  try {
    return new ReadableStream({
      type: "bytes",
      pull(controller) {
        host.note("pull");
        if (next < texts.length) {
          controller.enqueue(bytes(texts[next++]!) as Uint8Array<ArrayBuffer>);
        } else {
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
      cancel: (reason) => host.note("cancel", reason),
    });
  } catch {
    throw new Lacks("byte streams");
  }
}

const pooled = (host: Host, text: string): Uint8Array => {
  const { Buffer } = globalThis as Given;
  if (!Buffer) throw new Lacks("Buffer");
  return host.own(Buffer.from(text), text);
};

const chunk = (host: Host, text: string): Uint8Array => host.own(bytes(text), text);

const streams: Record<string, (host: Host) => unknown> = {
  "of strings": (host) => of(host, ["one", "two"]),
  "of objects": (host) => of(host, [host.name({ n: 1 }, "1"), undefined, null, host.name([2], "2")]),
  "of bytes": (host) => of(host, [chunk(host, "one"), chunk(host, "two")]),
  "of bytes, full": (host) => full([chunk(host, "one"), chunk(host, "two")]),
  "of pooled Buffers": (host) => full([pooled(host, "one"), pooled(host, "two")]),
  "of the same chunk again": (host) => {
    const ping = chunk(host, ": ping\n\n");
    return full([ping, ping, ping]);
  },
  "of parts of one buffer": (host) => {
    const all = bytes("one two");
    return of(host, [host.own(all.subarray(0, 3), "one"), host.own(all.subarray(3), "two")]);
  },
  "of a DataView": (host) => full([host.own(new DataView(new ArrayBuffer(3)), "view")]),
  "of empty chunks": (host) => of(host, [chunk(host, ""), chunk(host, "one"), new Uint8Array()]),
  "a byte stream": (host) => ofBytes(host, ["one", "two"]),
  "a byte stream that is empty": (host) => ofBytes(host, []),
  "with a queue": (host) => of(host, ["one", "two", "three"], { highWaterMark: 2 }),
  "with a size": (host) =>
    of(host, ["one", "two"], { highWaterMark: 4, size: (text) => (host.note("size", text), text.length) }),
  "that fails at once": (host) =>
    new ReadableStream({
      start(controller) {
        controller.error(host.name(new RangeError("the stream's error"), "the stream's error"));
      },
    }),
  "that fails later": (host) => {
    let isBegun = false;
    return new ReadableStream(
      {
        pull(controller) {
          if (isBegun) controller.error(host.name(new RangeError("the stream's error"), "the stream's error"));
          else controller.enqueue("one");
          isBegun = true;
        },
      },
      { highWaterMark: 0 },
    );
  },
  "whose `pull` throws": (host) =>
    new ReadableStream(
      {
        pull() {
          throw host.name(new RangeError("the source's error"), "the source's error");
        },
      },
      { highWaterMark: 0 },
    ),
  "whose `cancel` fails": (host) =>
    new ReadableStream({
      start: (controller) => controller.enqueue("one"),
      pull: (controller) => controller.close(),
      cancel() {
        throw host.name(new RangeError("the source's error"), "the source's error");
      },
    }),
  closed: () => full([]),
  locked: (host) => {
    const stream = of(host, ["one"]);
    stream.getReader();
    return stream;
  },
  "a branch of a tee": (host) => {
    const [branch, other] = of(host, ["one", "two"]).tee();
    void other.cancel();
    return branch;
  },
  "read before": (host) => {
    const stream = of(host, ["one", "two"]);
    const reader = stream.getReader();
    void reader.read();
    reader.releaseLock();
    return stream;
  },
  "of a TransformStream": () => {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    void writer
      .write("one")
      .then(() => writer.close())
      .catch(() => {});
    return readable;
  },
  "piped through": (host) => of(host, ["one", "two"]).pipeThrough(new TransformStream()),
  "of a response": () => new Response("text").body,
  "of a Blob": () => new Blob(["text"]).stream(),
  "with members": (host) => Object.assign(of(host, ["one"]), { allReady: host.name(Promise.resolve(), "all ready") }),
  "with an iterator of its own": (host) => {
    const stream = of(host, ["one"]);
    return Object.defineProperty(stream, Symbol.asyncIterator, {
      value: () => (host.note("the host's iterator"), [1][Symbol.iterator]()),
    });
  },
  frozen: (host) => Object.freeze(of(host, ["one"])),
  "a class of its own": (host) => {
    class Own extends ReadableStream<string> {
      readonly more = 1;
    }
    return new Own({
      start: (controller) => (controller.enqueue("one"), controller.close()),
      cancel: () => host.note("cancel"),
    });
  },
  "of another realm": () => elsewhere("new Response('text').body"),
};

/** Evaluates the source in an iframe. */
function elsewhere(source: string): Given {
  const { document } = globalThis as Given;
  if (!document) throw new Lacks("another realm with streams");
  const frame = document.createElement("iframe");
  document.body.append(frame);
  return frame.contentWindow.eval(source);
}

const SOURCES = { "not used": "unfinished", "looked at": "unfinished" } as const;

export const STREAMS: Family = {
  results: Object.fromEntries(
    Object.entries(streams).map(([name, make]): [string, Result] => [
      name,
      { make: (host) => host.name(make(host), "value given"), ends: "any" },
    ]),
  ),
  uses: streamUses,
  ends: SOURCES,
};

// --- Responses

const responseUses: Record<string, Use> = Object.fromEntries(
  Object.entries(CONSUMERS).map(([name, consume]): [string, Use] => [
    name,
    async (given, host) => {
      const surroundings = {
        next: async () => {},
        hungUp: async () => false,
        abort: () => {},
        url: host.url,
        fetch: host.fetch,
      };
      return consume(given, surroundings);
    },
  ]),
);

const responseLooks: Record<string, Use> = {
  "looked at": (given) => describedResponse(given),
  "headers changed": async (given) => {
    given.headers.set("x-host", "1");
    return [[...given.headers], await given.text()];
  },
};

class OwnResponse extends Response {
  readonly more = 1;
}

const responses: Record<string, Result["make"]> = {
  "of a text": () => new Response("text"),
  "of an empty text": () => new Response(""),
  "of JSON": () => Response.json({ answer: 42 }),
  "of nothing": () => new Response(),
  "of nothing, 204": () => new Response(null, { status: 204 }),
  "of nothing, 304": () => new Response(null, { status: 304, headers: { etag: "x" } }),
  "of bytes": (host) => new Response(chunk(host, "bytes") as Uint8Array<ArrayBuffer>),
  "of a Buffer": (host) => new Response(pooled(host, "pooled") as Uint8Array<ArrayBuffer>),
  "of a Blob": () => new Response(new Blob(["text"], { type: "text/x" })),
  "of a File": () => new Response(new File(["text"], "name.txt", { type: "text/y", lastModified: 0 })),
  "of FormData": () => {
    const form = new FormData();
    form.append("a", "1");
    form.append("file", new File(["text"], "name.txt"));
    return new Response(form);
  },
  "of URLSearchParams": () => new Response(new URLSearchParams("a=1")),
  "of a stream": (host) => new Response(of(host, [chunk(host, "one"), chunk(host, "two")])),
  "of a full stream": (host) => new Response(full([chunk(host, "one"), chunk(host, "two")])),
  "of pooled Buffers": (host) => new Response(full([pooled(host, "one"), pooled(host, "two")])),
  "of the same chunk again": (host) => {
    const ping = chunk(host, ": ping\n\n");
    return new Response(of(host, [ping, ping, ping]), { headers: { "content-type": "text/event-stream" } });
  },
  "of parts of one buffer": (host) => {
    const all = bytes("one two");
    return new Response(of(host, [host.own(all.subarray(0, 3), "one"), host.own(all.subarray(3), "two")]));
  },
  "of a byte stream": (host) => new Response(ofBytes(host, ["one", "two"])),
  "of a stream of strings": (host) => new Response(of(host, ["one"])),
  "of a stream that fails": (host) =>
    new Response(
      new ReadableStream({
        pull() {
          throw host.name(new RangeError("the source's error"), "the source's error");
        },
      }),
    ),
  "of an async iterable": (host) => {
    const body = {
      async *[Symbol.asyncIterator]() {
        host.note("iterated");
        yield bytes("one");
      },
    };
    return new Response(body as Given);
  },
  "with a status and headers": () =>
    new Response("text", {
      status: 418,
      statusText: "Teapot",
      headers: [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["x-a", "1"],
      ],
    }),
  "of a failure": () => new Response("text", { status: 500 }),
  "that is an error": () => Response.error(),
  "that is a redirect": () => Response.redirect("http://host.test/", 302),
  used: (host) => {
    const response = new Response("text");
    host.after(() => response.text().catch(() => {}));
    void response.text();
    return response;
  },
  locked: (host) => {
    const response = new Response(of(host, [chunk(host, "one")]));
    response.body?.getReader();
    return response;
  },
  cloned: (host) => {
    const response = new Response(of(host, [chunk(host, "one")]));
    void response.clone().body?.cancel();
    return response;
  },
  "a clone": (host) => {
    const response = new Response(of(host, [chunk(host, "one")]));
    const clone = response.clone();
    void response.body?.cancel();
    return clone;
  },
  "that is kept": (host) => {
    const response = new Response(of(host, [chunk(host, "one")]));
    host.after(() => host.note("kept", response.bodyUsed));
    return response;
  },
  "a class of its own": () => new OwnResponse("text"),
  "a class of its own, of a stream": (host) => new OwnResponse(of(host, [chunk(host, "one")])),
  "with members": (host) => Object.assign(new Response(of(host, [chunk(host, "one")])), { requestId: "1" }),
  frozen: (host) => Object.freeze(new Response(of(host, [chunk(host, "one")]))),
  "with a prototype of its own": (host) =>
    Object.setPrototypeOf(new Response(of(host, [chunk(host, "one")])), Object.create(Response.prototype)),
  proxy: (host) => new Proxy(new Response(of(host, [chunk(host, "one")])), {}),
};

const fetched = (answer: string): Result => ({
  prepare: async (host) => [await host.fetch(host.url + answer)],
  make: (host, [response]) => host.name(response, "value given"),
  ends: "any",
});

export const RESPONSES: Family = {
  results: {
    ...Object.fromEntries(
      Object.entries(responses).map(([name, make]): [string, Result] => [
        name,
        { make: (host) => host.name(make(host, undefined), "value given"), ends: "any" },
      ]),
    ),
    "of a call": fetched("text"),
    "of a call, in pieces": fetched("chunked"),
    "of a call that was redirected": fetched("302"),
    "of another realm": {
      make: (host) => host.name(elsewhere("new Response('text')"), "value given"),
      ends: "any",
    },
  },
  uses: { ...responseUses, ...responseLooks },
  ends: "any",
};
