// The server for the clients, on 127.0.0.1: each provider's wire format, as far as its SDK needs it. A path such as
// `/RUN/once-500/v1/chat/completions` names the run, the behaviour, and the provider's path. A host waits with `/RUN/until/N`
// for N requests of its run. `/RUN/over` ends answers that are still open, `/RUN/break` closes their connections.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Watchers } from "../../../viewer/src/server/watchers.js";

/**
 * The behaviour for a request. `ok` answers. `once-500` and `once-429` refuse the first request of a run; `always-500`
 * and `401` refuse every request. `in-stream` sends an error as an event. `broken` begins an answer until the host has
 * the connection closed. `endless` sends the first events, then nothing until the caller leaves. `silent` never answers.
 * `refused` has no listener.
 */
export type Behaviour =
  | "ok"
  | "once-500"
  | "once-429"
  | "always-500"
  | "401"
  | "in-stream"
  | "broken"
  | "endless"
  | "silent"
  | "refused";

/** A request as the server saw it, without trace headers. */
export interface SeenRequest {
  readonly method: string;
  /** The path after the name of the run. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The trace headers of a request, and the size of its answer. */
export interface SeenTrace {
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  /** Number of bytes sent of the answer's body. */
  bytes: number;
}

/** Running servers. */
export interface Providers {
  readonly url: string;
  /** The requests of a run, in order. */
  requests(run: string): SeenRequest[];
  /** The trace headers of the same requests. */
  traces(run: string): SeenTrace[];
  /** Resolves once the caller has left that many answers of a run. */
  untilHungUp(run: string, times: number): Promise<void>;
  close(): Promise<void>;
}

interface Run {
  readonly requests: SeenRequest[];
  readonly traces: SeenTrace[];
  readonly open: Set<ServerResponse>;
  hungUp: number;
}

const TRACE_HEADERS = ["opik_trace_id", "opik_parent_span_id", "opik-trace-id", "opik-parent-span-id"];
/** Values that an SDK makes up for each call. */
const RANDOM = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** Starts the servers on a free port. */
export async function startProviders(): Promise<Providers> {
  const seen = new Map<string, Run>();
  const watchers = new Watchers();
  const of = (run: string) => {
    const entry = seen.get(run) ?? { requests: [], traces: [], hungUp: 0, open: new Set() };
    seen.set(run, entry);
    return entry;
  };

  const server = createServer(async (request, response) => {
    const [, run = "", behaviour = "", ...rest] = (request.url ?? "").split("/");
    const entry = of(run);
    if (behaviour === "until") {
      const has = () => entry.requests.length >= Number(rest[0]);
      const waiting = watchers.until(has, () => "");
      return void waiting.then(
        () => response.end(),
        () => response.destroy(), // the host timed out long ago
      );
    }
    if (behaviour === "over" || behaviour === "break") {
      // Ended without a reset, because a reset could overtake the data already written.
      for (const open of entry.open) behaviour === "over" ? open.end() : open.socket?.end();
      return void response.end();
    }
    entry.open.add(response);
    response.on("close", () => {
      entry.open.delete(response);
      if (!response.writableFinished) entry.hungUp += 1;
      watchers.notify();
    });
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // the caller has left
    }
    const body = Buffer.concat(chunks).toString();
    const path = `/${rest.join("/")}`;
    const { host, ...headers } = request.headers as Record<string, string>;
    const trace = { traceId: headers["opik_trace_id"], spanId: headers["opik_parent_span_id"], bytes: 0 };
    entry.traces.push(trace);
    for (const name of TRACE_HEADERS) delete headers[name];
    // Runtimes use a different boundary for each form.
    const [, boundary = "no boundary"] = /boundary=([^;]+)/.exec(headers["content-type"] ?? "") ?? [];
    const settled = (text: string): string => text.replaceAll(RANDOM, "RANDOM").replaceAll(boundary, "BOUNDARY");
    for (const [name, value] of Object.entries(headers)) headers[name] = settled(value);
    entry.requests.push({
      method: request.method ?? "",
      path: `/${behaviour}${path}`,
      headers,
      body: settled(body),
    });
    const asked = {
      request,
      response,
      path,
      body,
      attempt: entry.requests.length,
      behaviour: behaviour as Behaviour,
      trace,
    };
    watchers.notify();
    response.sendDate = false;
    answer(asked);
  });
  // Closing an idle connection while a client reuses it would cause an error that says nothing about the client.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: (run) => of(run).requests,
    traces: (run) => of(run).traces,
    untilHungUp: (run, times) =>
      watchers.until(
        () => of(run).hungUp >= times,
        () => `${run}: ${of(run).hungUp} of ${times} hung up`,
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path and query, from the provider's root. */
  readonly path: string;
  readonly body: string;
  /** The number of the request in its run, from 1. */
  readonly attempt: number;
  readonly behaviour: Behaviour;
  readonly trace: SeenTrace;
}

const IDS = { "x-request-id": "req_1", "request-id": "req_1" };

function answer(asked: Asked): void {
  const { response, behaviour } = asked;
  const format = FORMATS.find(({ path }) => path.test(asked.path.split("?")[0] as string));
  const refused = refusal(asked);
  const streamed = format?.streamed(asked);
  if (behaviour === "silent") return;
  if (!format) {
    json(asked, 404, { error: { message: `no such route: ${asked.path}` } });
  } else if (refused) {
    // `retry-after-ms` is for OpenAI's SDK and its derivatives, `retry-after` (in seconds) for all others.
    json(asked, refused, format.error(refused), refused === 401 ? {} : { "retry-after-ms": "1", "retry-after": "0" });
  } else if (streamed) {
    answerBitByBit(asked, streamed);
  } else {
    const { status = 200, body, headers } = format.whole(asked);
    if (behaviour !== "broken") {
      json(asked, status, body, { ...IDS, ...headers });
    } else {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      response.write(JSON.stringify(body).slice(0, 10));
      asked.request.socket.end();
    }
  }
}

function refusal({ behaviour, attempt }: Asked): number | undefined {
  if (behaviour === "401") return 401;
  if (behaviour === "always-500") return 500;
  if (attempt > 1 || !behaviour.startsWith("once")) return undefined;
  return behaviour === "once-429" ? 429 : 500;
}

function answerBitByBit({ response, behaviour, trace }: Asked, { type, events, error }: Streamed): void {
  response.writeHead(200, { "content-type": type, ...IDS });
  if (behaviour === "ok" || behaviour.startsWith("once")) {
    for (const event of events) response.write(event);
    trace.bytes = Buffer.byteLength(events.join(""));
    response.end();
    return;
  }
  // Sent in one piece, so that the host sees equally much of an incomplete answer in each run.
  response.write(events.slice(0, 2).join("") + (behaviour === "in-stream" ? error : ""));
  if (behaviour === "in-stream") response.end();
}

function json({ response, trace }: Asked, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  const type = typeof body === "string" ? "text/plain" : "application/json";
  trace.bytes = Buffer.byteLength(text);
  response.writeHead(status, { "content-type": type, ...headers }).end(text);
}

/** A stream: its events, and the event that reports an error. */
interface Streamed {
  readonly type: string;
  readonly events: readonly string[];
  readonly error: string;
}

/** A provider's answers. */
interface Format {
  readonly path: RegExp;
  whole(asked: Asked): { status?: number; body: unknown; headers?: Record<string, string> };
  streamed(asked: Asked): Streamed | undefined;
  error(status: number): unknown;
}

const sse = (data: unknown, event?: string): string =>
  `${event ? `event: ${event}\n` : ""}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
const wantsStream = ({ body }: Asked): boolean => /"stream":\s*true/.test(body);
const openaiError = (status: number) => ({
  error: { message: `refused with ${status}`, type: "test", code: `E${status}` },
});

const WORDS = ["Hello", ", ", "wörld", "!"];
const TEXT = WORDS.join("");

const chunk = (delta: unknown, finish: string | null = null, more: object = {}) => ({
  id: "chat_1",
  object: "chat.completion.chunk",
  created: 1_800_000_000,
  model: "model-1",
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
});
const USAGE = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

/** OpenAI's chat format, used by Groq and Mistral too. */
const chat: Format = {
  path: /\/chat\/completions$/,
  whole: ({ body }) => ({
    body: {
      id: "chat_1",
      object: "chat.completion",
      created: 1_800_000_000,
      model: "model-1",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: body.includes("json_schema") ? '{"n":1}' : TEXT },
          finish_reason: "stop",
        },
      ],
      usage: USAGE,
    },
  }),
  streamed: (asked) =>
    wantsStream(asked)
      ? {
          type: "text/event-stream",
          events: [
            sse(chunk({ role: "assistant", content: "" })),
            ...WORDS.map((content) => sse(chunk({ content }))),
            sse(chunk({}, "stop", { usage: USAGE })),
            sse("[DONE]"),
          ],
          error: sse({ error: { message: "overloaded", type: "server_error", code: null } }),
        }
      : undefined,
  error: openaiError,
};

const RESPONSE = {
  id: "resp_1",
  object: "response",
  created_at: 1_800_000_000,
  status: "completed",
  model: "model-1",
  output: [
    {
      id: "msg_1",
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: TEXT, annotations: [] }],
    },
  ],
  error: null,
  incomplete_details: null,
  instructions: null,
  metadata: {},
  tools: [],
  tool_choice: "auto",
  parallel_tool_calls: true,
  temperature: 1,
  top_p: 1,
  usage: {
    input_tokens: 3,
    output_tokens: 4,
    total_tokens: 7,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
  },
};

const responses: Format = {
  path: /\/responses$/,
  whole: () => ({ body: RESPONSE }),
  streamed: (asked) => {
    if (!wantsStream(asked)) return undefined;
    const begun = { ...RESPONSE, status: "in_progress", output: [], usage: null };
    const item = { ...RESPONSE.output[0], status: "in_progress", content: [] };
    const part = { type: "output_text", text: "", annotations: [] };
    const at = { item_id: "msg_1", output_index: 0, content_index: 0 };
    const events: Record<string, unknown>[] = [
      { type: "response.created", response: begun },
      { type: "response.in_progress", response: begun },
      { type: "response.output_item.added", output_index: 0, item },
      { type: "response.content_part.added", ...at, part },
      ...WORDS.map((delta) => ({ type: "response.output_text.delta", ...at, delta, logprobs: [] })),
      { type: "response.output_text.done", ...at, text: TEXT, logprobs: [] },
      { type: "response.content_part.done", ...at, part: { ...part, text: TEXT } },
      { type: "response.output_item.done", output_index: 0, item: RESPONSE.output[0] },
      { type: "response.completed", response: RESPONSE },
    ];
    return {
      type: "text/event-stream",
      events: events.map((event, sequence_number) => sse({ ...event, sequence_number }, event["type"] as string)),
      error: sse(
        { type: "error", code: "server_error", message: "overloaded", param: null, sequence_number: 2 },
        "error",
      ),
    };
  },
  error: openaiError,
};

const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "model-1",
  content: [{ type: "text", text: TEXT }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 3, output_tokens: 4 },
};

const anthropicError = (status: number) => ({
  type: "error",
  error: { type: "test_error", message: `refused with ${status}` },
});
const anthropic: Format = {
  path: /\/v1\/messages$/,
  whole: () => ({ body: MESSAGE }),
  streamed: (asked) => {
    if (!wantsStream(asked)) return undefined;
    const events: { type: string; [member: string]: unknown }[] = [
      {
        type: "message_start",
        message: { ...MESSAGE, content: [], stop_reason: null, usage: { input_tokens: 3, output_tokens: 1 } },
      },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "ping" },
      ...WORDS.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 4 } },
      { type: "message_stop" },
    ];
    return {
      type: "text/event-stream",
      events: events.map((event) => sse(event, event.type)),
      error: sse({ type: "error", error: { type: "overloaded_error", message: "overloaded" } }, "error"),
    };
  },
  error: anthropicError,
};

/** A list of models, in two pages. */
const models: Format = {
  path: /\/v1\/models$/,
  whole: ({ path, request }) => {
    const second = path.includes("after");
    const ids = second ? ["model-3"] : ["model-1", "model-2"];
    const data = ids.map((id) =>
      request.headers["anthropic-version"]
        ? { id, type: "model", display_name: id, created_at: "2026-01-01T00:00:00Z" }
        : { id, object: "model", created: 1, owned_by: "us" },
    );
    return { body: { object: "list", data, has_more: !second, first_id: ids[0], last_id: ids.at(-1) } };
  },
  streamed: () => undefined,
  error: openaiError,
};

const gemini: Format = {
  path: /:(generateContent|streamGenerateContent)$/,
  whole: () => ({ body: geminiChunk(TEXT, "STOP") }),
  streamed: ({ path }) =>
    path.includes(":streamGenerateContent")
      ? {
          type: "text/event-stream",
          events: WORDS.map(
            (word, index) => `data: ${JSON.stringify(geminiChunk(word, index === 3 ? "STOP" : undefined))}\r\n\r\n`,
          ),
          error: `data: ${JSON.stringify({ error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } })}\r\n\r\n`,
        }
      : undefined,
  error: (code) => ({ error: { code, message: `refused with ${code}`, status: "TEST" } }),
};
const geminiChunk = (text: string, finishReason?: string) => ({
  candidates: [{ content: { role: "model", parts: [{ text }] }, index: 0, ...(finishReason && { finishReason }) }],
  usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 4, totalTokenCount: 7 },
  modelVersion: "model-1",
});

const ollama: Format = {
  path: /\/api\/(chat|generate)$/,
  whole: ({ path }) => ({ body: ollamaMessage(path, TEXT, true) }),
  streamed: (asked) =>
    wantsStream(asked)
      ? {
          type: "application/x-ndjson",
          events: [...WORDS.map((word) => ollamaLine(asked.path, word, false)), ollamaLine(asked.path, "", true)],
          error: `${JSON.stringify({ error: "overloaded" })}\n`,
        }
      : undefined,
  error: (status) => ({ error: `refused with ${status}` }),
};
const ollamaMessage = (path: string, text: string, done: boolean) => ({
  model: "model-1",
  created_at: "2026-01-01T00:00:00Z",
  ...(path.includes("/chat") ? { message: { role: "assistant", content: text } } : { response: text }),
  done,
  ...(done && { done_reason: "stop", prompt_eval_count: 3, eval_count: 4 }),
});
const ollamaLine = (...args: Parameters<typeof ollamaMessage>): string => `${JSON.stringify(ollamaMessage(...args))}\n`;

/** PostgREST with a single table, `users`. */
const USERS = [
  { id: 1, name: "Ada" },
  { id: 2, name: "Grace" },
];
const rest: Format = {
  path: /\/rest\/v1\/(users|missing|rpc\/greet)$/,
  whole: ({ path, body, request }) => {
    if (path.includes("missing")) {
      return {
        status: 404,
        body: { code: "PGRST205", message: "Could not find the table", details: null, hint: null },
      };
    }
    if (path.includes("rpc")) return { body: { greeting: `hello ${body}` } };
    if (request.method === "POST") return { status: 201, body: [{ id: 3, ...JSON.parse(body) }] };
    const one = request.headers.accept?.includes("vnd.pgrst.object");
    const rows = path.includes("id=eq.1") ? USERS.slice(0, 1) : USERS;
    return { body: one ? rows[0] : rows, headers: { "content-range": `0-${rows.length - 1}/${rows.length}` } };
  },
  streamed: () => undefined,
  error: (status) => ({ code: `E${status}`, message: `refused with ${status}`, details: null, hint: null }),
};

/** Paths for clients without a provider. */
const plain: Format = {
  path: /^\/(json|text|empty|stream)$/,
  whole: ({ path, request, body }) => {
    if (path.startsWith("/text")) return { body: TEXT };
    if (path.startsWith("/empty")) return { status: 204, body: undefined };
    return { body: { method: request.method, path, body } };
  },
  streamed: ({ path }) =>
    path === "/stream" ? { type: "text/plain; charset=utf-8", events: WORDS, error: "" } : undefined,
  error: (status) => ({ message: `refused with ${status}` }),
};

const FORMATS: readonly Format[] = [chat, responses, anthropic, models, gemini, ollama, rest, plain];
