// A chat Worker: it retrieves documents from another service, asks a language model, and streams the
// answer. Called with Opik's headers it joins the caller's trace; called without, it begins one.

import { corsHeaders, fetch, getTrackContext, handlePreflight, type Span, span, track } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
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
  /** What the site's tokens are made with. With it only callers with a token have their trace joined. */
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
    const documents = await retrieve(env, question.message);
    return answer(env, question, documents);
  },
};

const traced = withOpik(chat, ({ TOKEN_SECRET: secret, PAGE_ORIGIN: audience }: Env) =>
  // Pages are anybody's: of them only those with a token may name the trace that is written to.
  secret ? { trust: signed({ secrets: [{ id: "1", secret }], audience }) } : {},
);

export default {
  /** What pages of another origin need is around the tracing: preflights are no traces, and errors are readable too. */
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const pages = { origins: env.PAGE_ORIGIN ? [env.PAGE_ORIGIN] : [] };
    const preflight = handlePreflight(request, pages);
    if (preflight) return preflight;
    // What went wrong is in the trace.
    const failed = () => new Response("the chat failed\n", { status: 500 });
    const response = await traced.fetch(request, env, ctx).catch(failed);
    for (const [name, value] of Object.entries(corsHeaders(request, pages))) {
      response.headers[name === "vary" ? "append" : "set"](name, value);
    }
    return response;
  },
};

/** Asks the retriever; its own spans appear under this one's call. */
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

function answer(env: Env, { message, stream = false }: Question, documents: string[]): Promise<Response> {
  const messages = [
    { role: "system", content: `Answer from these documents:\n${documents.join("\n")}` },
    { role: "user", content: message },
  ];
  const model = env.LLM_MODEL;
  return span({ name: "llm", type: "llm", model, provider: "openai", input: { messages } }, async (llm) => {
    const upstream = await llm.fetch(`${env.LLM_URL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${env.LLM_API_KEY}` },
      body: JSON.stringify({ model, messages, stream, ...(stream && { stream_options: { include_usage: true } }) }),
    });
    if (!upstream.ok || !upstream.body) throw new Error(`${upstream.status} from the model: ${await upstream.text()}`);
    if (stream) {
      const headers = { "content-type": "text/event-stream" };
      return new Response(streamOf(relay(upstream.body, llm)), { headers });
    }
    const completion = (await upstream.json()) as Completion;
    llm.update({ output: completion.choices[0]?.message, usage: completion.usage });
    return Response.json({ answer: completion.choices[0]?.message?.content });
  });
}

interface Completion {
  choices: { message?: { content: string }; delta?: { content?: string } }[];
  usage?: Record<string, number>;
}

/** Hands the model's events on as they come, and records what they said: also when the client hangs up. */
async function* relay(events: ReadableStream<Uint8Array>, llm: Span): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder();
  const asked = Date.now();
  let content = "";
  let usage: Completion["usage"];
  let line = "";
  let ttft: number | undefined;
  try {
    for await (const chunk of events) {
      const lines = (line + decoder.decode(chunk, { stream: true })).split("\n");
      line = lines.pop() ?? "";
      for (const data of lines.filter((text) => text.startsWith("data: {"))) {
        const event = JSON.parse(data.slice("data: ".length)) as Completion;
        const delta = event.choices[0]?.delta?.content;
        if (delta) ttft ??= Date.now() - asked;
        content += delta ?? "";
        usage = event.usage ?? usage;
      }
      yield chunk;
    }
  } finally {
    llm.update({ output: { role: "assistant", content }, usage, ttft });
  }
}

/** A stream that pulls `items` one by one; when its reader goes away, their `finally` runs. */
function streamOf<T>(items: AsyncGenerator<T>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await items.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await items.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
