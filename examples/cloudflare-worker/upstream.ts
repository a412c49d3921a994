// What the example Worker calls, for the demo and the tests: a language model that speaks the OpenAI chat
// API with server-sent events, and a retriever. The question decides how the model behaves.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A running upstream. */
export interface Upstream {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The headers of every request, newest last. */
  readonly seen: { path: string; headers: IncomingMessage["headers"] }[];
  /** How many endless answers were broken off by the caller. */
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
    const body = JSON.parse((await text(request)) || "{}");
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
  stream?: boolean;
  messages: { role: string; content: string }[];
}

async function complete(response: ServerResponse, { model, stream, messages }: ChatRequest): Promise<void> {
  const question = messages.at(-1)?.content ?? "";
  if (question.includes("fail")) return json(response, 500, { error: { message: "the model is overloaded" } });
  if (!stream) {
    const message = { role: "assistant", content: ANSWER.join("") };
    return json(response, 200, { object: "chat.completion", model, choices: [{ index: 0, message }], usage: USAGE });
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (data: unknown) => response.write(`data: ${JSON.stringify(data)}\n\n`);
  const chunk = (content: string) => ({
    object: "chat.completion.chunk",
    model,
    choices: [{ index: 0, delta: { content } }],
  });
  if (question.includes("forever")) {
    while (!response.destroyed) {
      send(chunk("and on "));
      await pause();
    }
    return;
  }
  for (const part of ANSWER) {
    send(chunk(part));
    await pause();
  }
  send({ object: "chat.completion.chunk", model, choices: [], usage: USAGE });
  response.end("data: [DONE]\n\n");
}

/** Tokens take their time. Nothing waits for this to be exact. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
