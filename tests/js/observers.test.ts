// Observers of calls: their input, the record of the call, and the guarantee that the call does not notice them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  type CallObservation,
  type CallObserver,
  type CallRecord,
  callObserver,
  instrumentFetch,
  type ObservedCall,
  type OpikConfig,
  span as openSpan,
  fetch as opikFetch,
} from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { type ExportedRow, useFakeClock } from "opik-edge/testing";
import { JsonText } from "../support/core.js";
import { client, codes, errors, exporter } from "../support/recording.js";

const MB = 1024 * 1024;

/** A promise and the function that settles it. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A request as the server received it. */
interface Wire {
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let url: string;
const closes: (() => void)[] = [];
const unhandled: unknown[] = [];
const noticed = (error: unknown): void => void unhandled.push(error);
before(async () => {
  process.on("unhandledRejection", noticed);
  url = await serve((request, response) => {
    // Answers before any of the body is read.
    if (request.url === "/early") return response.end("early");
    let body = "";
    request.setEncoding("latin1").on("data", (text) => {
      body += text;
    });
    request.on("end", () => {
      const [, status = "200"] = /^\/status\/(\d+)/.exec(request.url ?? "") ?? [];
      response.writeHead(Number(status), { "content-type": "application/json", "x-cache": "HIT" });
      response.end(JSON.stringify({ method: request.method, headers: request.headers, body } satisfies Wire));
    });
  });
});
after(() => {
  for (const close of closes) close();
  process.off("unhandledRejection", noticed);
  assert.deepEqual(unhandled, []);
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closes.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An observer that takes every call, with everything it has seen. */
function everything(record: CallRecord | undefined | (() => CallRecord | undefined) = {}, more?: object) {
  const told: unknown[] = [];
  const observer = callObserver(({ method, url }) => {
    told.push(`${method} ${url}`);
    return {
      request: (body) => {
        told.push({ body });
      },
      answer: ({ status, header }) => void told.push({ status, type: header("Content-Type") }),
      chunk: (bytes) => void told.push({ chunk: Buffer.from(bytes).toString() }),
      end(how) {
        told.push(how);
        return typeof record === "function" ? record() : record;
      },
      ...more,
    };
  });
  return { told, observer };
}

const LLM: CallRecord = {
  type: "llm",
  name: "chat",
  model: "m",
  provider: "openai",
  input: { messages: ["hi"] },
  output: { choices: ["ho"] },
  usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  metadata: { temperature: 1 },
};

/** A stream of these chunks, each created when the consumer asks for it. */
function streamOf(chunks: readonly string[], pulled?: (n: number) => void): ReadableStream<Uint8Array<ArrayBuffer>> {
  let next = 0;
  return new ReadableStream(
    {
      pull(controller) {
        const chunk = chunks[next];
        next += 1;
        pulled?.(next);
        if (chunk === undefined) controller.close();
        else controller.enqueue(new TextEncoder().encode(chunk));
      },
    },
    { highWaterMark: 0 },
  );
}

const answering = (body: BodyInit | null, init?: ResponseInit) => ({
  via: { fetch: async () => new Response(body, init) },
});

async function spanOf(opik: ReturnType<typeof client>): Promise<ExportedRow> {
  await opik.flush();
  const [span, ...others] = exporter.spans;
  assert.ok(span && others.length === 0, `${exporter.spans.length} spans`);
  return span;
}

const fields = (row: ExportedRow, ...names: string[]) => Object.fromEntries(names.map((name) => [name, row[name]]));

describe("a call", () => {
  test("is taken by the first observer that wants it, by its method and its URL", async () => {
    const asked: ObservedCall[] = [];
    const one = callObserver((call) => {
      asked.push(call);
      return undefined;
    });
    const two = everything(LLM);
    const three = everything({ name: "three" });
    const opik = client({ observe: [one, two.observer, three.observer], limits: { fieldBytes: 65_536 } });
    const init = { method: "post", body: "{}", headers: { authorization: "secret" } };
    const answer = await (await opik.fetch(`${url}/v1?key=k`, init)).text();
    assert.deepEqual(asked, [{ method: "POST", url: `${url}/v1?key=k`, fieldBytes: 65_536 }]);
    assert.deepEqual(three.told, []);
    assert.deepEqual(two.told, [
      `POST ${url}/v1?key=k`,
      { body: "{}" },
      { status: 200, type: "application/json" },
      { chunk: answer },
      "done",
    ]);
    const { type, name, model, provider, input, output, usage, metadata } = await spanOf(opik);
    assert.deepEqual({ type, name, model, provider, input, output, usage, metadata }, LLM);
  });

  test("that no observer takes, or whose observer returns no record, is recorded like every call", async () => {
    for (const observe of [[], [callObserver(() => undefined)], [everything(() => undefined).observer]]) {
      exporter.clear();
      const opik = client({ observe });
      await (await opik.fetch(`${url}/v1`, { method: "POST" })).text();
      assert.deepEqual(fields(await spanOf(opik), "type", "name", "input", "output"), {
        type: "general",
        name: `POST ${new URL(url).host}/v1`,
        input: { method: "POST", url: `${url}/v1` },
        output: { status: 200 },
      });
    }
    assert.deepEqual(codes(), []);
  });

  test("is given up if its body does not fit", async () => {
    const { told, observer } = everything(LLM, { request: (body: string) => body.includes("messages") });
    const opik = client({ observe: [observer] });
    await (await opik.fetch(url, { method: "POST", body: `{"file":1}` })).text();
    assert.deepEqual(told, [`POST ${url}/`]);
    assert.equal((await spanOf(opik))["type"], "general");
    await (await opik.fetch(url, { method: "POST", body: `{"messages":1}` })).text();
    await opik.flush();
    assert.deepEqual(
      exporter.spans.map(({ type }) => type),
      ["general", "llm"],
    );
  });

  test("has the name that the host gives it, and leaves out fields without a value", async () => {
    const opik = client({ observe: [everything({ type: "llm", name: "theirs" }).observer] });
    await (await opik.fetch(url, { opik: { name: "mine" } })).text();
    const { name, type, ...others } = await spanOf(opik);
    assert.deepEqual([name, type], ["mine", "llm"]);
    for (const field of ["input", "output", "usage", "metadata"]) assert.ok(!(field in others), field);
  });

  test("that is not recorded is offered to observers, and not followed further", async () => {
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer], disabled: true });
    await (await opik.fetch(url)).text();
    assert.deepEqual(told, [`GET ${url}/`]);
  });

  test("takes only observers: anything else is an invalid setting", () => {
    for (const observe of [{}, "llm", [{}], [undefined], [() => {}]]) {
      assert.throws(() => client({ observe } as never), { code: "invalid_config" });
    }
  });
});

describe("chunks", () => {
  test("are shown in order, each before its consumer gets it, and only once the consumer asks for it", async () => {
    const log: string[] = [];
    const { observer } = everything(LLM, {
      chunk: (bytes: Uint8Array, ms: number) => {
        assert.ok(ms >= 0);
        log.push(`shown ${Buffer.from(bytes)}`);
      },
    });
    const opik = client({ observe: [observer] });
    const source = streamOf(["a", "b", "c"], (n) => log.push(`pulled ${n}`));
    const reader = (await opik.fetch(url, { opik: answering(source) })).body!.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      log.push(`read ${Buffer.from(next.value)}`);
      await new Promise(setImmediate); // long enough for any reading ahead
    }
    assert.deepEqual(log, [
      ...["pulled 1", "shown a", "read a"],
      ...["pulled 2", "shown b", "read b"],
      ...["pulled 3", "shown c", "read c", "pulled 4"],
    ]);
  });

  test("arrive in the same turn of the microtasks as without an observer", async () => {
    const turnsOf = async (observe: CallObserver[]): Promise<number[]> => {
      let source!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        start(controller) {
          source = controller;
        },
      });
      const reader = (await client({ observe }).fetch(url, { opik: answering(body) })).body!.getReader();
      const turns: number[] = [];
      for (const text of ["first", "second", "third"]) {
        let hasArrived = false;
        const read = reader.read().then(() => {
          hasArrived = true;
        });
        await new Promise(setImmediate);
        source.enqueue(new TextEncoder().encode(text));
        let waited = 0;
        for (; !hasArrived; waited += 1) await undefined;
        turns.push(waited);
        await read;
      }
      return turns;
    };
    assert.deepEqual(await turnsOf([everything(LLM).observer]), await turnsOf([]));
  });

  test("of 50 MB that are read slowly are pulled one at a time, and shown completely", async () => {
    const chunk = new Uint8Array(64 * 1024).fill(7);
    let [pulled, shown, read] = [0, 0, 0];
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull(controller) {
          pulled += 1;
          if (pulled > 800) controller.close();
          else controller.enqueue(chunk.slice());
        },
      },
      { highWaterMark: 0 },
    );
    const { observer } = everything(LLM, {
      chunk(bytes: Uint8Array) {
        shown += bytes.byteLength;
      },
    });
    const opik = client({ observe: [observer] });
    for await (const bytes of (await opik.fetch(url, { opik: answering(source) })).body!) {
      read += bytes.byteLength;
      assert.equal(pulled, read / chunk.byteLength);
      assert.equal(shown, read);
    }
    assert.equal(read, 800 * chunk.byteLength);
  });

  test("are handed on unchanged, and the chunks of a byte stream, whose buffers are transferred, are too", async () => {
    const given = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    const source = new ReadableStream({
      type: "bytes",
      start(controller) {
        for (const chunk of given) controller.enqueue(chunk);
        controller.close();
      },
    });
    const seen: number[] = [];
    const { observer } = everything(LLM, { chunk: (bytes: Uint8Array) => void seen.push(...bytes) });
    const response = await client({ observe: [observer] }).fetch(url, { opik: answering(source as never) });
    const reader = response.body!.getReader({ mode: "byob" });
    const read: number[] = [];
    for (let next = await reader.read(new Uint8Array(8)); !next.done; next = await reader.read(new Uint8Array(8)))
      read.push(...next.value);
    assert.deepEqual(
      [seen, read],
      [
        [1, 2, 3],
        [1, 2, 3],
      ],
    );
  });

  test("do not exist in an answer without a body or to a HEAD, and the observer still learns of the end", async () => {
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    await opik.fetch(url, { method: "HEAD" });
    await opik.fetch(url, { opik: answering(null, { status: 204 }) });
    assert.deepEqual(told.slice(2), [
      { status: 200, type: "application/json" },
      "done",
      ...[`GET ${url}/`, { body: undefined }, { status: 204, type: null }, "done"],
    ]);
  });
});

describe("an observer's fault is reported once, the call is recorded like every call, and the host has its answer", () => {
  const broken = (): never => {
    throw new Error("broken");
  };
  const rejects = async (): Promise<never> => broken();
  const FAULTS: Record<string, object | (() => unknown)> = {
    "taking throws": broken,
    "taking rejects": rejects,
    "taking returns something else than an observation": () => true,
    "a getter throws": () => ({
      get isForeign() {
        return broken();
      },
    }),
    "the request": { request: broken },
    "the request, by a promise": { request: rejects },
    "the answer": { answer: broken },
    "a chunk": { chunk: broken },
    "a chunk, by a promise": { chunk: rejects },
    "the end": { end: broken },
    "the end, by a promise": { end: rejects },
    "no end": { end: undefined },
    "a record that cannot be read": {
      end: () => ({
        get error() {
          return broken();
        },
      }),
    },
    "a text that is not JSON, and has to be parsed": { end: () => ({ type: "llm", metadata: new JsonText("{") }) },
  };
  for (const [what, fault] of Object.entries(FAULTS)) {
    test(what, async () => {
      const observer = callObserver(
        typeof fault === "function" ? (fault as never) : () => ({ end: () => LLM, ...fault }) as CallObservation,
      );
      const opik = client({ observe: [observer] });
      const isUnread = what.startsWith("a text");
      for (const body of ["one", "two"]) {
        const response = await opik.fetch(url, { method: "POST", body });
        if (isUnread) await response.body!.cancel();
        else assert.equal(JSON.parse(await response.text()).body, body);
      }
      await opik.flush();
      assert.deepEqual(codes(), ["observer_failed"]);
      for (const row of exporter.spans) {
        assert.deepEqual(fields(row, "type", "output", "error_info"), {
          ...{ type: "general", output: { status: 200 }, error_info: undefined },
        });
      }
      assert.equal(exporter.spans.length, 2);
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    });
  }
});

describe("the request's body", () => {
  const text = `{"messages":["größer"]}`;
  const bytes = new TextEncoder().encode(text);
  const long = "x".repeat(MB + 1);
  const form = (): FormData => {
    const data = new FormData();
    data.set("a", "b");
    return data;
  };
  const post = (body: unknown): RequestInit => ({ method: "POST", body, duplex: "half" }) as RequestInit;
  let gets = 0;
  /** Arguments of fetch, and the body that the observer sees. */
  const BODIES: Record<string, [make: () => [string | Request, RequestInit?], told: string | undefined]> = {
    "a string": [() => [url, post(text)], text],
    "a long string": [() => [url, post(long)], long],
    bytes: [() => [url, post(bytes)], text],
    "a part of a buffer": [() => [url, post(new Uint8Array([0, ...bytes, 0]).subarray(1, -1))], text],
    "a buffer": [() => [url, post(bytes.slice().buffer)], text],
    "too many bytes": [() => [url, post(new TextEncoder().encode(long))], undefined],
    nothing: [() => [url, post(undefined)], undefined],
    "a Request's": [() => [new Request(url, post(text))], text],
    "a Request's, with other members": [() => [new Request(url, post(text)), { headers: { a: "b" } }], text],
    "a Request's of 1 MB": [() => [new Request(url, post(long.slice(1)))], long.slice(1)],
    "a Request's of more": [() => [new Request(url, post(long))], undefined],
    "a Request's stream": [() => [new Request(url, post(streamOf(["{", "}"])))], "{}"],
    "in place of a Request's": [() => [new Request(url, post(text)), { body: "other" }], "other"],
    "a Request's Blob": [() => [new Request(url, post(new Blob([text])))], text],
    "a stream": [() => [url, post(streamOf(["{", "}"]))], undefined],
    "a stream in place of a Request's": [() => [new Request(url, post(text)), post(streamOf(["{", "}"]))], undefined],
    "a Blob": [() => [url, post(new Blob([text]))], undefined],
    "a form's": [() => [url, post(form())], undefined],
    URLSearchParams: [() => [url, post(new URLSearchParams({ a: "b" }))], undefined],
    "by a getter, which is called as without us": [
      () => [
        url,
        {
          method: "POST",
          get body() {
            gets += 1;
            return text;
          },
        },
      ],
      undefined,
    ],
    inherited: [() => [url, Object.create(post(text))], undefined],
  };
  const withoutBoundary = ({ headers, body, method }: Wire): Wire => {
    const same = (value = ""): string => value.replace(/-+formdata-undici-\d+/g, "BOUNDARY");
    return { method, headers: { ...headers, "content-type": same(headers["content-type"]) }, body: same(body) };
  };
  for (const [what, [make, expected]] of Object.entries(BODIES)) {
    test(`${what}: the body that the observer sees, and the body that is sent`, async () => {
      const send = async (fetch: (...args: never[]) => Promise<Response>): Promise<Wire> =>
        withoutBoundary((await (await fetch(...(make() as unknown as never[]))).json()) as Wire);
      gets = 0;
      const plain = await send(fetch as never);
      const plainGets = gets;
      gets = 0;
      const { told, observer } = everything(LLM);
      const opik = client({ observe: [observer], propagateTo: [] });
      assert.deepEqual(await send(opik.fetch as never), plain);
      assert.equal(gets, plainGets);
      assert.deepEqual(
        told.filter((what) => typeof what === "object" && "body" in what!),
        [{ body: expected }],
      );
      assert.deepEqual(codes(), []);
    });
  }

  test("is replaced if its observer changes it, and is then a text in `init`", async () => {
    const request = (body = ""): string => `${body}!`;
    const opik = client({ observe: [everything(LLM, { request }).observer], propagateTo: [url] });
    class Init {
      method = "POST";
      body = text;
    }
    const init = Object.freeze({ ...post(text), headers: { a: "b" } });
    const SENT: [RequestInfo, RequestInit | undefined, string][] = [
      [url, init, `${text}!`],
      [url, new Init(), `${text}!`],
      [new Request(url, post("{}")), init, `${text}!`],
      [url, post(bytes), text],
      [new Request(url, post(text)), undefined, text],
    ];
    for (const [input, given, expected] of SENT) {
      const { method, headers, body } = (await (await opik.fetch(input as string, given)).json()) as Wire;
      assert.deepEqual([method, Buffer.from(body, "latin1").toString()], ["POST", expected]);
      assert.equal(headers["a"], given === init ? "b" : undefined);
      assert.ok("opik_trace_id" in headers);
    }
    assert.equal(init.body, text, "the host's own is as it was");
    assert.equal((await opik.fetch(url)).status, 200);
    assert.deepEqual(codes(), []);
  });

  test("of a used Request is not shown, and the platform throws", async () => {
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    const request = new Request(url, post(text));
    await request.text();
    await assert.rejects(opik.fetch(request), TypeError);
    assert.deepEqual(told.slice(1), [{ body: undefined }, "failed"]);
  });

  test("of a Request is read while the call is under way, and no longer", async () => {
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    let given: ReadableStreamDefaultController<Uint8Array> | undefined;
    const cancelled = deferred<unknown>();
    const source = new ReadableStream<Uint8Array>({
      start(c) {
        given = c;
      },
      cancel: cancelled.resolve,
    });
    const request = new Request(url, post(source));
    const via = {
      async fetch(input: string | URL | Request) {
        void (input as Request).body!.cancel();
        return new Response(streamOf(["x"]));
      },
    };
    given!.enqueue(new TextEncoder().encode("{"));
    assert.equal(await (await opik.fetch(request, { opik: { via } })).text(), "x");
    await cancelled.promise; // by both: the platform that took the call, and our reader
    assert.deepEqual(told.at(-1), "done");
    assert.ok(!told.some((what) => typeof what === "object" && "body" in what!), "the end came first");
  });

  test("of a Request is read up to 1 MB", async () => {
    const { observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    let bytes = 0;
    const source = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          bytes += 64 * 1024;
          controller.enqueue(new Uint8Array(64 * 1024));
        },
      },
      { highWaterMark: 0 },
    );
    const answered = deferred<Response>();
    const call = opik.fetch(new Request(url, post(source)), { opik: { via: { fetch: () => answered.promise } } });
    let before = -1;
    while (bytes !== before) {
      before = bytes;
      for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    }
    assert.ok(bytes > MB && bytes <= MB + 3 * 64 * 1024, `${bytes} bytes`);
    answered.resolve(new Response("done"));
    await call;
  });
});

describe("a call that is", () => {
  interface Ended {
    readonly how: unknown;
    readonly row: ExportedRow;
  }
  /** A call whose answer is consumed by `consume`. */
  async function ended(
    record: CallRecord,
    consume: (response: Response, abort: AbortController) => unknown,
    answer: BodyInit = streamOf(["a", "b", "c"]),
    init?: ResponseInit,
  ): Promise<Ended> {
    const { told, observer } = everything({ ...LLM, ...record });
    const opik = client({ observe: [observer] });
    const abort = new AbortController();
    await opik
      .fetch(url, { signal: abort.signal, opik: answering(answer, init) })
      .then((response) => consume(response, abort))
      .catch(() => {});
    return { how: told.at(-1), row: await spanOf(opik) };
  }
  const stop = async (response: Response): Promise<void> => {
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
  };
  const failing = (): ReadableStream<Uint8Array> => {
    let isFirst = true;
    return new ReadableStream(
      {
        pull(controller) {
          if (isFirst) controller.enqueue(Uint8Array.of(97));
          else controller.error(new TypeError("reset"));
          isFirst = false;
        },
      },
      { highWaterMark: 0 },
    );
  };
  const read = (response: Response): Promise<string> => response.text();
  const abortThenStop = async (response: Response, abort: AbortController): Promise<void> => {
    abort.abort();
    await stop(response);
  };
  const NOTHING: [undefined, undefined] = [undefined, undefined];
  const ROWS: [
    what: string,
    record: CallRecord,
    consume: (response: Response, abort: AbortController) => unknown,
    how: string,
    [marks: object | undefined, message: string | undefined],
    answer?: (() => BodyInit) | undefined,
    init?: ResponseInit,
  ][] = [
    ["read to the end", {}, read, "done", NOTHING],
    ["stopped before its end", {}, stop, "stopped", [{ opik_edge_stopped_reading: 1 }, undefined]],
    ["stopped behind the last event", { isComplete: true }, stop, "stopped", NOTHING],
    ["stopped behind an error", { error: new Error("overloaded") }, stop, "stopped", [undefined, "overloaded"]],
    ["broken off", {}, abortThenStop, "cancelled", [{ opik_edge_cancelled: true }, undefined]],
    ["broken off behind the last event", { isComplete: true }, abortThenStop, "cancelled", NOTHING],
    ["failed", {}, read, "failed", [undefined, "reset"], failing],
    ["failed behind the last event", { isComplete: true }, read, "failed", [undefined, "reset"], failing],
    ["failed behind an error", { error: new Error("overloaded") }, read, "failed", [undefined, "overloaded"], failing],
    ["refused, and not read", {}, stop, "stopped", [undefined, "500"], undefined, { status: 500 }],
    [
      "refused with words",
      { error: new Error("quota") },
      read,
      "done",
      [undefined, "quota"],
      undefined,
      { status: 429 },
    ],
  ];
  for (const [what, record, consume, expected, [marks, message], answer, init] of ROWS) {
    test(what, async () => {
      const { how, row } = await ended(record, consume, answer?.(), init);
      assert.equal(how, expected);
      assert.deepEqual(row["metadata"], { temperature: 1, ...marks });
      assert.equal((row["error_info"] as { message?: string } | undefined)?.message, message);
      assert.deepEqual(fields(row, "type", "output", "usage"), fields(LLM as never, "type", "output", "usage"));
    });
  }

  test("not answered at all", async () => {
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    await assert.rejects(opik.fetch("http://127.0.0.1:1/", { method: "POST", body: "{}" }), TypeError);
    assert.equal(told.at(-1), "failed");
    const row = await spanOf(opik);
    assert.deepEqual([row["type"], row["input"]], ["llm", LLM.input]);
    assert.ok(row["error_info"]);
  });

  /**
   * The last reports to an observer, and the row of the call. Only one chunk of its body has been read when its invocation
   * ends, 30 s later.
   */
  async function left(record: CallRecord): Promise<{ told: unknown[]; row: ExportedRow }> {
    const { told, observer } = everything(record);
    const handler = withOpik(
      {
        async fetch(_request: Request, _env: object, _ctx: object) {
          const opik = answering(streamOf(["a", "b"]));
          await (await opikFetch(url, { opik })).body!.getReader().read();
          return new Response();
        },
      },
      () => ({ transport: exporter, observe: [observer], onError: (error) => errors.push(error) }),
    );
    using clock = useFakeClock();
    let held: Promise<unknown> | undefined;
    const ctx = { waitUntil: (promise: Promise<unknown>) => (held = promise) };
    await handler.fetch(new Request("http://host.test/"), {}, ctx);
    await clock.advance(30_000);
    await held;
    return { told: told.slice(-2), row: exporter.spans.find(({ type }) => type === "llm")! };
  }
  const tookMs = (row: ExportedRow): number =>
    Date.parse(row["end_time"] as string) - Date.parse(row["start_time"] as string);

  test("still going on when its invocation ends: the record so far is kept", async () => {
    const { told, row } = await left(LLM);
    assert.deepEqual(told, [{ chunk: "a" }, "unfinished"]);
    assert.deepEqual(row["metadata"], { temperature: 1, opik_edge_unfinished: true });
    assert.deepEqual(row["output"], LLM.output);
  });

  test("complete, or failed by its content, and neither read on nor cancelled: it has ended with its last chunk", async () => {
    for (const record of [
      { ...LLM, isComplete: true },
      { ...LLM, error: new Error("overloaded") },
    ]) {
      exporter.clear();
      const { row } = await left(record);
      assert.deepEqual(row["metadata"], LLM.metadata);
      assert.ok(tookMs(row) < 1000, `${tookMs(row)} ms`);
    }
  });
});

describe("a call under the host's `llm` span", () => {
  const byType = (type: string): ExportedRow[] => exporter.spans.filter((row) => row["type"] === type);
  const usages = (): number => exporter.spans.filter((row) => "usage" in row).length;

  test("gives it its record, beside the host's own fields, and stays an ordinary call", async () => {
    const opik = client({ observe: [everything(LLM).observer] });
    await opik.span({ type: "llm", name: "mine", output: "short", metadata: { a: 1 } }, async (span) => {
      await (await opik.fetch(url, { method: "POST" })).text();
      span.update({ metadata: { temperature: 2 }, usage: { completion_tokens: 20 } });
    });
    await opik.flush();
    const [[held], [call]] = [byType("llm"), byType("general")];
    const { name, model, input, output, metadata, usage } = held!;
    assert.deepEqual(
      { name, model, input, output, metadata, usage },
      {
        ...{ name: "mine", model: "m", input: LLM.input, output: { output: "short" } },
        metadata: { a: 1, temperature: 2 },
        usage: { prompt_tokens: 1, completion_tokens: 20, total_tokens: 3 },
      },
    );
    assert.deepEqual([call!.parent_span_id, call!["output"]], [held!.id, { status: 200 }]);
    assert.deepEqual([usages(), exporter.spans.length], [1, 2]);
  });

  test("gives it JSON texts too, which merge with the host's own fields", async () => {
    const record = { ...LLM, metadata: new JsonText(`{"b":2}`), output: new JsonText(`{"choices":[1]}`) };
    const opik = client({ observe: [everything(record as never).observer] });
    await opik.span({ type: "llm", output: { mine: 1 } }, async (span) => {
      await (await opik.fetch(url)).text();
      span.update({ metadata: { a: 1 } });
    });
    await opik.flush();
    assert.deepEqual(fields(byType("llm")[0]!, "metadata", "output"), {
      ...{ metadata: { a: 1, b: 2 }, output: { choices: [1], mine: 1 } },
    });
  });

  test("is its own `llm` span if another call came before", async () => {
    const opik = client({ observe: [everything(LLM).observer] });
    await opik.span({ type: "llm", name: "mine" }, async (span) => {
      await Promise.all([1, 2, 3].map(async () => (await span.fetch(url)).text()));
    });
    await opik.flush();
    const own = byType("llm").filter(({ name }) => name === "chat");
    assert.deepEqual([own.length, byType("general").length, usages()], [2, 1, 3]);
  });

  test("leaves the record to the next call if it failed, was given up, or its observer failed", async () => {
    let calls = 0;
    const observer = callObserver(() => {
      calls += 1;
      return {
        request: () => calls !== 3,
        chunk() {
          if (calls === 4) throw new Error("broken");
        },
        end: () => (calls === 2 ? { ...LLM, usage: undefined, error: new Error("overloaded") } : LLM),
      };
    });
    const opik = client({ observe: [observer] });
    await opik.span({ type: "llm", name: "mine" }, async () => {
      await (await opik.fetch(`${url}/status/500`)).body!.cancel();
      for (let n = 2; n <= 5; n += 1) await (await opik.fetch(url)).text();
    });
    await opik.flush();
    const [held] = exporter.spans.filter(({ name }) => name === "mine");
    assert.deepEqual([held!["model"], held!["error_info"]], ["m", undefined]);
    const own = byType("llm").filter(({ name }) => name === "chat");
    assert.deepEqual(
      own.map((row) => (row["error_info"] as { message: string }).message),
      ["500 Internal Server Error", "overloaded"],
    );
    assert.equal(byType("general").length, 3);
  });

  test("keeps its record if that span has ended before", async () => {
    const opik = client({ observe: [everything(LLM).observer] });
    const response = await opik.span({ type: "llm", name: "mine" }, async (span) => {
      const answer = await span.fetch(url);
      return { answer };
    });
    await response.answer.text();
    await opik.flush();
    const [held] = exporter.spans.filter(({ name }) => name === "mine");
    assert.deepEqual(["usage" in held!, usages(), byType("general").length], [false, 1, 0]);
  });

  test("has given it its record when its consumer cancels, even before the source has cleaned up", async () => {
    const opik = client({ observe: [everything({ ...LLM, isComplete: true }).observer] });
    const cleanUp = deferred<void>();
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => controller.enqueue(Uint8Array.of(1)),
      cancel: () => cleanUp.promise,
    });
    await opik.span({ type: "llm", name: "mine" }, async () => {
      const reader = (await opik.fetch(url, { opik: answering(source) })).body!.getReader();
      await reader.read();
      void reader.cancel();
    });
    cleanUp.resolve();
    await new Promise(setImmediate);
    await opik.flush();
    const [held] = exporter.spans.filter(({ name }) => name === "mine");
    assert.deepEqual([held!["usage"], usages(), byType("general").length], [LLM.usage, 1, 1]);
  });

  test("gives nothing to a span that is not the nearest", async () => {
    const opik = client({ observe: [everything(LLM).observer] });
    await opik.span({ type: "llm", name: "mine" }, (span) =>
      span.span({ name: "between" }, async () => (await opik.fetch(url)).text()),
    );
    await opik.span({ type: "llm", name: "mine" }, async () =>
      (await opik.fetch(url, { opik: { parent: null } })).text(),
    );
    await opik.flush();
    const held = exporter.spans.filter(({ name }) => name === "mine");
    assert.deepEqual([held.map((row) => row["model"]), usages()], [[undefined, undefined], 2]);
  });

  test("gives its record to the span that `parent` names", async () => {
    const opik = client({ observe: [everything(LLM).observer] });
    const span = opik.span({ type: "llm", name: "mine" });
    await (await opik.fetch(url, { opik: { parent: span } })).text();
    span.end();
    await opik.flush();
    assert.deepEqual(exporter.spans.find(({ name }) => name === "mine")!["usage"], LLM.usage);
  });
});

describe("privacy", () => {
  const texts = (input: string, output: string): CallRecord => ({
    ...LLM,
    input: new JsonText(input),
    output: new JsonText(output),
    metadata: new JsonText(`{"key":"sk-3","prompt_cache_key":"c"}`) as never,
  });

  test("JSON texts are recorded as they are", async () => {
    let sent = "";
    const transport = {
      async fetch(_url: string, { body }: { body: Uint8Array }) {
        sent += Buffer.from(body);
        return new Response(null, { status: 204 });
      },
    };
    const record = texts(`{"messages":[1.0]}`, `{"choices":["\\u00f6\u001f"]}`);
    const opik = client({ observe: [everything(record).observer], transport });
    await (await opik.fetch(url)).text();
    await opik.flush();
    // Control characters between the fields of a row are not valid JSON, and begin no field.
    for (const text of [`{"messages":[1.0]}`, `{"choices":["\\u00f6 "]}`, `{"key":"sk-3","prompt_cache_key":"c"}`])
      assert.ok(sent.includes(text), text);
    assert.deepEqual(codes(), []);
  });

  test("rules apply to their content", async () => {
    const record = texts(`{"messages":["my key is sk-1","b"]}`, `{"choices":[{"password":"p"},"sk-2"]}`);
    const redact = { keys: ["password"], patterns: [/sk-\d/] };
    const opik = client({ observe: [everything(record).observer], redact });
    await (await opik.fetch(url)).text();
    assert.deepEqual(fields(await spanOf(opik), "input", "output", "metadata"), {
      input: { messages: ["my key is [redacted]", "b"] },
      output: { choices: [{ password: "[redacted]" }, "[redacted]"] },
      metadata: { key: "[redacted]", prompt_cache_key: "c" },
    });
  });

  test("inputs and outputs are left out where recording them is off", async () => {
    for (const off of ["recordInputs", "recordOutputs"] as const) {
      exporter.clear();
      const opik = client({ observe: [everything(texts("{}", "{}")).observer], [off]: false });
      await (await opik.fetch(url)).text();
      const row = await spanOf(opik);
      assert.deepEqual(["input" in row, "output" in row], [off !== "recordInputs", off !== "recordOutputs"]);
    }
  });

  test("no value of the host is mistaken for a JSON text", async () => {
    const value = { json: "{}", text: "{}" };
    const opik = client();
    opik.span({ input: value, output: { ...value }, metadata: value }).end();
    assert.deepEqual(fields(await spanOf(opik), "input", "output", "metadata"), {
      ...{ input: value, output: value, metadata: value },
    });
  });
});

describe("trace headers", () => {
  const ask = async (config: OpikConfig, isForeign: boolean, init?: object): Promise<boolean> => {
    const opik = client({ observe: [everything(LLM, { isForeign }).observer], ...config });
    const { headers } = (await (await opik.fetch(url, init)).json()) as Wire;
    return "opik_trace_id" in headers;
  };
  const CALLER = {
    opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
    opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
  };

  test("are not sent to foreign hosts, unless the settings name them", async () => {
    assert.equal(await ask({}, false), true);
    assert.equal(await ask({}, true), false);
    assert.equal(await ask({ propagateTo: [url] }, true), true);
    assert.equal(await ask({ propagateTo: [] }, false), false);
    assert.equal(await ask({}, true, { opik: { propagate: true } }), true);
    assert.equal(await ask({ propagateTo: [url] }, true, { opik: { propagate: false } }), false);
  });

  test("are sent as for every call if the body shows that the observer does not want the call", async () => {
    const observer = callObserver(() => ({ isForeign: true, request: () => false, end: () => LLM }));
    assert.equal(await ask({ observe: [observer] }, true, { method: "POST", body: "{}" }), true);
  });

  test("of a caller are not sent to foreign hosts either, where nothing is recorded", async () => {
    const init = { opik: { parent: CALLER } };
    assert.equal(await ask({ disabled: true }, false, init), true);
    assert.equal(await ask({ disabled: true }, true, init), false);
  });
});

describe("instrumentFetch", () => {
  test("traces the calls inside a span, with that span's settings, and leaves all others alone", async () => {
    const platform = globalThis.fetch;
    const [one, two] = [everything({ type: "llm", name: "one" }), everything({ type: "llm", name: "two" })];
    const clients = [client({ observe: [one.observer] }), client({ observe: [two.observer], propagateTo: [url] })];
    const stop = instrumentFetch();
    try {
      assert.notEqual(globalThis.fetch, platform);
      assert.equal(globalThis.fetch.name, "fetch");
      const stopAgain = instrumentFetch();
      stopAgain();
      const ask = async (): Promise<Wire> => (await globalThis.fetch(`${url}/sdk`)).json() as Promise<Wire>;
      const inSpan = (opik: ReturnType<typeof client>) =>
        opik.span({ name: "work" }, async () => {
          await ask();
          return ask();
        });
      const [alone, first, second] = await Promise.all([ask(), inSpan(clients[0]!), inSpan(clients[1]!)]);
      const hasHeaders = ({ headers }: Wire): boolean => "opik_trace_id" in headers;
      assert.deepEqual([alone, first, second].map(hasHeaders), [false, false, true]);
      await clients[0]!.span({ name: "work" }, async () => (await clients[0]!.fetch(url)).text());
    } finally {
      stop();
    }
    assert.equal(globalThis.fetch, platform);
    await Promise.all(clients.map((opik) => opik.flush()));
    const names = exporter.spans.map(({ name }) => name).sort();
    assert.deepEqual(names, ["one", "one", "one", "two", "two", "work", "work", "work"]);
    const roots = new Set(exporter.spans.filter(({ name }) => name === "work").map(({ id }) => id));
    for (const row of exporter.spans.filter(({ name }) => name === "two")) assert.ok(roots.has(row.parent_span_id!));
  });

  test("calls the previous `fetch`, even the host's, and changes no argument and no answer", async () => {
    const platform = globalThis.fetch;
    const seen: unknown[][] = [];
    const answer = new Response("mine");
    globalThis.fetch = (async (...args: unknown[]) => {
      seen.push(args);
      return answer;
    }) as typeof fetch;
    try {
      const stop = instrumentFetch();
      const init = { headers: { a: "b" } };
      assert.equal(await globalThis.fetch("http://host.test/", init), answer);
      await client().span({}, () => globalThis.fetch("http://host.test/", init));
      assert.deepEqual(seen, [
        ["http://host.test/", init],
        ["http://host.test/", init],
      ]);
      assert.equal(seen[1]![1], init, "nothing is added where no headers are");
      stop();
    } finally {
      globalThis.fetch = platform;
    }
  });

  test("traces a call once and passes it on, also when the host has wrapped it", async () => {
    const platform = globalThis.fetch;
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    globalThis.fetch = async () => new Response("mine");
    try {
      const stop = instrumentFetch();
      const ours = globalThis.fetch;
      globalThis.fetch = (...args) => ours(...args);
      const answer = await opik.span({}, () => opik.fetch("http://host.test/"));
      assert.deepEqual([await answer.text(), told.at(-1)], ["mine", "done"]);
      await opik.flush();
      assert.equal(exporter.spans.length, 2);
      stop();
    } finally {
      globalThis.fetch = platform;
    }
  });

  test("traces nothing in a span that has no ids", async () => {
    const stop = instrumentFetch();
    try {
      const { told, observer } = everything(LLM);
      const opik = client({ disabled: true, observe: [observer] });
      await opik.span({}, async () => (await globalThis.fetch(url)).text());
      assert.deepEqual(told, []);
    } finally {
      stop();
    }
  });

  test("works for `span` of the package as well", async () => {
    const stop = instrumentFetch();
    const { told, observer } = everything(LLM);
    const opik = client({ observe: [observer] });
    try {
      await opik.span({}, () => openSpan({ name: "inner" }, async () => (await globalThis.fetch(url)).text()));
      assert.equal(told.at(-1), "done");
    } finally {
      stop();
    }
  });
});
