// Services that know nothing of tracing, with the three components around them: they run in `wasmtime serve`, and a real collector
// takes their rows.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { closeAll } from "../support/closing.js";
import { type Collector, type StoredRow, startCollector } from "../support/collector.js";
import { startExample } from "../support/example.js";
import type { Faults } from "../support/faults.js";
import { type ModelFixture, modelFixtures } from "../support/model-fixtures.js";
import { PYTHON, QUIET, startPython } from "../support/python.js";
import { recordSuite } from "../support/versions.js";
import { ROOT } from "../support/worker.js";
import { traced } from "./compose.js";
import { BUILT, type Served, serve, wasmtimeVersion } from "./serve.js";

recordSuite("component", "wasmtime (three parts)", wasmtimeVersion);

const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const KEY = "opik-key-1";
const QUESTION = { messages: [{ role: "user", content: "What is a span?" }] };
const ANSWER = {
  model: "gpt-4.1-mini-2025-04-14",
  choices: [{ index: 0, message: { role: "assistant", content: "A part of a trace." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 },
};

/** A model by OpenAI's API, and the services that are called. It answers as the test says. */
interface Peer {
  readonly host: string;
  readonly requests: { path: string; headers: IncomingMessage["headers"]; body: string }[];
  /** Answers the next requests. */
  answer: ((body: string) => Answer) | undefined;
  close(): void;
}
interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly pieces: Iterable<string | Uint8Array>;
  /** Holds each piece back until it resolves. */
  readonly gate?: () => Promise<unknown>;
}

function sse(events: readonly object[]): string[] {
  return [...events.map((event) => `data: ${JSON.stringify(event)}\n\n`), "data: [DONE]\n\n"];
}

function model(body: string): Answer {
  if (!body.includes('"stream":true')) return { pieces: [JSON.stringify(ANSWER)] };
  const { model, usage } = ANSWER;
  const deltas = ["A part", " of a trace."].map((content) => ({ model, choices: [{ index: 0, delta: { content } }] }));
  const last = { model, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };
  return {
    headers: { "content-type": "text/event-stream" },
    pieces: sse([...deltas, last, { model, choices: [], usage }]),
  };
}

async function startPeer(): Promise<Peer> {
  const requests: Peer["requests"] = [];
  const server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    requests.push({ path: request.url!, headers: request.headers, body });
    const { status = 200, headers, pieces, gate } = (peer.answer ?? model)(body);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    for (const piece of pieces) {
      if (response.destroyed) break;
      if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
      await gate?.();
    }
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer: Peer = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answer: undefined,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return peer;
}

let collector: Collector;
let fault: Faults | undefined;
let peer: Peer;
let rust: Served;
before(async () => {
  collector = await startCollector({ fault: (request) => (typeof fault === "function" ? fault(request) : fault) });
  peer = await startPeer();
  rust = await serve(await traced(join(BUILT, "apps/rust-service.wasm"), "rust"), variables());
});
after(() => closeAll(rust, peer, collector));

function variables(more: Record<string, string> = {}): Record<string, string> {
  return { OPIK_URL_OVERRIDE: collector.url, OPIK_API_KEY: KEY, OPIK_PROJECT_NAME: "edge", ...more };
}

let numbers = 0;
/** A path that no other test has asked for. */
function unique(path: string): string {
  numbers += 1;
  return `${path}?n=${numbers}`;
}

/** Asks for a path in a new trace, whose id it returns. */
async function ask(served: Served, path: string, init: RequestInit = {}) {
  const traceId = newId();
  const headers = { opik_trace_id: traceId, opik_parent_span_id: PARENT, ...(init.headers as object) };
  const response = await fetch(`${served.url}${path}`, { ...init, headers });
  return { traceId, response };
}

let ids = 0;
function newId(): string {
  ids += 1;
  return `01a20612-0b81-7cc1-922c-${(0x2da813a30000 + ids).toString(16)}`;
}

function spansOf(traceId: string): StoredRow[] {
  return collector.spans().filter(({ trace_id }) => trace_id === traceId);
}

/** The root of a trace and its calls, as soon as there are `count` spans. */
async function spansFor(traceId: string, count: number): Promise<{ root: StoredRow; calls: StoredRow[] }> {
  await collector.until(() => spansOf(traceId).length >= count);
  const spans = spansOf(traceId);
  const root = spans.find(({ parent_span_id }) => parent_span_id === PARENT)!;
  return { root, calls: spans.filter(({ id }) => id !== root.id) };
}

describe("a Rust service that knows nothing of tracing", () => {
  for (const [trace, parent] of [
    ["opik_trace_id", "opik_parent_span_id"],
    ["Opik-Trace-Id", "Opik-Parent-Span-Id"],
  ] as const) {
    test(`joins a trace by ${trace}, and its model's call is recorded`, async () => {
      const traceId = newId();
      const headers = { [trace]: traceId, [parent]: PARENT };
      const response = await fetch(`${rust.url}/ask/${peer.host}`, { headers });
      assert.deepEqual(await response.json(), ANSWER);
      const { root, calls } = await spansFor(traceId, 2);
      assert.equal(root["name"], `GET /ask/${peer.host}`);
      assert.deepEqual(root["output"], { status: 200 });
      const [call] = calls as [StoredRow];
      assert.equal(call.parent_span_id, root.id);
      const { type, name, model, provider, input, output, usage, ttft } = call;
      assert.deepEqual(
        { type, name, model, provider, input, output },
        {
          type: "llm",
          name: "chat gpt-4.1-mini",
          model: ANSWER.model,
          provider: peer.host.split(":")[0],
          input: QUESTION,
          output: { choices: ANSWER.choices },
        },
      );
      assert.equal((usage as Record<string, number>)["total_tokens"], 9);
      assert.equal(ttft, undefined);
      const sent = peer.requests.at(-1)!;
      assert.equal(sent.headers["opik_parent_span_id"], call.id);
      assert.equal(sent.headers["opik-parent-span-id"], call.id);
      assert.equal(sent.headers["opik_trace_id"], traceId);
    });
  }

  test("passes a W3C trace on", async () => {
    const served = await serve(
      await traced(join(BUILT, "apps/rust-service.wasm"), "rust"),
      variables({ OPIK_EDGE_PROPAGATION: "w3c" }),
    );
    try {
      const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "congo=1" };
      await (await fetch(`${served.url}/ask/${peer.host}`, { headers })).text();
      const { traceparent = "", tracestate = "" } = peer.requests.at(-1)!.headers as Record<string, string>;
      const [, trace = "", span = ""] = /^opik=(\w{32})(\w{32}),congo=1$/.exec(tracestate) ?? [];
      assert.equal(traceparent, `00-0af7651916cd43dd8448eb211c80319c-${span.slice(16)}-01`);
      const digits = (id = "") => id.replaceAll("-", "");
      const rows = () => collector.spans().filter(({ trace_id }) => digits(trace_id) === trace);
      await collector.until(() => rows().length === 2);
      const call = rows().find(({ id }) => digits(id) === span)!;
      assert.equal(rows().find(({ id }) => id === call.parent_span_id)?.["name"], `GET /ask/${peer.host}`);
    } finally {
      await served.close();
    }
  });

  test("begins a new trace for other requests", async () => {
    await (await fetch(`${rust.url}/status/201`)).text();
    const found = () => collector.traces().find(({ name }) => name === "GET /status/201");
    await collector.until(() => found() !== undefined && spansOf(found()!.id).length === 1);
    assert.equal(found()!["project_name"], "edge");
    assert.deepEqual(found()!["output"], { status: 201 });
  });

  test("sees our root as its caller", async () => {
    const { traceId, response } = await ask(rust, "/headers");
    const seen = await response.text();
    const { root } = await spansFor(traceId, 1);
    for (const name of ["opik_parent_span_id", "opik-parent-span-id"])
      assert.match(seen, new RegExp(`${name}: ${root.id}\n`));
    for (const name of ["opik_trace_id", "opik-trace-id"]) assert.match(seen, new RegExp(`${name}: ${traceId}\n`));
    assert.ok(!seen.includes(PARENT));
  });

  test("gets a stream's chunks as they come, and the whole answer is recorded", async () => {
    const seen: string[] = [];
    let next: () => void = () => {};
    // The model sends a chunk when the client has the one before it: nothing is held back.
    peer.answer = (body) => ({ ...model(body), gate: () => new Promise<void>((resolve) => (next = resolve)) });
    const { traceId, response } = await ask(rust, `/ask-stream/${peer.host}`);
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) {
      seen.push(decoder.decode(chunk));
      next();
    }
    peer.answer = undefined;
    assert.deepEqual(seen, model('"stream":true').pieces);
    const { root, calls } = await spansFor(traceId, 2);
    const [call] = calls as [StoredRow];
    assert.deepEqual(call["output"], { choices: ANSWER.choices });
    assert.equal((call["usage"] as Record<string, number>)["total_tokens"], 9);
    assert.equal(typeof call["ttft"], "number");
    assert.ok(Date.parse(root["end_time"] as string) >= Date.parse(root["start_time"] as string));
    assert.ok(!JSON.stringify([root, call]).includes("opik_edge_stopped"));
  });

  test("fans out: each call is a child of the request's root", async () => {
    const { traceId, response } = await ask(rust, `/fan/5/${peer.host}`);
    assert.equal(await response.text(), "200 200 200 200 200");
    const { root, calls } = await spansFor(traceId, 6);
    assert.deepEqual(
      calls.map(({ parent_span_id }) => parent_span_id),
      Array(5).fill(root.id),
    );
  });

  test("forwards its caller's headers: the next service sees the call", async () => {
    const { traceId, response } = await ask(rust, `/forward/${peer.host}${unique("/next")}`);
    await response.text();
    const { root, calls } = await spansFor(traceId, 2);
    const [call] = calls as [StoredRow];
    assert.deepEqual([call["name"], call.parent_span_id], [`GET ${peer.host}/next`, root.id]);
    assert.equal(peer.requests.at(-1)!.headers["opik_parent_span_id"], call.id);
    assert.deepEqual(call["output"], { status: 200 });
  });

  test("a call without a body stays without a body", async () => {
    const { response } = await ask(rust, `/get/${peer.host}/plain`);
    await response.text();
    const { headers } = peer.requests.at(-1)!;
    assert.deepEqual([headers["transfer-encoding"], headers["content-length"]], [undefined, undefined]);
  });

  for (const status of [404, 500, 503]) {
    test(`a model's answer ${status} is an error of its call`, async () => {
      peer.answer = () => ({ status, pieces: ['{"error":{"type":"overloaded","message":"try later"}}'] });
      const { traceId, response } = await ask(rust, `/ask/${peer.host}`);
      assert.equal(response.status, status);
      await response.text();
      peer.answer = undefined;
      const { root, calls } = await spansFor(traceId, 2);
      const [call] = calls as [StoredRow];
      const { exception_type, message } = call["error_info"] as Record<string, string>;
      assert.deepEqual([exception_type, message], ["overloaded", "try later"]);
      assert.deepEqual(root["output"], { status });
    });

    test(`a service's answer ${status} is an error of its call`, async () => {
      peer.answer = () => ({ status, pieces: ["no"] });
      const { traceId, response } = await ask(rust, `/get/${peer.host}/other`);
      assert.equal(await response.text(), "no");
      peer.answer = undefined;
      const { calls } = await spansFor(traceId, 2);
      assert.deepEqual((calls[0]!["error_info"] as Record<string, string>)["exception_type"], "HttpError");
      assert.deepEqual(calls[0]!["output"], { status });
    });
  }

  test("a call without an answer has an error, and so has the request that failed by it", async () => {
    const { traceId, response } = await ask(rust, "/ask/127.0.0.1:1");
    assert.equal(response.status, 500);
    const { root, calls } = await spansFor(traceId, 2);
    for (const span of [root, calls[0]!]) {
      const { exception_type, message } = span["error_info"] as Record<string, string>;
      assert.deepEqual([exception_type, message], ["wasi:http/error-code", "ConnectionRefused"]);
    }
  });

  test("a trap loses its own rows only", async () => {
    assert.equal((await ask(rust, "/trap")).response.status, 500);
    const { traceId, response } = await ask(rust, `/ask/${peer.host}`);
    assert.deepEqual(await response.json(), ANSWER);
    await spansFor(traceId, 2);
  });

  test("a client that hangs up in mid-stream is recorded, and ends the model's stream", async () => {
    function* endless(): Generator<string> {
      for (;;) yield sse([{ model: "m", choices: [{ index: 0, delta: { content: "and on" } }] }])[0]!;
    }
    let hasEnded = false;
    peer.answer = (body) => ({
      ...model(body),
      pieces: (function* () {
        try {
          yield* endless();
        } finally {
          hasEnded = true;
        }
      })(),
      gate: () => new Promise((resolve) => setImmediate(resolve)),
    });
    const hangUp = new AbortController();
    const { traceId, response } = await ask(rust, `/ask-stream/${peer.host}`, { signal: hangUp.signal });
    await response.body!.getReader().read();
    hangUp.abort();
    const { root, calls } = await spansFor(traceId, 2);
    peer.answer = undefined;
    assert.ok(hasEnded, "the model's connection was closed");
    assert.equal((root["metadata"] as Record<string, unknown>)["opik_edge_cancelled"], true);
    const metadata = calls[0]!["metadata"] as Record<string, unknown>;
    assert.equal(typeof metadata["opik_edge_stopped_reading"], "number");
    assert.match(JSON.stringify(calls[0]!["output"]), /and onand on/);
  });

  test("64 requests at once: each call has its own parent", async () => {
    const count = 64;
    let arrived = 0;
    let open: () => void = () => {};
    const barrier = new Promise<void>((resolve) => (open = resolve));
    peer.answer = (body) => {
      arrived += 1;
      if (arrived === count) open();
      return { pieces: [" ", ...model(body).pieces], gate: () => barrier };
    };
    const asked = await Promise.all(
      Array.from({ length: count }, async () => {
        const { traceId, response } = await ask(rust, `/ask/${peer.host}`);
        assert.deepEqual(await response.json(), ANSWER);
        return traceId;
      }),
    );
    peer.answer = undefined;
    for (const traceId of asked) {
      const { root, calls } = await spansFor(traceId, 2);
      assert.deepEqual(
        calls.map(({ parent_span_id }) => parent_span_id),
        [root.id],
      );
    }
  });

  test("passes 20 MB through unchanged", async () => {
    const bytes = new Uint8Array(20_000_000).map((_, at) => at % 251);
    const { traceId, response } = await ask(rust, "/echo", { method: "POST", body: bytes });
    assert.deepEqual(Buffer.from(await response.arrayBuffer()).equals(bytes), true);
    await spansFor(traceId, 1);
  });

  test("an upload that is refused with Retry-After arrives later", async () => {
    let refused = 0;
    fault = ({ path }) => {
      if (!path.endsWith("/spans/batch") || refused > 0) return undefined;
      refused += 1;
      return { status: 429, headers: { "Retry-After": "1" } };
    };
    const { traceId, response } = await ask(rust, `/ask/${peer.host}`);
    assert.deepEqual(await response.json(), ANSWER);
    await spansFor(traceId, 2);
    fault = undefined;
    assert.equal(refused, 1);
  });

  test("the key is in no row, and reaches Opik alone", () => {
    assert.ok(collector.requests.length > 0);
    for (const { body, headers } of collector.requests) {
      assert.ok(!body.includes(KEY));
      assert.equal(headers.authorization, KEY);
    }
    assert.ok(!JSON.stringify(peer.requests).includes(KEY));
  });
});

describe("settings from the environment", () => {
  const file = join(BUILT, "composed/rust.wasm");

  async function withSettings(settings: Record<string, string>, run: (served: Served) => Promise<void>): Promise<void> {
    const served = await serve(file, variables(settings));
    try {
      await run(served);
    } finally {
      await served.close();
    }
  }

  test("OPIK_EDGE_PROPAGATE_TO names every target that gets headers", () =>
    withSettings({ OPIK_EDGE_PROPAGATE_TO: "https://a.example, *.b.example" }, async (served) => {
      const { traceId, response } = await ask(served, `/forward/${peer.host}/next`);
      await response.text();
      await spansFor(traceId, 2);
      const names = Object.keys(peer.requests.at(-1)!.headers).filter((name) => name.startsWith("opik"));
      assert.deepEqual(names, [], "neither ours nor the caller's");
    }));

  test("a malformed target is reported, and nothing gets headers", () =>
    withSettings({ OPIK_EDGE_PROPAGATE_TO: "a.example" }, async (served) => {
      const { response } = await ask(served, `/get/${peer.host}/next`);
      await response.text();
      await served.logged(/opik-edge: OPIK_EDGE_PROPAGATE_TO: .*a\.example/);
      assert.equal(peer.requests.at(-1)!.headers["opik_trace_id"], undefined);
    }));

  test("OPIK_EDGE_PROVIDERS names a host's provider", () =>
    withSettings({ OPIK_EDGE_PROVIDERS: `${peer.host} = openai` }, async (served) => {
      const { traceId, response } = await ask(served, `/ask/${peer.host}`);
      await response.text();
      const { calls } = await spansFor(traceId, 2);
      assert.equal(calls[0]!["provider"], "openai");
      assert.ok(peer.requests.at(-1)!.headers["opik_trace_id"], "a host that is named gets headers");
    }));

  test("switched off, the service and the services that it calls see what arrived", () =>
    withSettings({ OPIK_TRACK_DISABLE: "true" }, async (served) => {
      const before = collector.requests.length;
      const { traceId, response } = await ask(served, `/forward/${peer.host}/next`);
      await response.text();
      const { headers } = peer.requests.at(-1)!;
      assert.deepEqual([headers["opik_trace_id"], headers["opik_parent_span_id"]], [traceId, PARENT]);
      assert.equal(headers["opik-trace-id"], undefined);
      assert.equal(collector.requests.length, before);
    }));
});

describe("every format of a model's call is recorded as it is elsewhere", () => {
  /** A gateway's paths mean something at its own host only. */
  const fixtures = modelFixtures().filter(({ url }) => url !== undefined && !/cloudflare\.com/.test(url));
  const peers = new Map<string, Peer>();
  let served: Served;
  before(async () => {
    for (const { expected } of fixtures) {
      const provider = String(expected["provider"] ?? "openai");
      if (!peers.has(provider)) peers.set(provider, await startPeer());
    }
    const providers = [...peers].map(([provider, { host }]) => `${host}=${provider}`).join(",");
    served = await serve(join(BUILT, "composed/rust.wasm"), variables({ OPIK_EDGE_PROVIDERS: providers }));
  });
  after(() => closeAll(served, ...peers.values()));

  for (const fixture of fixtures) {
    test(fixture.name, async () => {
      const { url, request, status, headers, answer, expected } = fixture;
      const own = peers.get(String(expected["provider"] ?? "openai"))!;
      own.answer = () => ({ status, headers, pieces: [answer.subarray(0, 7), answer.subarray(7)] });
      const { traceId, response } = await ask(served, `/post/${own.host}${new URL(url!).pathname}`, {
        method: "POST",
        body: typeof request === "string" ? request : JSON.stringify(request),
      });
      assert.equal(response.status, status);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(answer), "the answer is unchanged");
      const { calls } = await spansFor(traceId, 2);
      assert.deepEqual(seen(calls[0]!, fixture), expectedOf(fixture));
    });
  }

  function expectedOf({ expected }: ModelFixture): Record<string, unknown> {
    const { is_complete: _, ...rest } = expected;
    return rest;
  }

  /** The members of a span that the fixture names. */
  function seen(span: StoredRow, fixture: ModelFixture): Record<string, unknown> {
    const error = span["error_info"] as { exception_type?: string; message?: string } | undefined;
    const own: Record<string, unknown> = {
      ...span,
      error_type: error?.exception_type,
      error_message: error?.message,
      has_first_token: span["ttft"] !== undefined,
      has_failed: error !== undefined,
    };
    return Object.fromEntries(
      Object.entries(expectedOf(fixture)).map(([field, value]) => {
        if (field !== "metadata") return [field, own[field] ?? null];
        const members = Object.keys(value as object).map((key) => [key, (own["metadata"] as never)?.[key] ?? null]);
        return [field, Object.fromEntries(members)];
      }),
    );
  }
});

describe("services in Python", () => {
  let python: Served;
  let tracedPython: Served;
  before(async () => {
    python = await serve(await traced(join(BUILT, "apps/python-service.wasm"), "python"), variables());
    tracedPython = await serve(
      await traced(join(BUILT, "apps/traced-python-service.wasm"), "traced-python"),
      variables(),
    );
  });
  after(() => closeAll(tracedPython, python));

  test("a service that knows nothing of tracing is recorded with its model's call", async () => {
    const { traceId, response } = await ask(python, `/ask/${peer.host}`);
    assert.equal(await response.text(), "A part of a trace.");
    const { root, calls } = await spansFor(traceId, 2);
    const { type, input, output, usage, parent_span_id } = calls[0]!;
    assert.deepEqual([type, input, output], ["llm", QUESTION, { choices: ANSWER.choices }]);
    assert.equal((usage as Record<string, number>)["total_tokens"], 9);
    assert.equal(parent_span_id, root.id);
  });

  test("an exception is a trap: the next request is recorded", async () => {
    assert.equal((await ask(python, "/raise")).response.status, 500);
    const { traceId, response } = await ask(python, `/ask/${peer.host}`);
    assert.equal(await response.text(), "A part of a trace.");
    await spansFor(traceId, 2);
  });

  test("a service adds its own spans, and a call belongs to the span that its headers name", async () => {
    const { traceId, response } = await ask(tracedPython, `/ask/${peer.host}`);
    assert.equal(await response.text(), "A part of a trace.");
    const { root, calls } = await spansFor(traceId, 4);
    const [answer, check, call] = ["answer", "check", "chat gpt-4.1-mini"].map((found) =>
      calls.find(({ name }) => name === found),
    ) as [StoredRow, StoredRow, StoredRow];
    assert.equal(answer.parent_span_id, root.id);
    assert.deepEqual([check.parent_span_id, call.parent_span_id], [answer.id, answer.id]);
    assert.deepEqual(answer["input"], { question: "What is a span?" });
    assert.deepEqual(answer["output"], { answer: "A part of a trace.", is_recorded: true });
    assert.deepEqual(answer["metadata"], { refused: "WRONG_TYPE" });
    assert.deepEqual([check["type"], check["tags"]], ["guardrail", ["language"]]);
    assert.deepEqual((check["error_info"] as Record<string, string>)["exception_type"], "Rude");
  });

  test("the official SDK, a component, a Worker, a component and the official SDK make one tree", async () => {
    const upstream: Upstream = await startUpstream();
    const server = await startPython(collector.url);
    const worker = await startExample(collector.url, upstream, {
      bindings: { RETRIEVER_URL: `${rust.url}/post/${new URL(server.url).host}` },
    });
    try {
      const { stdout } = await promisify(execFile)(PYTHON, ["client.py"], {
        cwd: join(ROOT, "tests/interop"),
        env: {
          ...process.env,
          ...QUIET,
          OPIK_URL_OVERRIDE: collector.url,
          TARGET_URL: `${rust.url}/post/${new URL(worker.url).host}/chat`,
          STREAM: "1",
        },
      });
      const line = stdout.split("\n").find((text) => text.startsWith('{"trace_id"'))!;
      const { trace_id, status, answer } = JSON.parse(line) as { trace_id: string; status: number; answer: string };
      assert.equal(status, 200);
      assert.match(answer, /\[DONE\]/);
      await collector.until(
        () => spansOf(trace_id).length >= 13 && collector.traces().some(({ id }) => id === trace_id),
      );
      const spans = new Map(spansOf(trace_id).map((span) => [span.id, span]));
      const path = ({ parent_span_id: parent, name }: StoredRow): string =>
        parent === undefined ? `${name}` : `${spans.has(parent) ? path(spans.get(parent)!) : "(missing)"} > ${name}`;
      const [w, p] = [worker, server].map(({ url }) => new URL(url).host) as [string, string];
      const r = new URL(rust.url).host;
      const before = `ask > POST /post/${w}/chat > POST ${w}/chat > POST /chat`;
      const retrieve = `${before} > retrieve > POST ${r}/post/${p}/retrieve > POST /post/${p}/retrieve > POST ${p}/retrieve`;
      assert.deepEqual(
        [...spans.values()].map(path).filter((found) => found.endsWith("search")),
        [`${retrieve} > search`],
      );
      assert.equal([...spans.values()].filter((span) => path(span).includes("(missing)")).length, 0);
      assert.equal(collector.traces().filter(({ id }) => id === trace_id).length, 1);
    } finally {
      await closeAll(worker, server, upstream);
    }
  });
});
