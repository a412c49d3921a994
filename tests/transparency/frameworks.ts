// Actions of a listener, and the servers and frameworks in which it is wrapped, for Node, Deno and Bun.

import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { finished, pipeline } from "node:stream/promises";
import express from "express";
import { opikMiddleware, withOpik } from "opik-edge/node";
import type { ServerConfig } from "opik-edge/server";
import type { Note } from "./handlers.js";

/** A listener. It reports its observations through `note`. */
export type Listener = (request: IncomingMessage, response: ServerResponse, note: Note) => unknown;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const storage = new AsyncLocalStorage<string>();

async function* failing(): AsyncGenerator<string> {
  yield "first";
  throw new TypeError("midway");
}

/** Records the order of events. */
function order(note: Note): (event: string) => () => void {
  const seen: string[] = [];
  note("events", () => seen);
  return (event) => () => void seen.push(event);
}

/** The listeners of an emitter as the host sees them. */
function listenersOf(emitter: IncomingMessage | ServerResponse): unknown {
  const names = [...new Set([...emitter.eventNames(), "finish", "close", "end", "data", "error"])];
  return names.map((name) => [
    String(name),
    emitter.listenerCount(name),
    emitter.listeners(name).map((listener) => listener.name),
    emitter.rawListeners(name).map((listener) => listener.name),
  ]);
}

/** Listeners of every kind. */
export const LISTENERS: Readonly<Record<string, Listener>> = {
  end: (_, response) => response.end("text"),
  "end without a body": (_, response) => response.end(),
  "end with a pooled buffer": (_, response, note) => {
    const chunk = Buffer.from("pooled");
    note("attached", () => [chunk.byteLength, chunk.buffer.byteLength > 0]);
    response.end(chunk);
  },
  "end, told of it": (_, response, note) => response.end("text", () => note("ended", true)),
  "write and end": (_, response) => {
    response.write("one ");
    response.write("two ");
    response.end("three");
  },
  writeHead: (_, response) => response.writeHead(201, "Made", { "X-Own": "1", "content-length": 4 }).end("made"),
  "headers of every kind": (_, response) => {
    response.setHeader("X-Own", ["1", "2"]);
    response.setHeader("Set-Cookie", ["a=1", "b=2"]);
    response.appendHeader?.("x-more", "3");
    response.removeHeader("x-none");
    response.end(JSON.stringify(response.getHeaders()));
  },
  "204 with a body": (_, response) => response.writeHead(204).end("none"),
  "304": (_, response) => response.writeHead(304, { etag: '"1"' }).end(),
  "flushed headers": async (_, response) => {
    response.flushHeaders();
    await pause();
    response.end("later");
  },
  "early hints": (_, response) => {
    response.writeEarlyHints?.({ link: "</style.css>; rel=preload" });
    response.end("hinted");
  },
  processing: (_, response) => {
    response.writeProcessing?.();
    response.end("processed");
  },
  trailers: (_, response) => {
    response.writeHead(200, { Trailer: "X-Sum" });
    response.write("body");
    response.addTrailers?.({ "X-Sum": "4" });
    response.end();
  },
  "a long body": (_, response) => response.end("long ".repeat(50_000)),
  "a body written until it drains": async (_, response, note) => {
    let drained = 0;
    for (let n = 0; n < 20; n += 1) {
      if (!response.write("x".repeat(50_000))) {
        await once(response, "drain");
        drained += 1;
      }
    }
    note("drained", drained > 0);
    response.end();
  },
  "an async listener": async (_, response) => {
    await pause();
    response.end("async");
  },
  "a value": (_, response) => {
    response.end("text");
    return { ignored: true };
  },
  "what was sent, by events": (request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => response.end(body));
  },
  "what was sent, by iteration": async (request, response) => {
    const chunks: string[] = [];
    for await (const chunk of request) chunks.push(String(chunk));
    response.end(chunks.join(""));
  },
  "what was sent, piped": (request, response) => request.pipe(response),
  "what was sent, in a pipeline": async (request, response) => pipeline(request, response),
  "what was sent, unread": (_, response) => response.end("unread"),
  "a stream": (_, response) => Readable.from(["one ", "two"]).pipe(response),
  "a stream that fails": async (_, response, note) => {
    await pipeline(Readable.from(failing()), response).catch((error) => note("failed", error.message));
  },
  "an end that is waited for": async (_, response, note) => {
    const ended = finished(response).then(
      () => note("finished", true),
      (error) => note("finished", error.code),
    );
    response.end("waited");
    await ended;
  },
  destroyed: (_, response) => {
    response.write("first");
    response.destroy();
  },
  "destroyed by an error": (_, response, note) => {
    response.on("error", (error) => note("error", error.message));
    response.destroy(new Error("of the host"));
  },
  "socket destroyed": (request) => request.socket.destroy(),
  "headers after they are sent": (_, response, note) => {
    response.end("sent");
    try {
      response.setHeader("x-late", "1");
    } catch (error) {
      note("threw", (error as NodeJS.ErrnoException).code);
    }
  },
  "a header that is none": (_, response, note) => {
    try {
      response.setHeader("x-own", "line\nbreak");
    } catch (error) {
      note("threw", (error as NodeJS.ErrnoException).code);
    }
    response.end("refused");
  },
  "a write after the end": (_, response, note) => {
    response.on("error", (error: NodeJS.ErrnoException) => note("error", error.code));
    response.end("ended");
    response.write("more");
  },
  "the order of events": (request, response, note) => {
    const at = order(note);
    for (const event of ["end", "close"]) request.on(event, at(`request ${event}`));
    for (const event of ["prefinish", "finish", "close"]) response.on(event, at(`response ${event}`));
    response.prependListener("finish", at("first of finish"));
    response.once("finish", at("once finish"));
    request.resume();
    response.end("ordered", at("end called back"));
    at("handler")();
  },
  listeners: (request, response) => {
    const before = [listenersOf(request), listenersOf(response)];
    const own = () => {};
    const emitters = [request, response];
    for (const emitter of emitters) emitter.on("finish", own).once("close", own).on("own", own);
    const during = emitters.map(listenersOf);
    const found = emitters.map((emitter) => [
      emitter.listeners("own")[0] === own,
      emitter.listeners("close").includes(own),
    ]);
    for (const emitter of emitters) emitter.off("finish", own).removeListener("close", own).removeAllListeners("own");
    const after = emitters.map(listenersOf);
    response.end(JSON.stringify({ before, during, found, after }));
  },
  "events of its own": (request, response) => {
    const heard: unknown[] = [];
    request.on("own", (...args) => heard.push(args));
    const said = [request.emit("own", 1, 2), request.emit("unheard"), response.emit("unheard")];
    response.end(JSON.stringify([said, heard]));
  },
  "an error that nobody listens to": (request, response) => {
    try {
      request.emit("error", new TypeError("unheard"));
    } catch (error) {
      response.end((error as Error).message);
    }
  },
  "members of request and response": (request, response) => {
    const own = (of: object) => [Object.keys(of), JSON.stringify(Object.getOwnPropertySymbols(of).map(String))];
    const is = [request, response].map((of) => [of.constructor.name, Object.prototype.toString.call(of)]);
    response.end(JSON.stringify([own(request), own(response), is]));
  },
  "own properties": (request, response) => {
    response.end(JSON.stringify([request, response].map((of) => Object.getOwnPropertyNames(of))));
  },
  "methods put over its own": (_, response, note) => {
    const { end, write, writeHead, emit } = response;
    const called: string[] = [];
    note("called", () => called);
    response.writeHead = ((...args: Parameters<typeof writeHead>) => {
      called.push("writeHead");
      return writeHead.apply(response, args);
    }) as typeof writeHead;
    response.write = ((...args: Parameters<typeof write>) => {
      called.push("write");
      return write.apply(response, args);
    }) as typeof write;
    response.end = ((...args: Parameters<typeof end>) => {
      called.push("end");
      return end.apply(response, args);
    }) as typeof end;
    response.emit = (event: string, ...args: unknown[]) => {
      if (event === "finish" || event === "close") called.push(event);
      return emit.call(response, event, ...args);
    };
    response.writeHead(200, { "x-own": "1" });
    response.write("one ");
    response.end("two");
  },
  "what is current of the host's": (request, response, note) => {
    storage.run("of the host", () => {
      response.on("finish", AsyncLocalStorage.bind?.(() => note("bound", storage.getStore())) ?? (() => {}));
    });
    request.on("end", () => response.end(`${storage.getStore()}`));
    request.resume();
  },
  "a timeout of its own": (_, response, note) => {
    response.setTimeout(5, () => {
      note("timed out", true);
      response.setTimeout(0); // the timeout belongs to the connection, which is reused
      response.end("timed out");
    });
  },
  endless: (_, response, note) => {
    const timer = setInterval(() => response.write("more\n"), 2);
    response.on("close", () => {
      clearInterval(timer);
      note("closed", true);
    });
  },
};

/** A listener that ends only when its client leaves. */
export const ENDLESS_LISTENER = "endless";

/** Actions of Express handlers. */
const OF_EXPRESS: Readonly<Record<string, express.RequestHandler>> = {
  json: (_, response) => void response.status(201).json({ a: 1 }),
  send: (_, response) => void response.send(Buffer.from("sent")),
  sendStatus: (_, response) => void response.sendStatus(204),
  redirect: (_, response) => response.redirect(303, "/elsewhere"),
  cookie: (_, response) => void response.cookie("a", "1").type("html").send("<p>"),
  "nobody answers": (_, __, next) => next(),
  "an error handed on": (_, __, next) => next(new TypeError("handed on")),
  "an error thrown": () => {
    throw new TypeError("thrown");
  },
  "a rejection": async () => {
    throw new TypeError("rejected");
  },
  "the next route": (_, __, next) => next("route"),
  "where it is": ({ baseUrl, originalUrl, url, path, route }, response) =>
    void response.json({
      baseUrl,
      originalUrl: originalUrl.split("?")[0],
      url: url.split("?")[0],
      path,
      route: route?.path,
    }),
};

/** Actions of Koa middleware. */
const OF_KOA: Readonly<Record<string, (ctx: KoaContext, next: () => Promise<void>) => unknown>> = {
  "a text": (ctx) => {
    ctx.body = "<p>";
  },
  "an object": (ctx) => {
    ctx.status = 201;
    ctx.body = { a: 1 };
  },
  "a buffer": (ctx) => {
    ctx.body = Buffer.from("pooled");
  },
  "a body that streams": (ctx) => {
    ctx.body = Readable.from(["one ", "two"]);
  },
  "a body that fails": (ctx) => {
    ctx.body = Readable.from(failing());
  },
  "a body of the web": (ctx) => {
    ctx.body = new Response("of the web", { headers: { "x-own": "1" } }).body;
  },
  "a blob": (ctx) => {
    ctx.body = new Blob(["a blob"]);
  },
  "a response": (ctx) => {
    ctx.body = new Response("a response", { status: 203 });
  },
  null: (ctx) => {
    ctx.body = null;
  },
  redirect: (ctx) => ctx.redirect("/elsewhere"),
  cookie: (ctx) => {
    ctx.cookies.set("a", "1");
    ctx.body = "cookie";
  },
  "nobody answers": (_, next) => next(),
  "an error thrown": () => {
    throw new TypeError("thrown");
  },
  "an error that is shown": (ctx) => ctx.throw(418, "shown"),
  "a rejection": async () => {
    await pause();
    throw new TypeError("rejected");
  },
  "what was sent, as text": async (ctx) => {
    ctx.body = await text(ctx.req);
  },
  "after the others": async (ctx, next) => {
    await next();
    ctx.body = `${ctx.status}, ${ctx.method}, ${ctx.path}, ${storage.getStore()}`;
  },
};

/** Actions of Fastify handlers. */
const OF_FASTIFY: Readonly<Record<string, (request: FastifyRequest, reply: FastifyReply) => unknown>> = {
  "an object": async () => ({ a: 1 }),
  "a text": async (_, reply) => reply.code(201).type("text/html").send("<p>"),
  "a buffer": (_, reply) => reply.send(Buffer.from("pooled")),
  "a body that streams": (_, reply) => reply.send(Readable.from(["one ", "two"])),
  "a body that fails": (_, reply) => reply.send(Readable.from(failing())),
  "a body of the web": (_, reply) => reply.send(new Response("of the web").body),
  "a response": (_, reply) => reply.send(new Response("a response", { status: 203, headers: { "x-own": "1" } })),
  redirect: (_, reply) => reply.redirect("/elsewhere", 303),
  "an error thrown": () => {
    throw new TypeError("thrown");
  },
  "an error that is shown": async () => {
    throw Object.assign(new TypeError("shown"), { statusCode: 418 });
  },
  "a rejection": async () => {
    await pause();
    throw new TypeError("rejected");
  },
  "nobody answers": (_, reply) => reply.callNotFound(),
  "what was sent, as text": async ({ body }) => ({ body }),
};

/** Returned by a `Dispatch` if there is no such listener. */
export const NOT_THERE: unique symbol = Symbol("not there");

/** Calls the listener named in the path: `/NAME?id=…`. */
export type Dispatch = (this: unknown, request: IncomingMessage, response: ServerResponse) => unknown;

/** A certificate in the form that Node's servers accept. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** The parts of a server. */
interface Made {
  readonly dispatch: Dispatch;
  /** Settings of the traced side; `undefined` on the plain side. */
  readonly config: ServerConfig | undefined;
  readonly certificate: Certificate;
  /** Loads a package of frameworks/. */
  readonly load: (name: string) => unknown;
}

type Entry = (made: Made) => Server | Promise<Server>;

const wrapped = (dispatch: Dispatch, config: ServerConfig | undefined): Dispatch =>
  config ? withOpik(dispatch as (request: unknown, response: unknown) => unknown, config) : dispatch;

const middleware = (config: ServerConfig | undefined): express.RequestHandler[] =>
  config ? [opikMiddleware(config)] : [];

function expressApp(dispatch: Dispatch, config: ServerConfig | undefined): express.Express {
  const app = express();
  app.use(...middleware(config), (_request, _response, next) => next());
  for (const [name, handle] of Object.entries(OF_EXPRESS)) app.use(`/${encodeURIComponent(name)}`, handle);
  app.use((request, response, next) => {
    const given = dispatch.call(undefined, request, response);
    if (given === NOT_THERE) next();
    else if (given instanceof Promise) given.catch(next);
  });
  app.use(((error, _request, response, next) => {
    if (response.headersSent) next(error);
    else response.status(500).send(`${error.name}: ${error.message}`);
  }) as express.ErrorRequestHandler);
  return app;
}

function koaApp({ dispatch, load }: Pick<Made, "dispatch" | "load">): Dispatch {
  const app = new (load("koa") as new () => Koa)();
  app.silent = true;
  app.use(async (ctx, next) => {
    await next();
    if (ctx.respond !== false) ctx.set("x-koa", "1");
  });
  app.use((ctx, next) => {
    const name = decodeURIComponent(ctx.path.slice(1));
    const handle = OF_KOA[name];
    if (handle) return handle(ctx, next);
    ctx.respond = false;
    ctx.res.statusCode = 200; // Koa starts with 404
    return dispatch.call(undefined, ctx.req, ctx.res);
  });
  return app.callback();
}

/** One app as middleware of another, both wrapped. */
function koaInKoa(made: Made): Dispatch {
  const inner = wrapped(koaApp(made), made.config);
  return koaApp({ ...made, dispatch: (request, response) => inner.call(undefined, request, response) });
}

async function fastifyServer(made: Made, create: (handler: Dispatch) => Server, options: object = {}): Promise<Server> {
  // A variable keeps TypeScript from resolving the package, which is installed elsewhere.
  const name = "fastify";
  const { default: fastify } = (await import(name)) as { default: Fastify };
  let server: Server | undefined;
  const app = fastify({
    ...options,
    serverFactory: (handler) => {
      server = create(wrapped(handler, made.config));
      return server;
    },
  });
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  app.all("/*", (request, reply) => {
    const handle = OF_FASTIFY[decodeURIComponent(request.url.slice(1).split("?")[0]!)];
    if (handle) return handle(request, reply);
    reply.hijack();
    return made.dispatch.call(undefined, request.raw, reply.raw);
  });
  await app.ready();
  return server as Server;
}

const http2Secure = ({ certificate }: Made, listener: Dispatch): Server =>
  createSecureServer({ ...certificate, allowHTTP1: true }, listener as never) as unknown as Server;

/** The servers by name. */
export const SERVERS: Readonly<Record<string, Entry>> = {
  http: ({ dispatch, config }) => createServer(wrapped(dispatch, config)),
  "http, twice": ({ dispatch, config }) => createServer(wrapped(wrapped(dispatch, config), config)),
  "http, another listener beside it": ({ dispatch, config }) =>
    createServer(wrapped(dispatch, config)).prependListener("request", (_, response) =>
      response.setHeader("x-beside", "1"),
    ),
  express: ({ dispatch, config }) => createServer(expressApp(dispatch, config)),
  "express, app and router": ({ dispatch, config }) =>
    createServer(
      express()
        .use(...middleware(config), (_request, _response, next) => next())
        .use(expressApp(dispatch, config)),
    ),
  "http around express": ({ dispatch, config }) =>
    createServer(wrapped(expressApp(dispatch, config) as Dispatch, config)),
  http2: ({ dispatch, config }) => createHttp2Server(wrapped(dispatch, config) as never) as unknown as Server,
  fastify: (made) => fastifyServer(made, (handler) => createServer(handler)),
  "fastify, twice": (made) => fastifyServer(made, (handler) => createServer(wrapped(handler, made.config))),
  https: ({ dispatch, config, certificate }) => createHttpsServer(certificate, wrapped(dispatch, config)),
  "https, twice": ({ dispatch, config, certificate }) =>
    createHttpsServer(certificate, wrapped(wrapped(dispatch, config), config)),
  "https around express": ({ dispatch, config, certificate }) =>
    createHttpsServer(certificate, wrapped(expressApp(dispatch, config) as Dispatch, config)),
  "https around fastify": (made) =>
    fastifyServer(made, (handler) => createHttpsServer(made.certificate, handler), { https: made.certificate }),
  "http2 over TLS": (made) => http2Secure(made, wrapped(made.dispatch, made.config)),
  "http2 over TLS, twice": (made) => http2Secure(made, wrapped(wrapped(made.dispatch, made.config), made.config)),
  "http2 over TLS, by HTTP/1": (made) => http2Secure(made, wrapped(made.dispatch, made.config)),
  "http2 over TLS around koa": (made) => http2Secure(made, wrapped(koaApp(made), made.config)),
  "http2 over TLS around fastify": (made) =>
    fastifyServer(made, (handler) => http2Secure(made, handler), {
      http2: true,
      https: { ...made.certificate, allowHTTP1: true },
    }),
  koa: (made) => createServer(wrapped(koaApp(made), made.config)),
  "koa in koa": (made) => createServer(wrapped(koaInKoa(made), made.config)),
  "koa in express": (made) => createServer(expressApp(wrapped(koaApp(made), made.config), made.config)),
};

/** Further answers of a server, which come from its framework's handlers. */
export function ownAnswers(entry: string): readonly string[] {
  const last = ["express", "fastify", "koa"].filter((name) => entry.includes(name));
  return last.flatMap((name) => Object.keys({ express: OF_EXPRESS, fastify: OF_FASTIFY, koa: OF_KOA }[name]!));
}

/** The protocols of an entry, for the choice of a client. */
export const isHttp2 = (entry: string): boolean => entry.startsWith("http2") && !entry.includes("HTTP/1");
export const isSecure = (entry: string): boolean => entry.startsWith("https") || entry.includes("TLS");

/** The members of Koa's context in use. */
interface KoaContext {
  body: unknown;
  status: number;
  respond?: boolean;
  readonly method: string;
  readonly path: string;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly cookies: { set(name: string, value: string): void };
  redirect(url: string): void;
  set(name: string, value: string): void;
  throw(status: number, message: string): never;
}
interface Koa {
  silent: boolean;
  use(middleware: (ctx: KoaContext, next: () => Promise<void>) => unknown): void;
  callback(): Dispatch;
}

/** The members of Fastify's request in use. */
interface FastifyRequest {
  readonly url: string;
  readonly raw: IncomingMessage;
  readonly body: unknown;
}
interface FastifyReply {
  readonly raw: ServerResponse;
  code(status: number): this;
  type(type: string): this;
  send(body: unknown): unknown;
  redirect(url: string, status: number): unknown;
  callNotFound(): unknown;
  hijack(): void;
}
type Fastify = (options: { serverFactory(handler: Dispatch): Server }) => {
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
  ): void;
  all(path: string, handler: (request: FastifyRequest, reply: FastifyReply) => unknown): void;
  ready(): Promise<unknown>;
};
