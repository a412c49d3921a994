// How `opik-edge/node`, `/server` and `/hono` see a request. Its trace is current in its events, its method, path and
// `Host` are recorded as sent, a client that leaves is noticed, and one request is one trace.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { runInNewContext } from "node:vm";
import { getRequestListener } from "@hono/node-server";
import express from "express";
import { Hono } from "hono";
import { flush, getTrackContext, fetch as tracedFetch } from "opik-edge";
import { withOpik as workerWithOpik } from "opik-edge/cloudflare";
import { opikMiddleware as honoOpik, type OpikVariables } from "opik-edge/hono";
import { opikMiddleware, withOpik } from "opik-edge/node";
import { withOpik as webWithOpik } from "opik-edge/server";
import { type ExportedRow, InMemoryExporter } from "opik-edge/testing";

const CALLER = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

/** A configuration that keeps rows and reports. A handler calls `note`, so that `spans` can flush from inside its request. */
function recording() {
  const exporter = new InMemoryExporter();
  const errors: string[] = [];
  const begun: string[] = [];
  const config = {
    transport: exporter,
    onError: ({ code }: { code: string }) => void errors.push(code),
    // Called once for each trace that begins, in any scope.
    sampleRate: (name: string) => begun.push(name) && 1,
  };
  let inside: (fn: () => unknown) => unknown = () => {};
  const note = (): void => {
    inside = AsyncLocalStorage.snapshot();
  };
  /** Resolves with the spans once there are `count` of them. */
  const spans = async (count = 1): Promise<ExportedRow[]> => {
    while (exporter.spans.length < count) {
      await inside(flush);
      await turn();
    }
    await inside(flush);
    return exporter.spans;
  };
  return { exporter, errors, begun, config, note, spans };
}

/** Listens on a local port until the test has ended. */
async function listening(t: TestContext, server: Pick<Server, "listen" | "address" | "close">): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server as Server, "listening");
  t.after(() => {
    server.close();
    (server as Partial<Server>).closeAllConnections?.();
  });
  return (server.address() as AddressInfo).port;
}

/** Sends these bytes, and returns the bytes that come back until the server closes. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(Buffer.from(bytes, "latin1"));
  return text(socket);
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers with the id of the current trace. */
const answering = (note: () => void) => (_req: unknown, res: Pick<ServerResponse, "end">) => {
  note();
  res.end(`${traceHere()}`);
};

/** The same handler for the web platform. */
const web = (note: () => void) => (_request: Request) => {
  note();
  return new Response(`${traceHere()}`);
};

const traceHere = (): string | undefined => getTrackContext()?.trace.id;

describe("events of a request and its response", { timeout: 60_000 }, () => {
  /** Adds listeners of every kind, and notes for each if the trace was current in it. */
  const listener = (seen: Record<string, boolean>, done: () => void) => (req: IncomingMessage, res: ServerResponse) => {
    const trace = traceHere();
    const noting = (name: string) => () => {
      seen[name] = trace !== undefined && traceHere() === trace;
      if (Object.keys(seen).length === 6) done();
    };
    req.on("data", noting("data"));
    res.once("finish", noting("finish"));
    // Added outside of the trace.
    untracked(() => {
      res.addListener("close", noting("close"));
      req.prependListener("end", noting("end"));
      req.once("end", () => {
        noting("once end")();
        req.on("close", noting("request close"));
        res.end("ok");
      });
    });
  };
  const untracked: (fn: () => void) => void = AsyncLocalStorage.snapshot();

  for (const [name, serve] of Object.entries<(config: object, handle: Handle) => Server>({
    "withOpik around a listener": (config, handle) => createServer(withOpik(handle, config)),
    "the middleware of Express": (config, handle) => createServer(express().use(opikMiddleware(config)).use(handle)),
  })) {
    test(`${name}: its trace is current in all of them`, async (t) => {
      const { config } = recording();
      const seen: Record<string, boolean> = {};
      const done = deferred();
      const port = await listening(
        t,
        serve(
          config,
          listener(seen, () => done.resolve(undefined)),
        ),
      );
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "a body" });
      assert.equal(await response.text(), "ok");
      await done.promise;
      assert.deepEqual(
        seen,
        Object.fromEntries(
          ["data", "end", "once end", "finish", "close", "request close"].map((event) => [event, true]),
        ),
      );
    });
  }

  test("have only the host's listeners", async (t) => {
    const facts = (req: IncomingMessage, res: ServerResponse) =>
      [req, res].map((emitter) => {
        const own = () => {};
        emitter.on("finish", own).once("own", own);
        const names = emitter.eventNames();
        const listeners = names.map((event) => [
          String(event),
          emitter.listenerCount(event),
          emitter.listeners(event).map(({ name }) => name),
          emitter.rawListeners(event).map(({ name }) => name),
        ]);
        const found = [emitter.listeners("finish").at(-1) === own, emitter.listeners("own")[0] === own];
        emitter.removeListener("finish", own).removeListener("own", own);
        return [listeners, found, emitter.listenerCount("own"), Object.keys(emitter)];
      });
    const answering = (req: IncomingMessage, res: ServerResponse) => res.end(JSON.stringify(facts(req, res)));
    const plain = await listening(t, createServer(answering));
    const traced = await listening(t, createServer(withOpik(answering, recording().config)));
    const [expected, actual] = await Promise.all(
      [plain, traced].map(async (port) => (await fetch(`http://127.0.0.1:${port}/`)).json()),
    );
    assert.deepEqual(actual, expected);
  });

  test("additions to the span by a listener for the response's end are recorded", async (t) => {
    const { config, note, spans } = recording();
    const handler = withOpik((_req: IncomingMessage, res: ServerResponse) => {
      note();
      res.on("finish", () => getTrackContext()?.span.update({ metadata: { logged: true } }));
      res.end("ok");
    }, config);
    const port = await listening(t, createServer(handler));
    await (await fetch(`http://127.0.0.1:${port}/`)).text();
    assert.deepEqual((await spans())[0]!["metadata"], { logged: true });
  });
});

function deferred() {
  let resolve: (value: unknown) => void = () => {};
  const promise = new Promise((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

describe("a request line and its Host", { timeout: 60_000 }, () => {
  const HOSTS: [host: string | undefined, shown: string][] = [
    ["shop.example", "http://shop.example"],
    ["Shop.example:8080", "http://Shop.example:8080"],
    ["[::1]:3000", "http://[::1]:3000"],
    ["under_score:80", "http://under_score:80"],
    ["", ""],
    [undefined, ""],
    ["user:secret@shop.example", ""],
    ["shop.example/path", ""],
    ["shop.example?query", ""],
    ["two words", ""],
    ["shop.example:port", ""],
    ["[::1", ""],
    ["sh\u00f6p.example", ""],
    ["\\\\evil.example", ""],
    ["%", ""],
  ];
  const LINES: [target: string, path: string, url?: string][] = [
    ["/", "/"],
    ["/path?secret=1", "/path"],
    ["//", "//"],
    ["//evil.example/path", "//evil.example/path"],
    ["///", "///"],
    ["/\\evil.example", "/\\evil.example"],
    ["/a/../b/./c", "/a/../b/./c"],
    ["/%zz%", "/%zz%"],
    ["/%2e%2e/", "/%2e%2e/"],
    ["/:8080", "/:8080"],
    ["/@evil.example", "/@evil.example"],
    ["/http://evil.example/x?secret", "/http://evil.example/x"],
    ["http://evil.example/path?secret=1", "/path"],
    ["http://user:secret@evil.example/path", "/path"],
    ["http://evil.example", "/"],
    ["HTTP://evil.example?secret", "/"],
    ["?secret", "/"],
    ["*", "*", ""],
    [`/${"long/".repeat(2000)}`, `/${"long/".repeat(2000)}`],
  ];
  const METHODS = ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "PROPFIND", "QUERY"];

  for (const [name, wrap] of Object.entries<(config: object, handle: Handle) => Handle>({
    "withOpik around a listener": (config, handle) => withOpik(handle, config),
    "the middleware of Express": (config, handle) => express().use(opikMiddleware(config)).use(handle),
  })) {
    test(`${name}: the method and path are recorded as sent, the host from its header`, async (t) => {
      const { config, note, spans, errors } = recording();
      const handle = (_req: IncomingMessage, res: ServerResponse) => {
        note();
        res.end();
      };
      const port = await listening(t, createServer(wrap(config, handle)));
      const rows = [
        ...HOSTS.flatMap(([host, shown]) => LINES.slice(0, 5).map((line) => ["GET", host, shown, line] as const)),
        ...LINES.flatMap((line) => METHODS.map((method) => [method, ...HOSTS[0]!, line] as const)),
      ];
      const expected: unknown[] = [];
      for (const [method, host, shown, [target, path, url = path]] of rows) {
        const version = host === undefined ? "1.0" : "1.1";
        const head = host === undefined ? "" : `Host: ${host}\r\n`;
        const answer = await raw(port, `${method} ${target} HTTP/${version}\r\n${head}Connection: close\r\n\r\n`);
        if (answer.startsWith("HTTP/1.1 400")) continue; // Node's parser rejected it
        assert.match(answer, /^HTTP\/1.1 200/, `${method} ${target} ${host}`);
        expected.push({ name: `${method} ${path}`, input: { method, url: `${shown}${url}` || path } });
      }
      const found = await spans(expected.length);
      assert.deepEqual(
        found.map(({ name: called, input }) => ({ name: called, input })),
        expected,
      );
      assert.ok(expected.length > 150, `${expected.length} have reached the handler`);
      assert.deepEqual(errors, []);
    });
  }

  test("given several Host headers, the one seen by the handler is recorded", async (t) => {
    const { config, note, spans } = recording();
    const seen: unknown[] = [];
    const handler = (req: IncomingMessage, res: ServerResponse) => {
      note();
      seen.push(req.headers.host);
      res.end();
    };
    const port = await listening(t, createServer(withOpik(handler, config)));
    await raw(port, "GET /x HTTP/1.1\r\nHost: one.example\r\nHost: two.example\r\nConnection: close\r\n\r\n");
    if (seen.length === 0) return; // rejected
    assert.deepEqual((await spans())[0]!["input"], { method: "GET", url: `http://${seen[0]}/x` });
  });

  test("a caller's trace is joined after asking `trust`, for any request line", async (t) => {
    const { config, note, spans } = recording();
    const asked: string[] = [];
    const trust = ({ method, url }: Request) => {
      asked.push(`${method} ${url}`);
      return true;
    };
    const handler = withOpik(answering(note), { ...config, trust });
    const port = await listening(t, createServer(handler));
    const own = Object.entries(CALLER)
      .map(([key, value]) => `${key}: ${value}\r\n`)
      .join("");
    const send = (line: string) => raw(port, `${line} HTTP/1.1\r\nHost: a.example\r\n${own}Connection: close\r\n\r\n`);
    for (const line of ["GET //evil.example/x", "GET http://evil.example/y?key=1", "TRACE /z"]) await send(line);
    assert.deepEqual(asked, ["GET http://a.example//evil.example/x", "GET http://a.example/y?key=1"]);
    assert.deepEqual(
      (await spans(3)).map(({ name, trace_id, metadata }) => [name, trace_id === CALLER.opik_trace_id, metadata]),
      [
        ["GET //evil.example/x", true, undefined],
        ["GET /y", true, undefined],
        // The web platform has no `Request` for TRACE, so `trust` cannot be asked and the caller is not trusted.
        [
          "TRACE /z",
          false,
          { opik_edge_untrusted: { traceId: CALLER.opik_trace_id, spanId: CALLER.opik_parent_span_id } },
        ],
      ],
    );
  });
});

describe("over HTTP/2", { timeout: 60_000 }, () => {
  type Act = (session: ClientHttp2Session, stream: ReturnType<ClientHttp2Session["request"]>) => void;
  const reset: Act = (_, stream) => stream.close(8);
  const destroyed: Act = (session) => session.destroy();
  const CASES: [name: string, path: string, method: string, act: Act | undefined, cancelled: boolean][] = [
    ["a response that is read", "/whole", "GET", undefined, false],
    ["a response without a body", "/empty", "GET", undefined, false],
    ["a HEAD request", "/whole", "HEAD", undefined, false],
    ["a response that the handler writes to the stream itself", "/stream", "GET", undefined, false],
    ["a stream that is reset in the middle", "/part", "GET", reset, true],
    ["a session that is destroyed in the middle", "/part", "GET", destroyed, true],
    ["a stream that is reset while its response waits to be read", "/large", "GET", reset, true],
    ["a stream that the handler writes to itself, reset", "/stream-part", "GET", reset, true],
  ];
  for (const [name, path, method, act, cancelled] of CASES) {
    test(`${name}: ${cancelled ? "the client has gone" : "done"}`, async (t) => {
      const { config, note, spans } = recording();
      const handler = withOpik((req: Http2ServerRequest, res: Http2ServerResponse) => {
        note();
        if (req.url === "/whole") res.end("whole");
        else if (req.url === "/empty") res.writeHead(204).end();
        else if (req.url === "/large") res.end(Buffer.alloc(1e6));
        else if (req.url === "/part") res.write("part");
        else {
          res.stream.respond({ ":status": 200 });
          if (req.url === "/stream") res.stream.end("whole");
          else res.stream.write("part");
        }
      }, config);
      const port = await listening(t, createHttp2Server(handler) as unknown as Server);
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      session.on("error", () => {});
      t.after(() => session.destroy());
      const stream = session.request({ ":path": path, ":method": method, ":authority": "shop.example" });
      stream.on("error", () => {});
      stream.once("data", () => act?.(session, stream));
      if (!act) stream.resume();
      const [row] = await spans();
      assert.deepEqual(
        [row!["name"], row!["input"], row!["metadata"]],
        [
          `${method} ${path}`,
          { method, url: `http://shop.example${path}` },
          cancelled ? { opik_edge_cancelled: true } : undefined,
        ],
      );
    });
  }
});

describe("one request is one trace", { timeout: 60_000 }, () => {
  /** An app that is traced in two places. It answers with the trace that its handler sees. */
  type App = (config: object, note: () => void) => Handle;
  const hono = (config: object, note: () => void) => {
    const app = new Hono<{ Variables: OpikVariables }>();
    app.use(honoOpik(() => config));
    const inner = new Hono<{ Variables: OpikVariables }>();
    inner.use(honoOpik(() => config));
    inner.get("/orders", (c) => {
      note();
      return c.text(`${c.get("opik")?.traceId}`);
    });
    return app.route("/shop", inner);
  };
  const APPS: Record<string, App> = {
    "Express, the app and a router": (config, note) =>
      express()
        .use(opikMiddleware(config))
        .use("/shop", express.Router().use(opikMiddleware(config)).get("/orders", answering(note))),
    "Express, the middleware twice": (config, note) =>
      express().use(opikMiddleware(config), opikMiddleware(config), answering(note)),
    "withOpik of Node around Express": (config, note) =>
      withOpik(express().use(opikMiddleware(config)).use("/shop", opikMiddleware(config), answering(note)), config),
    "withOpik of Node twice": (config, note) => withOpik(withOpik(answering(note), config), config),
    "a middleware that has lost what is current": (config, note) =>
      express()
        .use(opikMiddleware(config))
        .use((_req, _res, next) => outside(() => next()))
        .use(opikMiddleware(config), answering(note)),
    "withOpik of Node around Hono, an app and a sub-app": (config, note) =>
      withOpik(getRequestListener(hono(config, note).fetch), config),
    "withOpik of the server around Hono": (config, note) =>
      getRequestListener(webWithOpik(hono(config, note).fetch, config) as never),
    "withOpik of the server twice, around copies of the request": (config, note) => {
      const inner = webWithOpik(web(note), config) as (request: Request) => Promise<Response>;
      return getRequestListener(webWithOpik((request: Request) => inner(new Request(request)), config) as never);
    },
    "withOpik of the server around a handler that has it": (config, note) =>
      getRequestListener(webWithOpik(webWithOpik(web(note), config), config) as never),
  };
  const outside = AsyncLocalStorage.snapshot();
  for (const [name, app] of Object.entries(APPS)) {
    test(name, async (t) => {
      const { config, note, spans, begun } = recording();
      const port = await listening(t, createServer(app(config, note) as never));
      const first = await (await fetch(`http://127.0.0.1:${port}/shop/orders?a=1`)).text();
      const second = await (await fetch(`http://127.0.0.1:${port}/shop/orders?a=1`)).text();
      const found = await spans(2);
      assert.deepEqual(
        found.map((span) => [span["name"], span.trace_id, span.parent_span_id]),
        [
          ["GET /shop/orders", first, undefined],
          ["GET /shop/orders", second, undefined],
        ],
      );
      assert.deepEqual(begun, ["GET /shop/orders", "GET /shop/orders"]);
    });
  }

  test("withOpik of a Worker around Hono", async () => {
    const { config, note, exporter } = recording();
    const app = hono(config, note);
    const worker = workerWithOpik({ fetch: app.fetch } as never, () => config as never) as unknown as typeof app;
    const waited: Promise<unknown>[] = [];
    const ctx = {
      waitUntil: (promise: Promise<unknown>) => waited.push(promise),
      passThroughOnException() {},
      props: {},
    };
    const response = await worker.fetch(new Request("http://shop.example/shop/orders"), {}, ctx as never);
    const trace = await response.text();
    await Promise.all(waited);
    assert.deepEqual(
      exporter.spans.map((span) => [span["name"], span.trace_id]),
      [["GET /shop/orders", trace]],
    );
  });

  test("another request, and the same request again, are separate traces", async () => {
    const { config, note, spans } = recording();
    const inner = webWithOpik(web(note), config);
    const outer = webWithOpik(async (request: Request) => {
      const other = await (await inner(new Request("http://shop.example/other"))).text();
      const same = await (await inner(request)).text();
      return Response.json([other, same, traceHere()]);
    }, config);
    const request = new Request("http://shop.example/outer");
    const traces = new Set<string>();
    for (let n = 0; n < 2; n += 1) {
      const [other, same, own] = await (await outer(request)).json();
      assert.equal(same, own);
      for (const trace of [other, own]) traces.add(trace);
    }
    assert.equal(traces.size, 4);
    assert.equal((await spans(4)).length, 4);
  });
});

describe("a client that leaves while `trust` is pending", { timeout: 60_000 }, () => {
  test("is recorded as cancelled, and its request still reaches the handler", async (t) => {
    const { config, note, spans } = recording();
    const asked = deferred();
    const answered = deferred();
    let handled = 0;
    const trust = async () => {
      asked.resolve(undefined);
      await answered.promise;
      return true;
    };
    const handler = withOpik(
      (_req: IncomingMessage, res: ServerResponse) => {
        note();
        handled += 1;
        res.end();
      },
      { ...config, trust },
    );
    const server = createServer((req, res) => {
      res.on("close", () => answered.resolve(undefined));
      handler(req, res);
    });
    const port = await listening(t, server);
    const aborted = new AbortController();
    const response = fetch(`http://127.0.0.1:${port}/slow`, { headers: CALLER, signal: aborted.signal });
    await asked.promise;
    aborted.abort();
    await assert.rejects(response);
    const [row] = await spans();
    assert.deepEqual(
      [row!["name"], row!["metadata"], row!.trace_id, handled],
      ["GET /slow", { opik_edge_cancelled: true }, CALLER.opik_trace_id, 1],
    );
  });
});

describe("a client that leaves in the middle of a response", { timeout: 60_000 }, () => {
  test("cancels the call that its handler then stops reading", async (t) => {
    const { config, note, spans } = recording();
    const upstream = await listening(
      t,
      createServer((_req, res) => void res.write("endless")),
    );
    const handler = withOpik(async (_req: IncomingMessage, res: ServerResponse) => {
      note();
      const response = await tracedFetch(`http://127.0.0.1:${upstream}/model`);
      const reader = response.body!.getReader();
      res.on("close", () => reader.cancel());
      res.write((await reader.read()).value);
    }, config);
    const port = await listening(t, createServer(handler));
    const aborted = new AbortController();
    const response = await fetch(`http://127.0.0.1:${port}/chat`, { signal: aborted.signal });
    await response.body!.getReader().read();
    aborted.abort();
    assert.deepEqual((await spans(2)).map(({ name, metadata }) => [name, metadata]).sort(), [
      ["GET /chat", { opik_edge_cancelled: true }],
      [`GET 127.0.0.1:${upstream}/model`, { opik_edge_cancelled: true }],
    ]);
  });
});

describe("an argument that is not a Request of this realm", { timeout: 60_000 }, () => {
  class Polyfill {
    readonly #url: string;
    constructor(url: string) {
      this.#url = url;
    }
    get url() {
      return this.#url;
    }
    get method() {
      return "PUT";
    }
    get headers() {
      return new Map(Object.entries(CALLER));
    }
  }
  const throwing = new Proxy({}, { get: () => assert.fail("a getter of the host's") });
  const REQUESTS: [name: string, request: () => unknown, recorded: unknown[]][] = [
    [
      "a polyfill's",
      () => new Polyfill("http://a.example/x?secret"),
      ["PUT /x", { method: "PUT", url: "http://a.example/x" }],
    ],
    [
      "another realm's",
      () => runInNewContext("new (class Request { method = 'GET'; url = 'http://a.example/y'; headers = new Map() })"),
      ["GET /y", { method: "GET", url: "http://a.example/y" }],
    ],
    ["Node's own", () => ({ method: "GET", url: "/z?secret", headers: {} }), ["GET /z", { method: "GET", url: "/z" }]],
    ["one that only has a URL", () => ({ url: new URL("http://a.example/") }), ["request", {}]],
    [
      "an OPTIONS without headers",
      () => ({ method: "OPTIONS", url: "*" }),
      ["OPTIONS *", { method: "OPTIONS", url: "*" }],
    ],
    ["undefined", () => undefined, ["request", {}]],
    ["null", () => null, ["request", {}]],
    ["a text", () => "http://a.example/", ["request", {}]],
    ["one whose getters throw", () => throwing, ["request", {}]],
  ];
  for (const [name, make, recorded] of REQUESTS) {
    test(`${name} reaches the handler, and is recorded as far as it can be read`, async () => {
      const { config, note, spans, errors } = recording();
      const given = make();
      const handler = webWithOpik((request: unknown) => {
        note();
        return { is: request === given };
      }, config);
      assert.deepEqual(await handler(given), { is: true });
      const [row] = await spans();
      assert.deepEqual([row!["name"], row!["input"]], recorded);
      assert.deepEqual(errors, []);
    });
  }

  test("a Node response without events ends its span with the handler", async () => {
    const { config, note, spans } = recording();
    const handler = withOpik((_req: object, res: { statusCode: number }) => {
      note();
      res.statusCode = 201;
    }, config);
    handler({ method: "GET", url: "/x", headers: {} }, { statusCode: 200 });
    const [row] = await spans();
    assert.deepEqual([row!["name"], row!["output"]], ["GET /x", { status: 201 }]);
  });

  test("further arguments of a handler may have getters that throw", async () => {
    const { config, note, spans } = recording();
    const handler = webWithOpik((request: Request, _platform: unknown) => web(note)(request), config);
    assert.match(await (await handler(new Request("http://a.example/x"), throwing)).text(), /-/);
    assert.equal((await spans())[0]!["name"], "GET /x");
  });
});

describe("a wrapped handler", () => {
  test("keeps its name, its length and its own members", () => {
    const handler = Object.assign(function named(_req: unknown, _res: unknown) {}, { routes: ["/"] });
    const wrapped = withOpik(handler);
    assert.deepEqual([wrapped.name, wrapped.length, wrapped.routes], ["named", 2, handler.routes]);
    const web = Object.assign(function web() {}, { config: { runtime: "edge" } });
    const wrappedWeb = webWithOpik(web);
    assert.deepEqual([wrappedWeb.name, (wrappedWeb as unknown as typeof web).config], ["web", web.config]);
    assert.equal(wrappedWeb.length, 1, "Deno gives nothing to a handler that declares nothing");
  });

  test("receives every argument from its server", async () => {
    const { config } = recording();
    const head = Buffer.from("head");
    const seen: unknown[] = [];
    const upgrade = withOpik((...args: unknown[]) => void seen.push(...args) as never, config);
    const socket = new (await import("node:net")).Socket();
    (upgrade as (...args: unknown[]) => void)({ method: "GET", url: "/", headers: {} }, socket, head);
    assert.deepEqual([seen[1] === socket, seen[2] === head], [true, true]);
    socket.destroy();
  });
});
