// Records calls to models with `llm()`, for the fixtures of tests/vectors/llm, and checks that the calls do not notice.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Opik, type OpikConfig, fetch as opikFetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm, observeAi } from "opik-edge/llm";
import { type ExportedRow, useFakeClock } from "opik-edge/testing";
import { inPieces, type ModelFixture, modelFixtures } from "../support/model-fixtures.js";
import { client, codes, errors, exporter } from "../support/recording.js";

const CHAT = "https://api.openai.com/v1/chat/completions";
const HI = { model: "gpt-4.1-mini", messages: [{ role: "user", content: "Hi" }], stream: true };
const EVENTS = { "content-type": "text/event-stream" };

/** A Worker's handler, as its platform calls it. */
type Fetched = (request: Request, env: unknown, ctx: unknown) => Promise<Response>;

/** A request that the model's host received. */
interface Sent {
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

/** An answer in pieces. Reading it pulls them. */
function streamOf(pieces: Iterable<Uint8Array | string>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.iterator]();
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const { done, value } = iterator.next();
        if (done) controller.close();
        else controller.enqueue(typeof value === "string" ? new TextEncoder().encode(value) : value);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Stands for a provider, because the tests cannot call a real one: it keeps its requests and gives the answer. */
function provider(answer: () => Response): { sent: Sent[]; fetch: typeof fetch } {
  const sent: Sent[] = [];
  return {
    sent,
    async fetch(input, init) {
      const request = new Request(input, init);
      sent.push({ url: request.url, headers: request.headers, body: await request.text() });
      return answer();
    },
  };
}

function answering(pieces: Iterable<Uint8Array | string>, init: ResponseInit = { headers: EVENTS }): () => Response {
  return () => new Response(streamOf(pieces), init);
}

/** A client that records its calls to models. */
function observing(config: OpikConfig = {}): Opik {
  return client({ observe: [llm()], ...config });
}

async function call(
  opik: Opik,
  answer: () => Response,
  consume: (response: Response) => unknown = (response) => response.arrayBuffer(),
  { url = CHAT, body = HI as unknown, ...init }: { url?: string; body?: unknown } & Omit<RequestInit, "body"> = {},
): Promise<{ span: ExportedRow; sent: Sent }> {
  const via = provider(answer);
  await opik.span({ name: "root" }, async (root) => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    await consume(await root.fetch(url, { method: "POST", body: text, ...init, opik: { via } }));
  });
  await opik.flush();
  const span = exporter.spans.find(({ name }) => name !== "root");
  return { span: span!, sent: via.sent[0]! };
}

/** The members of a span that `expected` of a fixture names. */
function seen(span: ExportedRow, { expected }: ModelFixture): Record<string, unknown> {
  const error = span["error_info"] as { exception_type?: string; message?: string } | undefined;
  const own: Record<string, unknown> = {
    ...span,
    error_type: error?.exception_type,
    error_message: error?.message,
    has_first_token: span["ttft"] !== undefined,
    has_failed: error !== undefined,
  };
  return Object.fromEntries(
    Object.entries(expected).map(([field, value]) => {
      if (field !== "metadata") return [field, own[field] ?? null];
      const members = Object.keys(value as object).map((key) => [key, (own["metadata"] as never)?.[key] ?? null]);
      return [field, Object.fromEntries(members)];
    }),
  );
}

function failureOf(span: ExportedRow): unknown[] {
  const { exception_type, message } = span["error_info"] as Record<string, unknown>;
  return [exception_type, message];
}

function expectedOf({ expected: { is_complete: _, ...expected } }: ModelFixture): Record<string, unknown> {
  return expected;
}

describe("a fixture in pieces of any size is recorded as described, and reaches its consumer", () => {
  for (const fixture of modelFixtures().filter(({ url }) => url)) {
    test(fixture.name, async () => {
      for (const size of [1, 7, 64, fixture.answer.length || 1]) {
        exporter.clear();
        const { status, headers, answer, url, request } = fixture;
        let read: Uint8Array | undefined;
        const { span } = await call(
          observing(),
          answering(inPieces(answer, size), { status, headers }),
          async (response) => {
            assert.equal(response.status, status);
            read = new Uint8Array(await response.arrayBuffer());
          },
          { url: url!, body: request },
        );
        assert.deepEqual(Buffer.from(read!), answer);
        assert.equal(span["type"], "llm");
        assert.deepEqual(seen(span, { ...fixture, expected: expectedOf(fixture) }), expectedOf(fixture));
        assert.deepEqual(codes(), []);
      }
    });
  }
});

test("llm() gives the same observer for the same options", () => {
  assert.equal(llm(), llm({}));
  assert.equal(llm({ providers: { a: "openai", b: "groq" } }), llm({ providers: { b: "groq", a: "openai" } }));
  assert.notEqual(llm(), llm({ includeUsage: true }));
  assert.notEqual(llm({ providers: { a: "openai" } }), llm({ providers: { a: "groq" } }));
});

describe("calls that are recorded as calls to models", () => {
  const ordinary = { type: "general", name: "POST app.example/v1/chat/completions" };
  const cases: [what: string, url: string, body: unknown, expected: Record<string, unknown>][] = [
    [
      "a host that nobody knows, with a body that fits",
      "https://app.example/v1/chat/completions",
      HI,
      { type: "llm", provider: "app.example" },
    ],
    ["a host that nobody knows, with another body", "https://app.example/v1/chat/completions", { room: 1 }, ordinary],
    ["a host that nobody knows, with no JSON", "https://app.example/v1/chat/completions", "hello", ordinary],
    ["another path", "https://api.openai.com/v1/files", HI, { type: "general", name: "POST api.openai.com/v1/files" }],
    ["a path with a slash behind it and a query", `${CHAT}/?api-version=1`, HI, { type: "llm", provider: "openai" }],
    [
      "a host that the user names",
      "http://llm.internal:8080/v1/chat/completions",
      HI,
      { type: "llm", provider: "groq" },
    ],
  ];
  for (const [what, url, body, expected] of cases) {
    test(what, async () => {
      const opik = observing({ observe: [llm({ providers: { "LLM.internal": "groq" } })] });
      const { span } = await call(opik, answering(["data: [DONE]\n\n"]), undefined, { url, body });
      const actual = Object.fromEntries(Object.keys(expected).map((key) => [key, span[key] ?? "general"]));
      assert.deepEqual(actual, expected);
      assert.deepEqual(codes(), []);
    });
  }

  test("a GET is not recorded as a call to a model", async () => {
    const opik = observing();
    const via = provider(() => Response.json({}));
    await opik.span({ name: "root" }, (root) => root.fetch(CHAT, { opik: { via } }));
    await opik.flush();
    assert.ok(exporter.spans.every(({ type }) => type !== "llm"));
  });

  test("a body that cannot be read is recorded for a known host, without input", async () => {
    const stream = { body: streamOf([JSON.stringify(HI)]), duplex: "half" };
    for (const [url, type] of [
      [CHAT, "llm"],
      ["https://app.example/v1/chat/completions", "general"],
    ] as const) {
      exporter.clear();
      const opik = observing();
      const via = provider(answering(["data: [DONE]\n\n"]));
      await opik.span({ name: "root" }, async (root) => {
        const init = { method: "POST", ...stream, body: streamOf([JSON.stringify(HI)]), opik: { via } };
        await (await root.fetch(url, init as never)).text();
      });
      await opik.flush();
      const span = exporter.spans.find(({ name }) => name !== "root")!;
      assert.equal(span["type"] ?? "general", type);
      if (type === "llm") assert.equal(span["input"], undefined);
      assert.equal(via.sent[0]!.body, JSON.stringify(HI));
    }
  });

  test("the body of a Request is read too", async () => {
    const opik = observing();
    const via = provider(answering(['data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n', "data: [DONE]\n\n"]));
    await opik.span({ name: "root" }, async (root) => {
      const request = new Request("https://app.example/v1/chat/completions", {
        method: "POST",
        body: JSON.stringify(HI),
      });
      const response = await root.fetch(request, { opik: { via } });
      await new Promise((resolve) => setImmediate(resolve));
      await response.text();
    });
    await opik.flush();
    const span = exporter.spans.find(({ name }) => name !== "root")!;
    assert.deepEqual([span["type"], span["input"]], ["llm", { messages: HI.messages }]);
  });
});

describe("trace headers", () => {
  const cases: [what: string, url: string, config: OpikConfig, expected: boolean][] = [
    ["a provider gets no headers", CHAT, {}, false],
    ["an AI Gateway gets no headers", "https://gateway.ai.cloudflare.com/v1/a/g/openai/chat/completions", {}, false],
    ["a provider that propagateTo names gets them", CHAT, { propagateTo: ["https://api.openai.com"] }, true],
    ["the host's own model server gets them", "https://app.example/v1/chat/completions", {}, true],
    [
      "and so does a server that `providers` names",
      "https://llm.internal/v1/chat/completions",
      { observe: [llm({ providers: { "llm.internal": "openai" } })] },
      true,
    ],
    ["an application's own path is not a model's", "https://app.example/responses", {}, true],
  ];
  for (const [what, url, config, expected] of cases) {
    test(what, async () => {
      const { sent } = await call(observing(config), answering(["data: [DONE]\n\n"]), undefined, { url });
      assert.equal(sent.headers.has("opik_trace_id"), expected);
    });
  }

  test("a call with `propagate` carries them", async () => {
    const opik = observing();
    const via = provider(answering(["data: [DONE]\n\n"]));
    await opik.span({ name: "root" }, async (root) => {
      const init = { method: "POST", body: JSON.stringify(HI), opik: { via, propagate: true } };
      await (await root.fetch(CHAT, init)).text();
    });
    assert.equal(via.sent[0]!.headers.has("opik_trace_id"), true);
  });
});

describe("includeUsage", () => {
  const body = `{ "model": "m", "seed": 9007199254740993, "stream": true }`;
  const cases: [what: string, url: string, body: string, sent: string][] = [
    ["asks for usage of a stream", CHAT, body, body.replace(" }", ' ,"stream_options":{"include_usage":true}}')],
    [
      "leaves a call with its own options alone",
      CHAT,
      `{"stream":true,"stream_options":{}}`,
      `{"stream":true,"stream_options":{}}`,
    ],
    ["leaves a call without a stream alone", CHAT, `{"stream":false}`, `{"stream":false}`],
    ["leaves other formats alone", "https://api.openai.com/v1/responses", body, body],
  ];
  for (const [what, url, given, expected] of cases) {
    test(what, async () => {
      const opik = observing({ observe: [llm({ includeUsage: true })] });
      const { sent } = await call(opik, answering(["data: [DONE]\n\n"]), undefined, { url, body: given });
      assert.equal(sent.body, expected);
      assert.deepEqual(codes(), []);
    });
  }

  test("without includeUsage a call is sent unchanged", async () => {
    const { sent } = await call(observing(), answering(["data: [DONE]\n\n"]), undefined, { body });
    assert.equal(sent.body, body);
  });
});

describe("the end of a call", () => {
  const text = (content: string) => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
  const failure = `data: {"error":{"message":"boom","type":"server_error"}}\n\n`;
  const said = (content: string) => ({ choices: [{ index: 0, message: { role: "assistant", content } }] });
  const readSome = (count: number) => async (response: Response) => {
    const reader = response.body!.getReader();
    for (let n = 0; n < count; n += 1) await reader.read();
    await reader.cancel();
  };

  test("a consumer that stops after the end has read everything", async () => {
    const { span } = await call(observing(), answering([text("Hello"), "data: [DONE]\n\n", "more"]), readSome(2));
    assert.deepEqual([span["output"], span["error_info"]], [said("Hello"), undefined]);
    assert.ok(!/opik_edge_(stopped|cancelled)/.test(JSON.stringify(span["metadata"])));
  });

  test("a consumer that stops early is recorded as stopped, with the output so far", async () => {
    const { span } = await call(observing(), answering([text("Hel"), text("lo"), "data: [DONE]\n\n"]), readSome(1));
    assert.deepEqual(span["output"], said("Hel"));
    assert.match(JSON.stringify(span["metadata"]), /opik_edge_stopped_reading/);
  });

  test("an aborted call is recorded as cancelled, with the output so far", async () => {
    const controller = new AbortController();
    const { span } = await call(
      observing(),
      answering([text("Hel"), text("lo"), "data: [DONE]\n\n"]),
      async (response) => {
        const reader = response.body!.getReader();
        await reader.read();
        controller.abort();
        await reader.cancel();
      },
      { signal: controller.signal },
    );
    assert.deepEqual(span["output"], said("Hel"));
    assert.match(JSON.stringify(span["metadata"]), /opik_edge_cancelled/);
  });

  test("an error event is the error, whatever the consumer does afterwards", async () => {
    const { span } = await call(observing(), answering([text("Hel"), failure, text("lo")]), readSome(2));
    assert.deepEqual(span["output"], said("Hel"));
    assert.deepEqual(failureOf(span), ["server_error", "boom"]);
    assert.ok(!/opik_edge_(stopped|cancelled)/.test(JSON.stringify(span["metadata"])));
  });

  test("a failing status is the error, with the message of the body if the consumer reads it", async () => {
    const refused = { status: 429, headers: { "content-type": "application/json" } };
    const body = `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`;
    const read = await call(observing(), answering([body], refused));
    assert.deepEqual(failureOf(read.span), ["requests", "slow down"]);
    exporter.clear();
    const unread = await call(observing(), answering([body], refused), (response) => response.body!.cancel());
    assert.deepEqual(failureOf(unread.span), ["HTTP 429", undefined]);
  });

  test("a connection that breaks is the error, with the output so far", async () => {
    const broken = () => {
      let count = 0;
      const stream = new ReadableStream<Uint8Array>({
        pull(controller) {
          count += 1;
          if (count === 1) controller.enqueue(new TextEncoder().encode(text("Hel")));
          else controller.error(new TypeError("terminated"));
        },
      });
      return new Response(stream, { headers: EVENTS });
    };
    const { span } = await call(observing(), broken, (response) => assert.rejects(response.text(), /terminated/));
    assert.deepEqual(span["output"], said("Hel"));
    assert.deepEqual(failureOf(span), ["TypeError", "terminated"]);
  });

  test("a call without an answer has the network's error", async () => {
    const opik = observing();
    const via = { fetch: () => Promise.reject(new TypeError("fetch failed")) };
    await opik.span({ name: "root" }, (root) =>
      assert.rejects(root.fetch(CHAT, { method: "POST", body: JSON.stringify(HI), opik: { via } }), /fetch failed/),
    );
    await opik.flush();
    const span = exporter.spans.find(({ name }) => name !== "root")!;
    assert.deepEqual([span["type"], span["model"], span["input"]], ["llm", "gpt-4.1-mini", { messages: HI.messages }]);
    assert.deepEqual(failureOf(span), ["TypeError", "fetch failed"]);
  });
});

describe("privacy", () => {
  test("rules see the joined text: a secret that is split between chunks is found", async () => {
    const opik = observing({ redact: { patterns: [/sk-\w+/g] } as never });
    const halves = ["sk-sec", "ret42"].map((content) => `data: {"choices":[{"delta":{"content":"${content}"}}]}\n\n`);
    const body = { ...HI, messages: [{ role: "user", content: "my key is sk-abc" }] };
    const { span } = await call(opik, answering([...halves, "data: [DONE]\n\n"]), undefined, { body });
    assert.doesNotMatch(JSON.stringify(span), /sk-|ret42/);
  });

  test("recordInputs and recordOutputs are respected", async () => {
    const opik = observing({ recordInputs: false, recordOutputs: false });
    const { span } = await call(opik, answering(['data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n']));
    assert.deepEqual([span["type"], span["input"], span["output"]], ["llm", undefined, undefined]);
    assert.doesNotMatch(JSON.stringify(span), /Hello|"Hi"/);
  });

  test("no key in a URL, a header or a gateway's entry is recorded", async () => {
    const opik = observing();
    const body = [
      { provider: "openai", endpoint: "chat/completions", headers: { authorization: "Bearer SECRET" }, query: HI },
    ];
    await call(opik, answering(["data: [DONE]\n\n"]), undefined, {
      url: "https://gateway.ai.cloudflare.com/v1/a/g?key=SECRET",
      headers: { authorization: "SECRET" },
      body,
    });
    const key = "https://generativelanguage.googleapis.com/v1/models/g:generateContent?key=SECRET";
    await call(opik, answering(["{}"]), undefined, { url: key, body: { contents: [] } });
    assert.equal(exporter.spans.filter(({ type }) => type === "llm").length, 2);
    assert.doesNotMatch(JSON.stringify(exporter.spans), /SECRET/);
  });
});

describe("bounds", () => {
  test("a stream of 50 MB is not read ahead, and 256 KB of text are kept", async () => {
    const event = `data: {"choices":[{"index":0,"delta":{"content":"${"x".repeat(64 * 1024)}"}}]}\n\n`;
    let pulled = 0;
    function* events(): Generator<string> {
      for (; pulled < 800; ) {
        pulled += 1;
        yield event;
      }
      yield "data: [DONE]\n\n";
    }
    const opik = observing();
    const { span } = await call(opik, answering(events()), async (response) => {
      const reader = response.body!.getReader();
      for (let read = 1; !(await reader.read()).done; read += 1) assert.ok(pulled <= read, `${pulled} of ${read}`);
    });
    const kept = JSON.stringify(span["output"]).length;
    assert.ok(kept > 100_000 && kept < 300_000, `${kept}`);
    assert.equal((span["metadata"] as Record<string, unknown>)["opik_edge_llm"], "cut");
  });

  test("each of a thousand concurrent calls has its record", async () => {
    const opik = observing({ limits: { bufferBytes: 8 * 1024 * 1024 } });
    const event = (content: string) => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
    await opik.span({ name: "root" }, async (root) => {
      const readers = await Promise.all(
        Array.from({ length: 1000 }, async (_, n) => {
          const via = provider(answering([event(`a${n}`), event(`b${n}`), "data: [DONE]\n\n"]));
          const response = await root.fetch(CHAT, { method: "POST", body: JSON.stringify(HI), opik: { via } });
          return response.body!.getReader();
        }),
      );
      for (let round = 0; round < 4; round += 1) await Promise.all(readers.map((reader) => reader.read()));
    });
    await opik.flush();
    const contents = exporter.spans
      .filter(({ type }) => type === "llm")
      .map(({ output }) => (output as { choices: [{ message: { content: string } }] }).choices[0].message.content);
    assert.deepEqual(contents.sort(), Array.from({ length: 1000 }, (_, n) => `a${n}b${n}`).sort());
    assert.deepEqual(codes(), []);
  });
});

describe("known bugs of other tools", () => {
  const text = (content: string) => `data: {"model":"m","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
  const usage = `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n`;
  const said = (content: string) => ({ choices: [{ index: 0, message: { role: "assistant", content } }] });

  test("a span lasts as long as its stream, and knows when the first token came (mlflow#25410)", async () => {
    using clock = useFakeClock();
    clock.freeze();
    const pieces = function* (): Generator<string> {
      yield text("Hel");
      yield text("lo");
      yield "data: [DONE]\n\n";
    };
    const { span } = await call(observing(), answering(pieces()), async (response) => {
      const reader = response.body!.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) await clock.advance(100);
    });
    const lasted = Date.parse(`${span["end_time"]}`) - Date.parse(`${span["start_time"]}`);
    assert.ok(lasted >= 300, `${lasted} ms`);
    assert.deepEqual([span["output"], span["ttft"]], [said("Hello"), 0]);
  });

  test("a stream that outlives the 30 s of waitUntil has its row (sentry-javascript#20409)", async () => {
    using clock = useFakeClock();
    const via = provider(answering([text("Hel"), text("lo"), usage]));
    const handler = withOpik(
      {
        async fetch(): Promise<Response> {
          const init = { method: "POST", body: JSON.stringify(HI), opik: { via } };
          return new Response((await opikFetch(CHAT, init)).body);
        },
      },
      () => ({ transport: exporter, observe: [llm()], onError: (error) => errors.push(error) }),
    );
    const held: Promise<unknown>[] = [];
    const ctx = { waitUntil: (promise: Promise<unknown>) => void held.push(promise) };
    const response = await (handler.fetch as Fetched)(new Request("http://host.test/"), {}, ctx);
    const reader = response.body!.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) await clock.advance(20_000);
    await Promise.all(held);
    const row = exporter.spans.find(({ type }) => type === "llm")!;
    assert.deepEqual([row["output"], (row["usage"] as { total_tokens: number }).total_tokens], [said("Hello"), 3]);
  });

  test("a call in waitUntil, after the answer, is delivered (sentry-javascript#23427)", async () => {
    const via = provider(answering([text("Hello"), "data: [DONE]\n\n"]));
    const held: Promise<unknown>[] = [];
    const ctx = { waitUntil: (promise: Promise<unknown>) => void held.push(promise) };
    const handler = withOpik(
      {
        async fetch(_request: Request, _env: unknown, given: typeof ctx): Promise<Response> {
          const later = async (): Promise<void> => {
            await new Promise((resolve) => setImmediate(resolve));
            const init = { method: "POST", body: JSON.stringify(HI), opik: { via } };
            await (await opikFetch(CHAT, init)).text();
          };
          given.waitUntil(later());
          return new Response("at once");
        },
      },
      () => ({ transport: exporter, observe: [llm()] }),
    );
    const response = await (handler.fetch as Fetched)(new Request("http://host.test/"), {}, ctx);
    assert.equal(await response.text(), "at once");
    for (const promise of held) await promise;
    assert.deepEqual(exporter.spans.find(({ type }) => type === "llm")?.["output"], said("Hello"));
  });

  test("an aborted call leaves no rejection behind (langsmith-sdk#2023)", async () => {
    const unhandled: unknown[] = [];
    const noticed = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", noticed);
    const controller = new AbortController();
    const endless = () => {
      const body = new ReadableStream<Uint8Array>({
        start(stream) {
          stream.enqueue(new TextEncoder().encode(text("Hel")));
          controller.signal.addEventListener("abort", () => stream.error(controller.signal.reason));
        },
      });
      return new Response(body, { headers: EVENTS });
    };
    const { span } = await call(
      observing(),
      endless,
      async (response) => {
        const reader = response.body!.getReader();
        await reader.read();
        controller.abort();
        await assert.rejects(reader.read(), { name: "AbortError" });
      },
      { signal: controller.signal },
    );
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", noticed);
    assert.deepEqual([unhandled, span["output"]], [[], said("Hel")]);
    assert.match(JSON.stringify(span["metadata"]), /opik_edge_cancelled/);
  });

  test("under the host's llm span, usage is recorded once (opik#7177)", async () => {
    const opik = observing();
    const via = provider(answering([text("Hello"), usage, "data: [DONE]\n\n"]));
    await opik.span({ name: "mine", type: "llm", model: "my name" }, async (mine) => {
      await (await mine.fetch(CHAT, { method: "POST", body: JSON.stringify(HI), opik: { via } })).text();
    });
    await opik.flush();
    const mine = exporter.spans.find(({ name }) => name === "mine")!;
    const [own] = exporter.spans.filter(({ name }) => name !== "mine");
    assert.deepEqual([mine["model"], mine["provider"], mine["output"]], ["my name", "openai", said("Hello")]);
    assert.equal((mine["usage"] as { total_tokens: number }).total_tokens, 3);
    assert.deepEqual(
      [own!["type"] ?? "general", own!["usage"], own!["output"]],
      ["general", undefined, { status: 200 }],
    );
    // The host's own counts are not mixed with the call's counts.
    exporter.clear();
    const counted = opik.span({ name: "counted", type: "llm", usage: { prompt_tokens: 9 } });
    const again = provider(answering([text("Hello"), usage, "data: [DONE]\n\n"]));
    await (await counted.fetch(CHAT, { method: "POST", body: JSON.stringify(HI), opik: { via: again } })).text();
    counted.end();
    await opik.flush();
    assert.deepEqual(exporter.spans.find(({ name }) => name === "counted")!["usage"], { prompt_tokens: 9 });
  });
});

describe("a binding of Workers AI", () => {
  /** A binding whose `run` calls `inputs.do`. */
  class Ai {
    readonly #own = "private";
    aiGatewayLogId: unknown = null;
    async run(_model: unknown, inputs: { do?: () => unknown }, _options?: object): Promise<unknown> {
      return this.#own && inputs.do?.();
    }
  }
  const throwing = (thrown: unknown) => () => {
    throw thrown;
  };
  const unreadable = Object.defineProperty(new Error("x"), "message", { get: throwing(new Error("its message")) });
  const coded = Object.assign(new Error("No such model"), { code: 5007 });

  /** Calls `run` and returns its result, or the thrown error, and its span. */
  async function run(
    args: unknown[],
    observe = true,
    ai = new Ai(),
  ): Promise<{ given: unknown; span: ExportedRow | undefined }> {
    exporter.clear();
    const opik = observing();
    if (observe) observeAi(ai);
    const given = await opik.span({ name: "root" }, () =>
      (ai.run as (...all: unknown[]) => Promise<unknown>)(...args).catch((thrown: unknown) => ({ thrown })),
    );
    await opik.flush();
    return { given, span: exporter.spans.find(({ name }) => name !== "root") };
  }

  const answer = { response: "Hello" };
  const cases: [what: string, args: unknown[], type: string][] = [
    ["an object", ["@cf/m", { do: () => answer }], "llm"],
    ["nothing", ["@cf/m", { do: () => undefined }], "llm"],
    ["an error with a code in its message", ["@cf/m", { do: throwing(new Error("5007: No such model")) }], "llm"],
    ["an error with a code beside it", ["@cf/m", { do: throwing(coded) }], "llm"],
    ["an error that aborts the call", ["@cf/m", { do: throwing(new DOMException("x", "AbortError")) }], "llm"],
    ["an error that cannot be read", ["@cf/m", { do: throwing(unreadable) }], "llm"],
    ["no error", ["@cf/m", { do: throwing(undefined) }], "llm"],
    ["no arguments", [], "general"],
    ["a model that is not a text", [Symbol("m"), { do: () => answer }], "none"],
    [
      "options that cannot be read",
      [
        "@cf/m",
        { do: () => answer },
        {
          get websocket() {
            throw new Error("x");
          },
        },
      ],
      "none",
    ],
    [
      "inputs that cannot be read",
      [
        "@cf/m",
        {
          do: () => answer,
          get messages() {
            throw new Error("x");
          },
        },
      ],
      "llm",
    ],
  ];
  for (const [what, args, type] of cases) {
    test(`${what}: the result is the same as without observation`, async () => {
      const { given: expected } = await run(args, false);
      const { given, span } = await run(args);
      assert.deepEqual(given, expected);
      if (typeof expected === "object" && args.length > 0) {
        assert.equal(Object.values(given as object)[0], Object.values(expected as object)[0], "the same");
      }
      if (type === "none") assert.equal(span, undefined);
      else assert.ok(span, "there is a span");
    });
  }

  test("a failure has the code of the provider, and a DOMException has its name instead", async () => {
    const failure = async (thrown: unknown) => failureOf((await run(["@cf/m", { do: throwing(thrown) }])).span!);
    assert.deepEqual(await failure(coded), ["5007", "No such model"]);
    assert.deepEqual(await failure(new Error("3040: Capacity")), ["3040", "Capacity"]);
    assert.deepEqual((await failure(new DOMException("x", "AbortError")))[0], "AbortError");
  });

  test("a log's id that cannot be read does no harm", async () => {
    const ai = Object.defineProperty(new Ai(), "aiGatewayLogId", { get: throwing(new Error("x")) });
    const { given, span } = await run(["@cf/m", { do: () => answer }], true, ai);
    assert.deepEqual([given, span!["type"]], [answer, "llm"]);
  });

  test("a frozen binding stays as it is, and observing twice changes nothing", async () => {
    const frozen: Ai = Object.freeze(new Ai()) as Ai;
    assert.equal(observeAi(frozen), frozen);
    assert.equal((await run(["@cf/m", { do: () => answer }], true, frozen)).span, undefined);
    const ai = observeAi(new Ai());
    const { run: replaced } = ai;
    assert.equal(observeAi(ai).run, replaced);
  });
});

test("the package's own `fetch` records as well", async () => {
  const opik = observing();
  const via = provider(answering(["data: [DONE]\n\n"]));
  await opik.span({ name: "root" }, async () => {
    const init = { method: "POST", body: JSON.stringify(HI), opik: { via } };
    await (await opikFetch(CHAT, init)).text();
  });
  await opik.flush();
  assert.deepEqual(exporter.spans.map(({ name }) => name).sort(), ["chat gpt-4.1-mini", "root"]);
  assert.deepEqual(errors, []);
});
