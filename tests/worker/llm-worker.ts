// A Worker that calls models, through Workers AI's binding and by `fetch`, and answers with what it has seen of them.

import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm } from "opik-edge/llm";

interface Binding {
  run(model: string, inputs: object, options?: object): Promise<unknown>;
  gateway(id: string): { run(entries: object[]): Promise<Response>; readonly getUrl: unknown };
  readonly models: unknown;
}

interface Env {
  readonly AI: Binding;
  readonly UPSTREAM: string;
}

const messages = [{ role: "user", content: "Hi" }];
const MODEL = "@cf/meta/llama-3.1-8b-instruct";

/** The result of a call, as text. */
async function shown(answer: unknown): Promise<unknown> {
  if (answer instanceof ReadableStream) return { stream: await new Response(answer).text() };
  if (answer instanceof Response)
    return { status: answer.status, body: "webSocket" in answer && answer.webSocket ? "socket" : await answer.text() };
  return answer;
}

const CALLS: Record<string, (env: Env) => unknown> = {
  object: ({ AI }) => AI.run(MODEL, { messages }),
  stream: ({ AI }) => AI.run(MODEL, { messages, stream: true }),
  "left-early": async ({ AI }) => {
    const stream = (await AI.run(MODEL, { messages, stream: true })) as ReadableStream<Uint8Array>;
    const reader = stream.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return new TextDecoder().decode(value);
  },
  raw: ({ AI }) => AI.run(MODEL, { messages, stream: true }, { returnRawResponse: true }),
  gateway: ({ AI }) => AI.run(MODEL, { messages }, { gateway: { id: "mine" } }),
  socket: ({ AI }) => AI.run(MODEL, { messages }, { websocket: true }),
  embeddings: ({ AI }) => AI.run("@cf/baai/bge-base-en-v1.5", { text: ["Hi", "Ho"] }),
  failing: async ({ AI }) => {
    try {
      return await AI.run("@cf/none", { messages });
    } catch (error) {
      const { name, message } = error as Error;
      return { name, message, isError: error instanceof Error };
    }
  },
  universal: ({ AI }) =>
    AI.gateway("mine").run([
      { provider: "workers-ai", endpoint: MODEL, headers: { authorization: "SECRET" }, query: { messages } },
      {
        provider: "openai",
        endpoint: "chat/completions",
        headers: { authorization: "SECRET" },
        query: { model: "m", messages },
      },
    ]),
  "by-rpc": async ({ AI }) => typeof (await AI.gateway("mine")).getUrl,
  methods: ({ AI }) => [
    AI.run.name,
    AI.run.length,
    AI.gateway.name,
    Object.keys(AI),
    typeof AI.models,
    AI.constructor.name,
  ],
  fetched: async ({ UPSTREAM }) => {
    const init = { method: "POST", body: JSON.stringify({ model: "m", messages, stream: true }) };
    return fetch(`${UPSTREAM}/v1/chat/completions`, init);
  },
};

const handler = {
  async fetch(request: Request, env: Env): Promise<Response> {
    return Response.json(await shown(await CALLS[new URL(request.url).pathname.slice(1)]!(env)));
  },
};

const traced = withOpik(handler, () => ({ observe: [llm()] }));

export default {
  /** Runs without tracing if the request asks for that. */
  fetch(request: Request, env: Env, ctx: unknown): Promise<Response> | Response {
    const isTraced = request.headers.get("traced") !== "no";
    return isTraced
      ? (traced.fetch as (...args: unknown[]) => Promise<Response>)(request, env, ctx)
      : handler.fetch(request, env);
  },
};
