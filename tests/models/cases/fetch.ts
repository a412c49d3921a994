// Calls by `fetch`, without an SDK.

import { type Host, KEY, type Sdk } from "../case.js";

const post = async ({ given: { fetch = globalThis.fetch } }: Host, url: string, body: object): Promise<unknown> => {
  const headers = { "content-type": "application/json", authorization: `Bearer ${KEY}` };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  return [response.status, response.headers.get("content-type"), await response.text()];
};
const HI_GEMINI = { contents: [{ role: "user", parts: [{ text: "Hi" }] }] };

export const byFetch: Sdk = {
  spans: {},
  cases: {
    "Vertex, one array, streamed": {
      answers: ["gemini: one array, streamed"],
      run: (host) => {
        const models = "projects/p/locations/us-central1/publishers/google/models";
        const url = `https://us-central1-aiplatform.googleapis.com/v1/${models}/gemini-2.5-flash:streamGenerateContent`;
        return post(host, url, HI_GEMINI);
      },
      spans: [{ provider: "google_vertexai", model: "gemini-2.5-flash", has_first_token: true }],
    },
    "Cloudflare's AI Gateway, universal, the second of two": {
      answers: ["openai_chat: AI Gateway, universal: the second entry has answered, keys stay out"],
      run: (host) =>
        post(host, "https://gateway.ai.cloudflare.com/v1/acc/gw", [
          {
            provider: "anthropic",
            endpoint: "v1/messages",
            headers: { "x-api-key": KEY },
            query: { model: "claude", max_tokens: 5, messages: [{ role: "user", content: "Hello" }] },
          },
          {
            provider: "openai",
            endpoint: "chat/completions",
            headers: { authorization: `Bearer ${KEY}` },
            query: { model: "gpt", messages: [{ role: "user", content: "Hi" }] },
          },
        ] as object),
      spans: [{ metadata: { cf_aig_step: "1" } }],
    },
    "Cloudflare's REST, a model of another's": {
      answers: ["workers_ai: any model by one path, in its maker's shape"],
      run: (host) =>
        post(host, "https://api.cloudflare.com/client/v4/accounts/acc/ai/run", {
          model: "google/gemini-2.5-flash",
          input: HI_GEMINI,
        }),
    },
    "Cloudflare's REST, embeddings": {
      answers: ["workers_ai: embeddings"],
      run: (host) =>
        post(host, "https://api.cloudflare.com/client/v4/accounts/acc/ai/run/@cf/baai/bge-base-en-v1.5", {
          text: ["a", "b"],
        }),
      spans: [{ provider: "cloudflare", input: { text: ["a", "b"] }, has_first_token: false }],
    },
    "an answer that is no JSON": {
      answers: ["openai_chat: a status without a body that says more"],
      run: (host) =>
        post(host, "https://api.openai.com/v1/chat/completions", {
          model: "m",
          messages: [{ role: "user", content: "Hi" }],
        }),
      spans: [{ provider: "openai", has_first_token: false }],
    },
  },
};
