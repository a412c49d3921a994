// The services that the example Worker calls, for the demo and the tests: a retriever, and a language model that speaks
// the OpenAI chat API with tool calls and server-sent events. The question decides how the model behaves.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A running upstream. */
export interface Upstream {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The headers of every request, newest last. */
  readonly seen: { path: string; headers: IncomingMessage["headers"] }[];
  /** Number of endless answers that the caller broke off. */
  readonly hungUp: () => number;
  close(): Promise<void>;
}

/** Starts it on a free port of this machine. Questions with "fail" get a 500; with "forever", no end. */
export async function startUpstream(port = 0): Promise<Upstream> {
  const seen: Upstream["seen"] = [];
  let hungUp = 0;
  const server = createServer(async (request, response) => {
    seen.push({ path: request.url ?? "", headers: request.headers });
    response.on("close", () => {
      if (!response.writableEnded) hungUp += 1;
    });
    const body = JSON.parse((await bodyOf(request)) || "{}");
    if (request.url === "/retrieve") return json(response, 200, { documents: DOCUMENTS });
    if (request.url !== "/v1/chat/completions") return json(response, 404, { error: { message: "not found" } });
    await complete(response, body);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}`,
    seen,
    hungUp: () => hungUp,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const DOCUMENTS = ["Opik records traces of LLM applications.", "A span is one operation.", "Edge runtimes are small."];
const ANSWER = ["A trace ", "is a tree ", "of spans."];
const USAGE = {
  prompt_tokens: 42,
  completion_tokens: 9,
  total_tokens: 51,
  prompt_tokens_details: { cached_tokens: 0 },
};

interface ChatRequest {
  model: string;
  messages: { role: string; content: string | null }[];
  tools?: { function: { name: string } }[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
}

/** Answers, or where there are tools and no result of one yet, asks for the first of them. */
async function complete(response: ServerResponse, request: ChatRequest): Promise<void> {
  const { model, messages, tools = [], stream, stream_options } = request;
  const question = messages.findLast(({ role }) => role === "user")?.content ?? "";
  if (question.includes("fail")) {
    const error = { message: "the model is overloaded", type: "server_error", param: null, code: null };
    return json(response, 500, { error });
  }
  const tool = messages.at(-1)?.role === "tool" ? undefined : tools[0]?.function.name;
  const args = JSON.stringify({ query: question });
  const finish_reason = tool ? "tool_calls" : "stop";
  const common = { id: "chatcmpl-1", created: Math.floor(Date.now() / 1000), model };
  if (!stream) {
    const call = { id: "call_1", type: "function", function: { name: tool, arguments: args } };
    const said = tool ? { content: null, tool_calls: [call] } : { content: ANSWER.join("") };
    const choices = [{ index: 0, message: { role: "assistant", ...said }, logprobs: null, finish_reason }];
    return json(response, 200, { ...common, object: "chat.completion", choices, usage: USAGE });
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (chunk: object) =>
    response.write(`data: ${JSON.stringify({ ...common, object: "chat.completion.chunk", ...chunk })}\n\n`);
  const deltas = tool ? toolCall(tool, args) : text(question.includes("forever"));
  for (const delta of deltas) {
    if (response.destroyed) return;
    send({ choices: [{ index: 0, delta, finish_reason: null }] });
    await pause();
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason }] });
  if (stream_options?.include_usage) send({ choices: [], usage: USAGE });
  response.end("data: [DONE]\n\n");
}

function* text(isEndless: boolean): Generator<object> {
  yield { role: "assistant", content: "" };
  while (isEndless) yield { content: "and on " };
  for (const content of ANSWER) yield { content };
}

/** Its arguments come in pieces, like a text. */
function* toolCall(name: string, args: string): Generator<object> {
  const call = { index: 0, id: "call_1", type: "function", function: { name, arguments: "" } };
  yield { role: "assistant", content: null, tool_calls: [call] };
  for (const piece of args.match(/.{1,8}/gs) ?? []) {
    yield { tool_calls: [{ index: 0, function: { arguments: piece } }] };
  }
}

/** Tokens take their time. Nothing waits for this to be exact. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
