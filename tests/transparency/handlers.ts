// Values that a handler of a `Request` can return or throw, and the ways to wrap it. Runs in every runtime.

import { Hono, type MiddlewareHandler } from "hono";
import { opikMiddleware } from "opik-edge/hono";
import { type ServerConfig, withOpik } from "opik-edge/server";
import type { Side } from "./sides.js";
import { Lacks } from "./table.js";

/** Notes an observation of the host's code, kept until the client asks for it. */
export type Note = (what: string, value: unknown) => void;
/** A handler. Returns its value and makes notes. Throws `Lacks` if the platform has no such value. */
export type Answer = (request: Request, note: Note) => unknown;
/** A handler as a server calls it. */
export type Fetch = (request: Request, ...rest: never[]) => unknown;

const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text);

/** Returns a global that some platforms lack. */
function global<T>(name: string): T {
  const found = (globalThis as Record<string, unknown>)[name];
  if (found === undefined) throw new Lacks(`no ${name}`);
  return found as T;
}

interface Pool {
  from(text: string): Uint8Array<ArrayBuffer>;
}

/** A stream of these chunks that notes its cancellation. */
function streamOf(note: Note, chunks: readonly unknown[], source: object = {}): ReadableStream {
  let next = 0;
  return new ReadableStream({
    ...source,
    pull(controller: ReadableStreamDefaultController) {
      if (next === chunks.length) controller.close();
      else controller.enqueue(chunks[next]);
      next += 1;
    },
    cancel: (reason: unknown) => note("cancelled", String(reason)),
  } as unknown as UnderlyingDefaultSource);
}

/** Notes if the buffers of these chunks are still attached after the response was sent. */
function keeps(note: Note, ...chunks: ArrayBufferView[]): void {
  note("attached", () => chunks.map(({ byteLength, buffer }) => [byteLength, buffer.byteLength]));
}

const PING = bytes(": ping\n\n");

class OwnResponse extends Response {
  readonly own = true;
}

let again: Response | undefined;

/** Values of every kind, by name. */
export const ANSWERS: Readonly<Record<string, Answer>> = {
  text: () => new Response("text"),
  "no body": () => new Response(),
  null: () => new Response(null, { headers: { "x-own": "1" } }),
  "empty text": () => new Response(""),
  "long text": () => new Response("long ".repeat(50_000)),
  "text of its own type": () => new Response("<p>", { headers: { "content-type": "text/html" } }),
  "typed array": (_, note) => {
    const chunk = bytes("a typed array");
    keeps(note, chunk);
    return new Response(chunk.subarray(2, 7));
  },
  "wide array": () => new Response(new Uint16Array([0x4142, 0x4344])),
  view: () => new Response(new DataView(bytes("a view").buffer, 2)),
  buffer: () => new Response(bytes("a buffer").buffer),
  pooled: (_, note) => {
    const chunk = global<Pool>("Buffer").from("pooled");
    keeps(note, chunk);
    return new Response(chunk);
  },
  blob: () => new Response(new Blob(["a blob"])),
  "typed blob": () => new Response(new Blob(["{}"], { type: "application/json" })),
  file: () => new Response(new File(["a file"], "a.txt", { type: "text/plain" })),
  form: () => {
    const form = new FormData();
    form.set("a", "1");
    form.set("file", new File(["content"], "a.txt"));
    return new Response(form);
  },
  parameters: () => new Response(new URLSearchParams({ a: "1 2" })),
  json: () => Response.json({ a: [1] }, { status: 201 }),
  redirect: () => Response.redirect("http://shop.example/", 307),
  "an error": () => Response.error(),
  proxied: async (request) => fetch(new URL("/-/text", request.url)),
  "proxied anew": async (request) => {
    const response = await fetch(new URL("/-/text", request.url));
    return new Response(response.body, response);
  },
  "status text": () => new Response("x", { status: 218, statusText: "This Is Fine" }),
  "101": () => new Response(null, { status: 101 }),
  "204": () => new Response(null, { status: 204, headers: { "x-own": "1" } }),
  "205": () => new Response(null, { status: 205 }),
  "304": () => new Response(null, { status: 304, headers: { etag: '"1"' } }),
  "404": () => new Response("missing", { status: 404 }),
  "503": () =>
    new Response(
      streamOf(() => {}, [bytes("later")]),
      { status: 503 },
    ),
  headers: () => {
    const headers = new Headers([
      ["X-Own", "1"],
      ["x-own", "2"],
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2; HttpOnly"],
      ["vary", "accept"],
    ]);
    return new Response("headers", { headers });
  },
  "own length": () => new Response("length", { headers: { "content-length": "6" } }),
  "a stream of its own length": (_, note) =>
    new Response(streamOf(note, [bytes("len"), bytes("gth")]), { headers: { "content-length": "6" } }),
  "changed later": () => {
    const response = new Response("changed");
    response.headers.set("x-later", "1");
    return response;
  },
  cloned: () => {
    const response = new Response("cloned");
    response.clone();
    return response;
  },
  "a clone": () => new Response("a clone").clone(),
  "a clone of a stream": (_, note) => new Response(streamOf(note, [bytes("one"), bytes("two")])).clone(),
  subclass: () => new OwnResponse("subclass"),
  "subclass of a stream": (_, note) => new OwnResponse(streamOf(note, [bytes("one"), bytes("two")])),
  "with a member of its own": () => Object.assign(new Response("own"), { own: true }),
  frozen: () => Object.freeze(new Response("frozen")),
  "the same again": () => {
    again ??= new Response("only once");
    return again;
  },
  used: async () => {
    const response = new Response("used");
    await response.text();
    return response;
  },
  locked: () => {
    const response = new Response("locked");
    response.body?.getReader();
    return response;
  },
  stream: (_, note) => new Response(streamOf(note, [bytes("one "), bytes("two "), bytes("three")])),
  "byte stream": (_, note) => new Response(streamOf(note, [bytes("one "), bytes("two")], { type: "bytes" })),
  "typed stream": (_, note) =>
    new Response(streamOf(note, [bytes("data: 1\n\n")]), { headers: { "content-type": "text/event-stream" } }),
  "empty stream": (_, note) => new Response(streamOf(note, [])),
  "stream of one chunk again and again": (_, note) => {
    keeps(note, PING);
    return new Response(streamOf(note, [PING, PING, PING]));
  },
  "stream of parts of one buffer": (_, note) => {
    const whole = bytes("one two three");
    keeps(note, whole);
    return new Response(streamOf(note, [whole.subarray(0, 4), whole.subarray(4, 8), whole.subarray(8)]));
  },
  "stream of pooled chunks": (_, note) => {
    const chunks = ["pooled ", "chunks"].map((text) => global<Pool>("Buffer").from(text));
    keeps(note, ...chunks);
    return new Response(streamOf(note, chunks));
  },
  "stream with empty chunks": (_, note) => new Response(streamOf(note, [bytes("a"), new Uint8Array(0), bytes("b")])),
  "stream of texts": (_, note) => new Response(streamOf(note, ["text"])),
  "stream of everything at once": (_, note) =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (const text of ["a", "b", "c"]) controller.enqueue(bytes(text));
          controller.close();
        },
        cancel: (reason) => note("cancelled", String(reason)),
      }),
    ),
  "stream that is written to": () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
    const writer = writable.getWriter();
    void writer
      .write(bytes("written "))
      .then(() => writer.write(bytes("later")))
      .then(() => writer.close());
    return new Response(readable);
  },
  "stream by way of another": (_, note) =>
    new Response(streamOf(note, ["through"]).pipeThrough(new TextEncoderStream() as never)),
  "stream that is filled by its reader": () => {
    let left = 3;
    const source = {
      type: "bytes",
      autoAllocateChunkSize: 16,
      pull(controller: ReadableByteStreamController) {
        const { byobRequest } = controller;
        if (left-- === 0) {
          controller.close();
          byobRequest?.respond(0);
        } else if (byobRequest) {
          new Uint8Array(byobRequest.view!.buffer, byobRequest.view!.byteOffset)[0] = 65 + left;
          byobRequest.respond(1);
        } else {
          controller.enqueue(bytes(String.fromCharCode(65 + left)));
        }
      },
    };
    return new Response(new ReadableStream(source as UnderlyingByteSource));
  },
  "stream that fails before it begins": () =>
    new Response(
      new ReadableStream({
        start() {
          throw new TypeError("in start");
        },
      }),
    ),
  "stream that fails at once": () =>
    new Response(new ReadableStream({ pull: () => Promise.reject(new TypeError("at once")) })),
  "stream that fails midway": () => {
    let next = 0;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (next++ === 0) controller.enqueue(bytes("first"));
          else controller.error(new TypeError("midway"));
        },
      }),
    );
  },
  generator: () => {
    async function* texts(): AsyncGenerator<Uint8Array> {
      yield bytes("one ");
      yield bytes("two");
    }
    return new Response(texts() as never);
  },
  "endless stream": (_, note) =>
    new Response(
      new ReadableStream(
        {
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 2));
            controller.enqueue(bytes("more\n"));
          },
          cancel: (reason) => note("cancelled", String(reason)),
        },
        { highWaterMark: 0 },
      ),
    ),
  "endless generator": (_, note) => {
    async function* texts(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          await new Promise((resolve) => setTimeout(resolve, 2));
          yield bytes("more\n");
        }
      } finally {
        note("cancelled", "returned");
      }
    }
    return new Response(texts() as never);
  },
  "a signal": (request, note) => {
    request.signal?.addEventListener("abort", () => note("aborted", request.signal.aborted));
    return new Response("a signal");
  },
  undefined: () => undefined,
  "null itself": () => null,
  "a text itself": () => "text",
  "a number": () => 200,
  "an object": () => ({ status: 200, body: "text" }),
  "what looks like a response": () => ({
    status: 200,
    statusText: "OK",
    ok: true,
    headers: new Headers(),
    body: null,
    bodyUsed: false,
    text: async () => "text",
  }),
  "what is not to be read": () =>
    new Proxy(
      {},
      {
        get: () => {
          throw new RangeError("from a getter");
        },
      },
    ),
  "a promise": () => Promise.resolve(new Response("promise")),
  "a promise of a promise": async () => Promise.resolve(new Response("promise")),
  "a later promise": () => new Promise((resolve) => setTimeout(() => resolve(new Response("later")), 1)),
  "a thenable": () => ({ then: (resolve: (value: Response) => void) => resolve(new Response("thenable")) }),
  "a rejection": () => Promise.reject(new TypeError("rejected")),
  "a later rejection": async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    throw new TypeError("rejected later");
  },
  "a rejection without a reason": () => Promise.reject(),
  "an error thrown": () => {
    throw new TypeError("thrown");
  },
  "a text thrown": () => {
    throw "a text";
  },
  "nothing thrown": () => {
    throw undefined;
  },
  "a response thrown": () => {
    throw new Response("thrown", { status: 418 });
  },
  "what was sent": (request) =>
    new Response(request.body, { headers: { "x-type": `${request.headers.get("content-type")}` } }),
  "what was sent, as text": async (request) => new Response(await request.text()),
  "what was sent, from a clone": async (request) => {
    const [one, other] = await Promise.all([request.clone().text(), request.text()]);
    return Response.json([one, other, request.bodyUsed]);
  },
  "what is left of a request": (request, note) => {
    note("used", () => request.bodyUsed);
    return new Response("unread");
  },
  "what it is given": (request) =>
    Response.json({
      is: [request instanceof Request, Object.prototype.toString.call(request), request.constructor.name],
      keys: Object.keys(request),
      method: request.method,
      path: new URL(request.url).pathname,
      headers: [...request.headers].filter(([name]) => name.startsWith("x-")),
      again: request.url === new Request(request).url,
    }),
};

/** Answers that end only when their client leaves. */
export const ENDLESS: readonly string[] = ["endless stream", "endless generator"];

/** Ways to wrap a handler, called as `/ENTRY/ANSWER`. Without `config` the handler is not traced. */
export const ENTRIES: Readonly<Record<string, (handle: Fetch, config: ServerConfig | undefined) => Fetch>> = {
  server: (handle, config) => traced(handle, config),
  "server, twice": (handle, config) => traced(traced(handle, config), config),
  hono: (handle, config) => honoApp(handle, config).fetch as Fetch,
  "hono, app and route": (handle, config) => {
    const app = new Hono();
    app.use(middleware(config));
    app.route("/", honoApp(handle, config));
    return app.fetch as Fetch;
  },
  "server around hono": (handle, config) => traced(honoApp(handle, config).fetch as Fetch, config),
  // The next three call the handler as their frameworks do.
  next: (handle, config) => {
    const route = traced(handle, config) as (request: Request, context: object) => unknown;
    return (request) => route(request, { params: Promise.resolve({}) });
  },
  sveltekit: (handle, config) => {
    type Input = { event: { request: Request }; resolve(event: { request: Request }): unknown };
    const trace = traced(((_request: Request, { event, resolve }: Input) => resolve(event)) as Fetch, config);
    return (request) =>
      (trace as (...args: unknown[]) => unknown)(
        request,
        { event: { request }, resolve: async (event: { request: Request }) => handle(event.request) },
        undefined,
      );
  },
  "react router": (handle, config) => {
    const trace = traced(((_request: Request, next: () => unknown) => next()) as Fetch, config);
    return (request) => (trace as (...args: unknown[]) => unknown)(request, async () => handle(request));
  },
};

function traced(handle: Fetch, config: ServerConfig | undefined): Fetch {
  return config ? (withOpik(handle as (request: Request) => unknown, config) as Fetch) : handle;
}

/** Middleware on both sides, because Hono answers differently without any. */
function middleware(config: ServerConfig | undefined): MiddlewareHandler {
  const nothing: MiddlewareHandler = async (_, next) => {
    await next();
  };
  return config ? opikMiddleware(() => config) : nothing;
}

function honoApp(handle: Fetch, config: ServerConfig | undefined): Hono {
  const app = new Hono();
  app.use(middleware(config));
  app.all("*", (c) => handle(c.req.raw) as Response);
  return app;
}

/** The notes, by the id of their case. */
export class Notes {
  readonly #noted = new Map<string, Record<string, unknown>>();

  /** Makes the `note` function of a case. */
  of(id: string): Note {
    return (what, value) => {
      const noted = this.#noted.get(id) ?? {};
      this.#noted.set(id, noted);
      noted[what] = value;
    };
  }

  has(id: string, what: string): boolean {
    return Object.hasOwn(this.#noted.get(id) ?? {}, what);
  }

  /** Removes and returns the notes of a case. Noted functions are called now. */
  take(id: string): Record<string, unknown> {
    const noted = Object.entries(this.#noted.get(id) ?? {});
    this.#noted.delete(id);
    return Object.fromEntries(
      noted.map(([what, value]) => [what, typeof value === "function" ? now(value as () => unknown) : value]),
    );
  }
}

function now(look: () => unknown): unknown {
  try {
    return look();
  } catch (error) {
    return String(error);
  }
}

/** Answers `/ENTRY/ANSWER?id=…` through its wrapper. Errors are left to the server. */
export function dispatcher(side: Side, config: ServerConfig, notes: Notes, entries = ENTRIES): Fetch {
  const wrapped = new Map<string, Fetch>();
  for (const [name, wrap] of Object.entries(entries)) {
    const handle: Fetch = (request, ...rest) => {
      const { pathname, searchParams } = new URL(request.url);
      const id = searchParams.get("id") ?? "";
      const answer = ANSWERS[decodeURIComponent(pathname.split("/")[2] ?? "")];
      const note = notes.of(id);
      note("rest", rest.length);
      try {
        const given = answer?.(request, note);
        if (given instanceof Response) note("given", () => [given.bodyUsed, given.status, Object.keys(given)]);
        return given;
      } catch (error) {
        if (error instanceof Lacks) note("lacks", error.message);
        throw error;
      }
    };
    wrapped.set(name, wrap(handle, side === "traced" ? config : undefined));
  }
  return (request, ...rest) => {
    const [, first = ""] = new URL(request.url).pathname.split("/");
    if (first === "-") return new Response("what was proxied", { headers: { "x-of": "upstream" } });
    return wrapped.get(decodeURIComponent(first))!(request, ...rest);
  };
}
