// Recording of values: a table for each kind, each row with the exact JSON. The tests count work in reads and characters,
// never in time.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get } from "node:http";
import { connect, createServer as createServer2 } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import express from "express";
import { type Context, Hono } from "hono";
import { flush, Opik, type OpikConfig, score, span, trace } from "opik-edge";
import { useDeterministicIds, useFakeClock } from "opik-edge/testing";
import * as undici from "undici";
import { client, codes, errors, exporter } from "../support/recording.js";

/** The recorded form of a value. */
async function recorded(value: unknown, config?: OpikConfig): Promise<unknown> {
  const opik = client(config);
  opik.span({ input: { value } }).end();
  await opik.flush();
  return (exporter.spans.at(-1)!["input"] as { value: unknown }).value;
}

/** The same, as the text that was sent. */
const textOf = async (value: unknown, config?: OpikConfig): Promise<string> =>
  JSON.stringify(await recorded(value, config)) ?? "undefined";

type Row = readonly [what: string, value: () => unknown, expected: unknown];

function testRows(rows: readonly Row[], reported: readonly string[] = []): void {
  for (const [what, value, expected] of rows) {
    test(what, async () => {
      assert.deepEqual(await recorded(value()), expected);
      assert.deepEqual(codes(), reported);
    });
  }
}

class Point {
  constructor(
    readonly x: number,
    readonly y: number,
  ) {}
}

describe("values without a form in JSON", () => {
  const twice = { a: 1 };
  testRows([
    ["a Map with names", () => new Map<unknown, unknown>([["a", new Map([["b", 1n]])]]), { a: { b: "1" } }],
    ["a Map with other keys", () => new Map([[1, 2]]), [[1, 2]]],
    ["a Set", () => new Set([1, new Set([2])]), [1, [2]]],
    ["boxed values", () => [Object(1n), Object("s"), Object(1), Object(false)], ["1", "s", 1, false]],
    ["a boxed symbol, as a symbol", () => [Object(Symbol("s")), Symbol("s")], [null, null]],
    ["numbers, as JSON does", () => [-0, Number.NaN, Number.POSITIVE_INFINITY], [0, null, null]],
    ["dates", () => [new Date(0), new Date(Number.NaN)], ["1970-01-01T00:00:00.000Z", null]],
    ["functions, as JSON does", () => ({ a: [() => 1, undefined], b: () => 1 }), { a: [null, null] }],
    ["holes", () => Object.assign([], { 1: 1n }), [null, "1"]],
    ["an object that occurs twice", () => ({ a: twice, b: [twice, 1n] }), { a: { a: 1 }, b: [{ a: 1 }, "1"] }],
    ["a class of data", () => [new Point(1, 2)], [{ x: 1, y: 2 }]],
    ["the result of its toJSON", () => ({ toJSON: (key: string) => new Map([[key, 1n]]) }), { value: "1" }],
    [
      "a member named __proto__",
      () => JSON.parse('{"__proto__":{"a":1},"b":{"c":1}}'),
      JSON.parse('{"__proto__":{"a":1},"b":{"c":1}}'),
    ],
    [
      "the same beside a bigint",
      () => [JSON.parse('{"__proto__":{"a":1}}'), 1n],
      [JSON.parse('{"__proto__":{"a":1}}'), "1"],
    ],
    [
      "binary data",
      () => [
        Buffer.alloc(2),
        new ArrayBuffer(3),
        new SharedArrayBuffer(4),
        new DataView(new ArrayBuffer(5)),
        new Float64Array(1),
      ],
      [
        "[Buffer of 2 bytes]",
        "[ArrayBuffer of 3 bytes]",
        "[SharedArrayBuffer of 4 bytes]",
        "[DataView of 5 bytes]",
        "[Float64Array of 8 bytes]",
      ],
    ],
    ["files", () => [new Blob(["ab"]), new File(["abc"], "secret.txt")], ["[Blob of 2 bytes]", "[File of 3 bytes]"]],
    [
      "a form",
      () => {
        const form = new FormData();
        form.append("a", "1");
        form.append("a", "2");
        form.append("file", new File(["abc"], "f"));
        return form;
      },
      { a: ["1", "2"], file: ["[File of 3 bytes]"] },
    ],
    [
      "search parameters",
      () => new URLSearchParams("q=1&q=2&__proto__=3"),
      JSON.parse('{"q":["1","2"],"__proto__":["3"]}'),
    ],
    [
      "objects that reading would change",
      () => [Promise.resolve(), new ReadableStream(), (function* () {})(), new WeakMap(), /a/g],
      ["[Promise]", "[ReadableStream]", "[Generator]", "[WeakMap]", "[RegExp]"],
    ],
    [
      "an error",
      () => new RangeError("m", { cause: { code: 7n } }),
      { name: "RangeError", message: "m", cause: { code: "7" } },
    ],
    [
      "an error that stands for others",
      () => new AggregateError([new Error("a"), "b"], "m"),
      { name: "AggregateError", message: "m", errors: [{ name: "Error", message: "a" }, "b"] },
    ],
    [
      "an error that suppresses another",
      () => Object.assign(new Error("m"), { name: "SuppressedError", error: new Error("a"), suppressed: "b" }),
      { name: "SuppressedError", message: "m", error: { name: "Error", message: "a" }, suppressed: "b" },
    ],
    ["a DOMException", () => new DOMException("m", "AbortError"), { name: "AbortError", message: "m" }],
  ]);
});

describe("objects of another realm are recognised", () => {
  const other = (code: string) => () => runInNewContext(`(${code})`, { URLSearchParams });
  testRows([
    ["plain ones", other("{ a: [1, { b: 2 }] }"), { a: [1, { b: 2 }] }],
    ["a Map and a Set", other("new Map([['a', new Set([1n])]])"), { a: ["1"] }],
    [
      "an error",
      other("new TypeError('m', { cause: new Error('c') })"),
      { name: "TypeError", message: "m", cause: { name: "Error", message: "c" } },
    ],
    [
      "several errors",
      other("new AggregateError([new Error('a')])"),
      { name: "AggregateError", message: "", errors: [{ name: "Error", message: "a" }] },
    ],
    ["a date", other("new Date(0)"), "1970-01-01T00:00:00.000Z"],
    ["a promise and a regular expression", other("[Promise.resolve(), /a/]"), ["[Promise]", "[RegExp]"]],
    [
      "binary data",
      other("[new Uint8Array(2), new ArrayBuffer(3)]"),
      ["[Uint8Array of 2 bytes]", "[ArrayBuffer of 3 bytes]"],
    ],
    ["boxed values", other("[Object(1n), new Number(1)]"), ["1", 1]],
    ["headers", () => new undici.Headers({ authorization: "secret" }), { headers: ["authorization"] }],
    [
      "a request",
      () => new undici.Request("http://a.test/b?c#d", { method: "PUT" }),
      { method: "PUT", url: "http://a.test/b" },
    ],
    ["a response", () => new undici.Response("", { status: 404 }), { status: 404 }],
  ]);

  test("plain objects merge", async () => {
    const opik = client();
    const opened = opik.span({ input: { a: 1 } });
    opened.update({ input: runInNewContext("({ b: 2 })") });
    opened.end();
    await opik.flush();
    assert.deepEqual(exporter.spans[0]!["input"], { a: 1, b: 2 });
  });

  test("an error of another realm has its class, its message and its stack", async () => {
    const opik = client();
    assert.throws(() => opik.span({}, () => runInNewContext("throw new TypeError('m', { cause: new Error('c') })")));
    await opik.flush();
    const info = exporter.spans[0]!["error_info"] as Record<string, string>;
    assert.deepEqual([info["exception_type"], info["message"]], ["TypeError", "m"]);
    assert.match(info["traceback"]!, /^evalmachine[\s\S]*TypeError: m\n {4}at [\s\S]*\nCaused by: Error: c\n {4}at /);
  });
});

describe("secrets in live objects", () => {
  const secret = "sk-secret";
  const close = (server: Server) => new Promise((resolve) => server.close(resolve));
  const listen = async (server: Server): Promise<string> => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const credentials = { authorization: secret, cookie: secret, "x-api-key": secret };

  test("for requests of Node and Express, method and URL without query are recorded, for responses the status", async () => {
    const opik = client();
    const app = express();
    const seen = opik.track((request: unknown, response: unknown) => [request, response].length, { name: "seen" });
    app.use("/api", (request, response) => {
      seen(request, response);
      response.status(201).end();
    });
    const server = createServer(app);
    const url = await listen(server);
    const asked = get(`${url}/api/path?key=${secret}`, { headers: credentials });
    const [answer] = await once(asked, "response");
    seen(asked, answer);
    answer.resume();
    await once(answer, "end");
    await close(server);
    await opik.flush();
    const request = { method: "GET", url: "/api/path" };
    assert.deepEqual(
      exporter.spans.map(({ input }) => input),
      [{ arguments: [request, { status: 200 }] }, { arguments: [request, { status: 201 }] }],
    );
    assert.doesNotMatch(JSON.stringify(exporter.requests), /secret/);
  });

  test("the same for HTTP/2", async () => {
    const opik = client();
    const server = createServer2((request, response) => {
      opik.span({ input: { request, response, stream: response.stream, session: response.stream.session } }).end();
      response.end();
    });
    const session = connect(await listen(server));
    const stream = session.request({ ":path": `/path?key=${secret}`, ...credentials });
    await once(stream.resume(), "end");
    session.close();
    await close(server);
    await opik.flush();
    assert.deepEqual(exporter.spans[0]!["input"], {
      request: { method: "GET", url: "/path" },
      response: { status: 200 },
      stream: "[ServerHttp2Stream]",
      session: "[ServerHttp2Session]",
    });
  });

  test("the same for a request of Hono", async () => {
    const opik = client();
    const app = new Hono();
    app.get("*", (c: Context) => {
      opik.span({ input: { request: c.req, raw: c.req.raw, context: c } }).end();
      return c.text("");
    });
    await app.request(`http://a.test/path?key=${secret}`, { headers: credentials }, { API_KEY: secret });
    await opik.flush();
    const { request, raw, context } = exporter.spans[0]!["input"] as Record<string, Record<string, unknown>>;
    assert.deepEqual([request, raw], [{ method: "GET", url: "http://a.test/path" }, request]);
    assert.deepEqual(context!["env"], { API_KEY: "[redacted]" });
  });

  /** Built like the clients of model providers and databases. */
  class Client {
    apiKey = secret;
    readonly baseURL = `https://user:${secret}@api.test/v1`;
    readonly timeout = 5;
    readonly maxTokens = 7;
    readonly _options = { apiKey: secret, access_token: secret, token: null, defaultHeaders: { "x-own": secret } };
    readonly password: unknown = { hash: secret };
    readonly headers = new AxiosHeaders();
    readonly self = this;
    readonly call = () => this.#hidden;
    readonly #hidden = secret;
  }
  class AxiosHeaders {
    Authorization = secret;
    toJSON() {
      return { ...this };
    }
  }
  const shown = {
    apiKey: "[redacted]",
    baseURL: "https://api.test/v1",
    timeout: 5,
    maxTokens: 7,
    _options: { apiKey: "[redacted]", access_token: "[redacted]", token: null, defaultHeaders: { headers: ["x-own"] } },
    password: "[redacted]",
    headers: { headers: ["Authorization"] },
    self: "[circular]",
  };
  testRows([
    ["secret members of a client are not recorded", () => new Client(), shown],
    [
      "secret members of a client inside data are not either",
      () => ({ password: "mine", list: [new Client()] }),
      { password: "mine", list: [shown] },
    ],
    [
      "secrets that a toJSON returns are not either",
      () => Object.assign(new Client(), { toJSON: () => ({ apiKey: secret, model: "m" }) }),
      { apiKey: "[redacted]", model: "m" },
    ],
    [
      "data of the host is recorded",
      () => [{ token: "mine" }, new Map([["token", "mine"]]), 1n],
      [{ token: "mine" }, { token: "mine" }, "1"],
    ],
    ["a form's fields", () => new URLSearchParams("user=me&password=secret"), { user: ["me"], password: "[redacted]" }],
    [
      "streams, servers and emitters",
      () => [new PassThrough(), createTcpServer(), new EventTarget(), new AbortController().signal],
      ["[PassThrough]", "[Server]", "[EventTarget]", "[AbortSignal]"],
    ],
    ["a URL", () => new URL("https://user:secret@a.test/path?key=secret#secret"), "https://a.test/path"],
  ]);

  test("a service binding is not called", async () => {
    let calls = 0;
    // As in workerd: a member of any name, which calls the other side.
    class Fetcher {
      constructor() {
        // biome-ignore lint/correctness/noConstructorReturn: workerd does so
        return new Proxy(this, {
          has: () => true,
          get: (target, name) => Reflect.get(target, name) ?? (() => ++calls),
        });
      }
    }
    const stub = Object.assign(() => 1, { toJSON: () => ++calls });
    assert.deepEqual(await recorded([new Fetcher(), stub]), ["[Fetcher]", null]);
    assert.equal(calls, 0);
  });
});

describe("URLs", () => {
  class Asked {
    readonly method = "GET";
    readonly headers = {};
    constructor(readonly url: string) {}
  }
  const rows: [given: string, shown: string][] = [
    ["https://user:pw@a.test:8080/p?q#f", "https://a.test:8080/p"],
    ["/path?q=1#f", "/path"],
    ["http://user:p@w@bad host/p?q", "http://bad host/p"],
    [`data:text/plain;base64,${"A".repeat(300_000)}`, "data:text/plain"],
    [`data:,${"A".repeat(300_000)}`, "data:"],
    [`data:${"a".repeat(300_000)}`, `data:${"a".repeat(99)}`],
    ["blob:https://a.test/0000", "blob:"],
    ["javascript:steal('secret')", "javascript:"],
    ["mailto:me@a.test", "mailto:"],
    ["file:///etc/passwd?q", "file:///etc/passwd"],
  ];
  test("data of the host stay unchanged", async () => {
    const data = { method: "GET", url: "https://user:pw@a.test/p?q#f", headers: { authorization: "mine" }, big: 1n };
    assert.deepEqual(await recorded(data), { ...data, big: "1" });
  });
  for (const [given, expected] of rows) {
    test(given.slice(0, 60), async () => {
      assert.deepEqual(await recorded(new Asked(given)), { method: "GET", url: expected });
    });
  }
  test("for a call without a host, the span's name contains only the scheme and the type", async () => {
    const opik = client();
    await (await opik.fetch(`data:text/plain;base64,${"A".repeat(400)}`)).text();
    await opik.flush();
    assert.equal(exporter.spans.at(-1)!["name"], "GET data:text/plain");
  });
});

/** A value that throws on every access. */
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe("errors", () => {
  const info = async (fail: () => never | Promise<never>, config?: OpikConfig): Promise<Record<string, string>> => {
    const opik = client(config);
    try {
      await opik.span({}, fail);
    } catch {
      // The failure is expected.
    }
    await opik.flush();
    return exporter.spans.at(-1)!["error_info"] as Record<string, string>;
  };
  const thrown: [unknown, type: string, message: string][] = [
    [null, "object", "null"],
    [undefined, "undefined", "undefined"],
    [0, "number", "0"],
    [{ code: 7n }, "Object", '{"code":"7"}'],
    [Object.assign(new Error("m"), { name: "" }), "Error", "m"],
    [Object.assign(new Error(), { message: { code: 7 } }), "Error", "[object Object]"],
    [new DOMException("m", "TimeoutError"), "TimeoutError", "m"],
    [new Proxy(new Error("m"), {}), "Error", "m"],
    [revoked(), "Error", "[unreadable error]"],
    [Object.assign(new Error("m"), { cause: revoked() }), "Error", "m"],
  ];
  for (const [value, type, message] of thrown) {
    test(`${type}: ${message} is recorded as a failure`, async () => {
      const { exception_type, message: said } = await info(() => {
        throw value;
      });
      assert.deepEqual([exception_type, said], [type, message]);
    });
  }

  test("a thrown value that is not an error has no traceback", async () => {
    const opik = client();
    for (const error of [null, undefined]) {
      opik.span({ error }).end();
      const updated = opik.span({});
      updated.update({ error });
      updated.end();
      const failed = opik.span({ error: new Error("m") });
      failed.update({ error });
      failed.end();
    }
    await opik.flush();
    assert.deepEqual(
      exporter.spans.map(({ error_info }) => error_info !== undefined),
      [false, false, true, false, false, true],
    );
    assert.deepEqual(
      exporter.traces.map(({ error_info }) => error_info !== undefined),
      [false, false, true, false, false, true],
    );
  });

  test("a traceback has every cause, of any type, and what the error stands for, each once", async () => {
    const one = new Error("one", { cause: { code: 7 } });
    const two = new Error("two");
    const all = new AggregateError([one, two, one], "all", { cause: "why" });
    two.cause = all;
    const { traceback } = await info(() => {
      throw all;
    });
    assert.deepEqual(
      traceback!.split("\nCaused by: ").map((part) => part.split("\n")[0]),
      ["AggregateError: all", "why", "Error: one", "Error: two", '{"code":7}'],
    );
    const many = await info(() => {
      throw new AggregateError(Array.from({ length: 20_000 }, () => new Error("one of many")));
    });
    assert.equal(many["traceback"]!.split("\nCaused by: ").length, 8);
  });

  const texts: [text: string, shown: string][] = [
    ["Failed to parse URL from http://user:s3cret@a b/p?key=s3cret", "Failed to parse URL from http://a b/p"],
    ["Failed to parse URL from /p?key=s3cret", "Failed to parse URL from /p"],
    [
      "error sending request for url (https://a.test/p?key=s3cret): refused",
      "error sending request for url (https://a.test/p): refused",
    ],
    ['fetch("https://a.test/p?s3cret") failed', 'fetch("https://a.test/p") failed'],
    ["ws://user:s3@cret@a.test/#s3cret.", "ws://a.test/."],
    ["at load (https://a.test/app.js?v=s3cret:12:34)", "at load (https://a.test/app.js:12:34)"],
    ["really? owner/repo#123 me@a.test a?b:c", "really? owner/repo#123 me@a.test a?b:c"],
  ];
  for (const [text, shown] of texts) {
    test(`a text without the secrets in its URLs: ${shown}`, async () => {
      const { message, traceback } = await info(() => {
        throw new Error(text, { cause: new Error(text) });
      });
      assert.equal(message, shown);
      assert.doesNotMatch(traceback!, /s3|cret/);
      assert.equal(
        (
          await info(() => {
            throw text;
          })
        )["message"],
        shown,
      );
      assert.deepEqual(await recorded(new Error(text)), { name: "Error", message: shown });
    });
  }

  test("a failed fetch reveals nothing that its recorded URL hides, in any span that it fails", async () => {
    const opik = client();
    for (const url of [
      "http://user:s3cret@127.0.0.1:99999/p?key=s3cret",
      "/p?key=s3cret",
      "http://127.0.0.1:1/p?key=s3cret",
    ]) {
      await assert.rejects(opik.span({ name: "outer" }, (outer) => outer.fetch(url)));
    }
    await opik.flush();
    assert.equal(exporter.spans.filter((row) => row["error_info"]).length, 6);
    assert.doesNotMatch(JSON.stringify(exporter.requests), /s3cret/);
  });
});

describe("values that cannot be read are lost alone, with a note in their place and one report", () => {
  const fail = (): never => {
    throw new Error("no");
  };
  const note = "[unserializable: no]";
  testRows(
    [
      [
        "a getter",
        () => ({
          a: 1,
          get b() {
            return fail();
          },
          c: [2],
        }),
        { a: 1, b: note, c: [2] },
      ],
      [
        "two of them",
        () => [
          {
            get b() {
              return fail();
            },
          },
          {
            get b() {
              return fail();
            },
          },
        ],
        [{ b: note }, { b: note }],
      ],
      ["a toJSON", () => [1, { toJSON: fail }], [1, note]],
      ["a proxy", () => ({ a: 1, b: new Proxy({}, { ownKeys: fail }) }), { a: 1, b: note }],
      [
        "an item",
        () => new Proxy([1, 2], { get: (target, key) => (key === "1" ? fail() : Reflect.get(target, key)) }),
        [1, note],
      ],
      [
        "a getter that throws an unreadable value",
        () => ({
          get b() {
            throw revoked();
          },
        }),
        { b: "[unserializable: it cannot be read]" },
      ],
      [
        "an unreadable object that occurs twice",
        () => {
          const p = new Proxy({}, { ownKeys: fail });
          return [p, p];
        },
        [note, note],
      ],
    ],
    ["unserializable"],
  );

  test("in fields and options too", async () => {
    const opik = client();
    const bad = {
      name: "kept",
      get input() {
        return fail();
      },
      output: { fine: 1 },
      get tags() {
        return fail();
      },
      get error() {
        return fail();
      },
    };
    opik.span(bad).end();
    opik.trace(bad).end();
    const merged = opik.span({ name: "kept", output: { fine: 1 }, input: { before: 1 } });
    merged.update({
      input: {
        get broken() {
          return fail();
        },
        after: 2,
      },
    });
    merged.end();
    await opik.flush();
    for (const row of [exporter.spans[0]!, ...exporter.traces.slice(0, 2)]) {
      assert.deepEqual([row.name, row["input"], row["output"]], ["kept", { input: note }, { fine: 1 }]);
      assert.equal(row["error_info"], undefined);
    }
    assert.deepEqual(exporter.spans[1]!["input"], { before: 1, broken: note, after: 2 });
    assert.deepEqual(codes(), ["unserializable", "unserializable", "unserializable"], "one for each field");
  });

  test("a redactor sees the note, and fails for the whole field", async () => {
    const value = {
      get a() {
        return fail();
      },
      b: "secret",
    };
    assert.deepEqual(await recorded(value, { redact: { patterns: [/no|secret/] } }), {
      a: "[unserializable: [redacted]]",
      b: "[redacted]",
    });
    const opik = client({ redact: { replace: (given) => (given === "secret" ? fail() : given) } });
    opik.span({ input: value }).end();
    await opik.flush();
    assert.deepEqual(exporter.spans.at(-1)!["input"], { input: "[redacted]" });
  });

  test("no option that is null, or cannot be read, throws at the host", async () => {
    const unreadable = new Proxy(
      {},
      { get: fail, has: fail, ownKeys: fail, getOwnPropertyDescriptor: fail, getPrototypeOf: fail },
    );
    const getters = () => ({
      get name() {
        return fail();
      },
      get parent() {
        return fail();
      },
      get span() {
        return fail();
      },
      get flush() {
        return fail();
      },
      get timeoutMs() {
        return fail();
      },
      get spelling() {
        return fail();
      },
      get traceId() {
        return fail();
      },
    });
    for (const given of [null, undefined, revoked(), unreadable, getters()] as never[]) {
      const opik = client({ sampleRate: () => 1 });
      opik.trace(given).end();
      opik.span(given).end();
      assert.equal(
        opik.span(given, () => 1),
        1,
      );
      assert.equal(
        opik.distributedHeaders(given, () => 1, given),
        1,
      );
      opik.score(given);
      opik.instrumentFetch(given)();
      await opik.flush(given);
      await opik.span({ name: "current" }, async (current) => {
        span(given).end();
        assert.equal(
          span(given, () => 1),
          1,
        );
        trace(given).end();
        score(given);
        current.update(given);
        current.score(given);
        current.trace.update(given);
        current.trace.score(given);
        current.span(given).end();
        assert.equal(
          current.trace.span(given, () => 1),
          1,
        );
        assert.equal(Object.keys(current.headers(given)).length, 4);
        assert.equal(Object.keys(current.inject({}, given)).length, 4);
        await flush(given);
      });
    }
  });

  test("a configuration of null counts as missing, and a configuration that cannot be read is invalid", () => {
    const nothing = {
      url: null,
      propagateTo: null,
      sampleRate: null,
      redact: null,
      signals: null,
      limits: null,
      relayUrl: null,
      env: null,
      onError: null,
      onDrop: null,
    };
    new Opik({ ...nothing, transport: exporter, background: false } as never).span({}).end();
    assert.throws(() => new Opik(null as never), { code: "invalid_config", message: /^apiKey:/ });
    for (const given of [
      revoked(),
      {
        get apiKey() {
          return fail();
        },
      },
      { url: Object.create(null) },
    ]) {
      assert.throws(() => new Opik(given as never), { code: "invalid_config" });
    }
  });
});

describe("work is bounded", () => {
  /** n users who are all each other's friends; `reads` counts the reads of their friends. */
  function friends(n: number) {
    const counted = { reads: 0 };
    const users = Array.from({ length: n }, (_, id) => ({ id, friends: [] as unknown[] }));
    for (const user of users) {
      const others = users.filter((other) => other !== user);
      Object.defineProperty(user, "friends", {
        enumerable: true,
        get: () => {
          counted.reads += 1;
          return others;
        },
      });
    }
    return { users, counted };
  }
  for (const n of [2, 12, 100, 1000]) {
    test(`${n} users who are all each other's friends`, async () => {
      const { users, counted } = friends(n);
      const text = await textOf(users);
      // The quick check gives up at its depth; the copy reads each once, and again while half a field is free.
      assert.ok(counted.reads < 20_000, `${counted.reads} reads`);
      assert.ok(text.length < 1_000_000, `${text.length} characters`);
      if (n === 2)
        assert.equal(
          text,
          '[{"id":0,"friends":[{"id":1,"friends":["[circular]"]}]},{"id":1,"friends":[{"id":0,"friends":["[circular]"]}]}]',
        );
      if (n === 12) assert.match(text, /"\[circular\]".*"\[repeated\]"/);
      assert.deepEqual(codes(), n === 1000 ? ["field_cut"] : []);
    });
  }

  test("40 levels that each hold the next one twice", async () => {
    let reads = 0;
    let level: object = { end: true };
    for (let n = 0; n < 40; n += 1) {
      const next = level;
      level = {
        left: next,
        get right() {
          reads += 1;
          return next;
        },
      };
    }
    const text = await textOf(level);
    assert.ok(reads < 1_100_000, `${reads} reads`);
    assert.ok(text.length < 1_000_000 && text.includes('"[repeated]"'), `${text.length} characters`);
  });

  test("100,000 levels", async () => {
    let deep: unknown = "end";
    for (let n = 0; n < 100_000; n += 1) deep = n % 2 ? [deep] : { deep };
    const text = await textOf(deep);
    assert.equal(text.match(/[[{]/g)!.length, 60, "59 levels, and the bracket of the note");
    assert.ok(text.includes('"[opik_truncated]"'));
    assert.deepEqual(codes(), []);
  });

  test("a toJSON that returns another object with a toJSON, without end", async () => {
    class Endless {
      toJSON() {
        return { again: new Endless() };
      }
    }
    assert.equal((await textOf(new Endless())).match(/again/g)!.length, 59);
  });

  test("a Buffer's toJSON does not run", async (t) => {
    const toJSON = t.mock.method(Buffer.prototype, "toJSON");
    const tracked = client();
    tracked.track((bytes: Buffer) => bytes.length)(Buffer.alloc(50_000_000));
    await tracked.flush();
    assert.deepEqual(exporter.spans[0]!["input"], { arguments: ["[Buffer of 50000000 bytes]"] });
    assert.equal(toJSON.mock.callCount(), 0);
  });

  test("long texts, long lists and many members", async () => {
    assert.match(
      (await recorded("x ".repeat(50_000_000))) as string,
      /^(x ){32768}… \[opik_truncated: 100000000 characters\]$/,
    );
    let reads = 0;
    const item = {
      get read() {
        reads += 1;
        return 1;
      },
    };
    const large = {
      holes: new Array(4_000_000_000),
      bigints: Array(500_000).fill(1n),
      objects: Array(2_000_000).fill(item),
      texts: Array(20).fill("x ".repeat(1_000_000)),
      map: new Map(Array.from({ length: 500_000 }, (_, n) => [n, n])),
      set: new Set(Array.from({ length: 500_000 }, (_, n) => n)),
    };
    for (const [name, value] of Object.entries(large)) {
      const opik = client();
      opik.span({ input: { value } }).end();
      await opik.flush();
      const text = JSON.stringify(exporter.spans.at(-1)!["input"]);
      assert.match(text, /opik_truncated/, name);
      assert.ok(text.length < 1 << 20, `${name}: ${text.length} characters`);
    }
    // Written twice, in the row of the span and in the row of its trace.
    assert.ok(reads < 1_500_000, `${reads} reads`);
  });

  test("long trees are written completely, and their length is known", async () => {
    const rows = Array.from({ length: 30_000 }, (_, n) => ({ n, big: BigInt(n) }));
    const opik = client({ limits: { fieldBytes: 3 << 20, spanBytes: 3 << 20 } });
    opik.span({ input: { rows } }).end();
    await opik.flush();
    assert.deepEqual(exporter.spans[0]!["input"], { rows: rows.map(({ n }) => ({ n, big: `${n}` })) });
    const shared = { name: "shared" };
    assert.equal(
      ((await recorded(Array(10_000).fill(shared))) as unknown[]).filter((one) => (one as typeof shared).name).length,
      10_000,
    );
    assert.deepEqual(codes(), []);
  });

  test("redaction sees everything that is written", async () => {
    const { users } = friends(6);
    const text = await textOf(
      users.map((user) => Object.assign(user, { secret: "sk-1" })),
      { redact: { patterns: [/sk-\d/] } },
    );
    assert.doesNotMatch(text, /sk-/);
    assert.match(text, /\[redacted\]/);
  });
});

describe("the runtime", () => {
  test("a navigator that a DOM library has put into Node does not make it a page: recorded rows are sent", async () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    const userAgent = "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/26.1.0";
    Object.defineProperty(globalThis, "navigator", { value: { userAgent }, configurable: true });
    const clock = useFakeClock();
    try {
      new Opik({ transport: exporter, onError: (error) => errors.push(error) }).span({ name: "n" }).end();
      await clock.advance(3000);
      assert.deepEqual(
        exporter.spans.map(({ name }) => name),
        ["n"],
      );
    } finally {
      clock.restore();
      if (before) Object.defineProperty(globalThis, "navigator", before);
      else Reflect.deleteProperty(globalThis, "navigator");
    }
  });

  test("the report names the features that the runtime lacks, not a trap", async () => {
    const { TextEncoder } = globalThis;
    const ids = useDeterministicIds(); // with its own core
    Reflect.deleteProperty(globalThis, "TextEncoder");
    try {
      client().span({}).end();
      assert.deepEqual(
        errors.map(({ code, message }) => [code, message]),
        [["unexpected", "ReferenceError: TextEncoder is not defined; see unexpected in docs/guides/messages.md"]],
      );
    } finally {
      globalThis.TextEncoder = TextEncoder;
      ids.restore();
    }
  });
});
