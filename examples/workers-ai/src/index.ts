// A Worker that answers with a model of Workers AI, and streams the answer. Called with Opik's headers it joins the caller's
// trace; called without, it begins one.

import { getTrackContext } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm } from "opik-edge/llm";

interface Env {
  AI: Ai;
}

interface Question {
  message: string;
  thread?: string;
}

const MODEL = "@cf/meta/llama-4-scout-17b-16e-instruct";

const chat = {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method !== "POST") return new Response("POST a question\n", { status: 405 });
    const { message, thread } = (await request.json()) as Question;
    const { trace } = getTrackContext() ?? {};
    // A trace that the caller began has its thread from the caller.
    if (thread && trace && !trace.joined) trace.update({ threadId: thread });
    const messages = [
      { role: "system", content: "Answer in one sentence." },
      { role: "user", content: message },
    ];
    const answer = await env.AI.run(MODEL, { messages, stream: true });
    return new Response(answer, { headers: { "content-type": "text/event-stream" } });
  },
};

// Calls of the binding record themselves: messages, answer, tokens, time to the first of them.
export default withOpik(chat, () => ({ observe: [llm()] }));
