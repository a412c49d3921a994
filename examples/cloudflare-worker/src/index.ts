// A chat Worker: a language model says what to look for, another service has the documents, and the model's answer is
// streamed. Called with Opik's headers it joins the caller's trace; called without, it begins one.

import { corsHeaders, fetch, getTrackContext, handlePreflight, span, track } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm } from "opik-edge/llm";
import { signed } from "opik-edge/relay";

interface Env {
  /** Base URL of an OpenAI-compatible API, up to and including `/v1`. */
  LLM_URL: string;
  LLM_API_KEY: string;
  LLM_MODEL: string;
  /** Base URL of a service with `POST /retrieve`, which gets the trace headers. */
  RETRIEVER_URL: string;
  /** The site whose pages may call this Worker (`../browser`); without it none may. */
  PAGE_ORIGIN?: string;
  /** The secret of the site's tokens. If it is set, only callers with a token have their trace joined. */
  TOKEN_SECRET?: string;
}

interface Question {
  message: string;
  thread?: string;
  stream?: boolean;
}

const chat = {
  async fetch(request: Request, env: Env, _ctx: ExecutionContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || pathname !== "/chat") return new Response("POST /chat\n", { status: 404 });
    const question = (await request.json()) as Question;
    const { trace } = getTrackContext() ?? {};
    // A trace that the caller began has its thread from the caller.
    if (question.thread && trace && !trace.joined) trace.update({ threadId: question.thread });
    return answer(env, question);
  },
};

const traced = withOpik(chat, ({ TOKEN_SECRET: secret, PAGE_ORIGIN: audience }: Env) => ({
  // Calls of the model record themselves: messages, answer, tokens, time to the first of them.
  observe: [llm()],
  // Anybody can open a page, so only pages with a token may name the trace to join.
  ...(secret && { trust: signed({ secrets: [{ id: "1", secret }], audience }) }),
}));

export default {
  /** CORS goes around the tracing: preflights are not traced, and pages can read errors too. */
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const pages = { origins: env.PAGE_ORIGIN ? [env.PAGE_ORIGIN] : [] };
    const preflight = handlePreflight(request, pages);
    if (preflight) return preflight;
    // The trace has the error.
    const failed = () => new Response("the chat failed\n", { status: 500 });
    const response = await traced.fetch(request, env, ctx).catch(failed);
    for (const [name, value] of Object.entries(corsHeaders(request, pages))) {
      response.headers[name === "vary" ? "append" : "set"](name, value);
    }
    return response;
  },
};

/** The model first names the documents to look for, and then answers from the documents found. */
async function answer(env: Env, { message, stream = false }: Question): Promise<Response> {
  const messages: Message[] = [
    { role: "system", content: "Look for documents, and answer from them." },
    { role: "user", content: message },
  ];
  const asking = await complete(env, { messages, tools: [RETRIEVE], tool_choice: "required" });
  const asked = await messageOf(asking);
  const results = (asked.tool_calls ?? []).map(async ({ id, function: call }): Promise<Message> => {
    const { query } = JSON.parse(call.arguments) as { query: string };
    return { role: "tool", tool_call_id: id, content: (await retrieve(env, query)).join("\n") };
  });
  messages.push(asked, ...(await Promise.all(results)));
  if (stream) {
    const { body } = await complete(env, { messages, stream, stream_options: { include_usage: true } });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }
  const { content } = await messageOf(await complete(env, { messages }));
  return Response.json({ answer: content });
}

interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: string | null;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
}

/** The tools of the model. */
const RETRIEVE = {
  type: "function",
  function: {
    name: "retrieve",
    description: "Finds documents.",
    parameters: { type: "object", properties: { query: { type: "string" } }, required: ["query"] },
  },
};

async function complete(env: Env, body: object): Promise<Response> {
  const response = await fetch(`${env.LLM_URL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${env.LLM_API_KEY}` },
    body: JSON.stringify({ model: env.LLM_MODEL, ...body }),
  });
  if (!response.ok) throw new Error(`${response.status} from the model: ${await response.text()}`);
  return response;
}

async function messageOf(response: Response): Promise<Message> {
  const { choices } = (await response.json()) as { choices: [{ message: Message }] };
  return choices[0].message;
}

/** The tool. The retriever's own spans appear under the call to it. */
async function retrieve(env: Env, query: string): Promise<string[]> {
  return span({ name: "retrieve", type: "tool", input: { query } }, async (current) => {
    const response = await fetch(`${env.RETRIEVER_URL}/retrieve`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query }),
    });
    if (!response.ok) throw new Error(`the retriever answered ${response.status}`);
    const { documents } = (await response.json()) as { documents: string[] };
    current.update({ output: { documents } });
    return rank(query, documents);
  });
}

/** Documents that share most words with the query first. */
const rank = track(
  function rank(query: string, documents: string[]): string[] {
    const words = new Set(query.toLowerCase().split(/\W+/));
    const score = (text: string) =>
      text
        .toLowerCase()
        .split(/\W+/)
        .filter((word) => words.has(word)).length;
    return [...documents].sort((a, b) => score(b) - score(a));
  },
  { type: "tool" },
);
