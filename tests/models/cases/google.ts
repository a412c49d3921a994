// `@google/genai`.

import { GoogleGenAI } from "@google/genai";
import { all, type Host, KEY, type Sdk } from "../case.js";

const asked = { model: "gemini-2.5-flash", contents: "Hi" };
const ai = ({ given }: Host, options: object = {}, baseUrl?: string) =>
  new GoogleGenAI({ apiKey: KEY, ...options, httpOptions: { ...given, ...(baseUrl && { baseUrl }) } });

export const google: Sdk = {
  spans: { provider: "google_ai" },
  cases: {
    "an answer": {
      answers: ["models: gemini, whole"],
      run: async (host) => {
        const config = { systemInstruction: "Be brief", temperature: 0.5 };
        const { text, candidates, usageMetadata } = await ai(host).models.generateContent({ ...asked, config });
        return [text, candidates, usageMetadata];
      },
      spans: [
        {
          input: {
            messages: [
              { role: "system", content: "Be brief" },
              { role: "user", content: "Hi" },
            ],
          },
          metadata: { created_from: "genai" },
        },
      ],
    },
    "a stream with thoughts and two tool calls": {
      answers: ["gemini: events, with thoughts and two tool calls"],
      run: async (host) =>
        (await all(await ai(host).models.generateContentStream(asked))).map(({ candidates }) => candidates),
      spans: [{ metadata: {} }],
    },
    "a blocked prompt": {
      answers: ["gemini: a prompt that is blocked"],
      run: async (host) => (await ai(host).models.generateContent(asked)).promptFeedback,
      spans: [{ model: "gemini-2.5-flash", has_first_token: false }],
    },
    "an error in a stream": {
      answers: ["gemini: an error in the midst of a stream"],
      run: async (host) => {
        for await (const { candidates } of await ai(host).models.generateContentStream(asked))
          host.saw("chunk", candidates);
      },
      spans: [{ has_first_token: true }],
    },
    "a chat of two turns": {
      answers: ["models: gemini, whole", "models: gemini, whole"],
      run: async (host) => {
        const chat = ai(host).chats.create({ model: "gemini-2.5-flash" });
        return [(await chat.sendMessage({ message: "Hi" })).text, (await chat.sendMessage({ message: "And?" })).text];
      },
      spans: [
        {},
        {
          input: {
            messages: [
              { role: "user", content: "Hi" },
              { role: "assistant", content: "Grüße" },
              { role: "user", content: "And?" },
            ],
          },
        },
      ],
    },
    Vertex: {
      answers: ["models: gemini, whole"],
      run: async (host) => (await ai(host, { vertexai: true }).models.generateContent(asked)).text,
      spans: [{ provider: "google_vertexai" }],
    },
    "Cloudflare's AI Gateway": {
      answers: ["gemini: events, with thoughts and two tool calls"],
      run: async (host) => {
        const google = ai(host, {}, "https://gateway.ai.cloudflare.com/v1/acc/gw/google-ai-studio");
        return (await all(await google.models.generateContentStream(asked))).map(({ text }) => text);
      },
    },
    "a stream, aborted": {
      answers: [{ of: "gemini: events, with thoughts and two tool calls", parts: 1 }],
      run: async (host) => {
        const controller = new AbortController();
        const config = { abortSignal: controller.signal };
        for await (const { candidates } of await ai(host).models.generateContentStream({ ...asked, config })) {
          host.saw("chunk", candidates);
          controller.abort();
        }
      },
      spans: [
        {
          output: {
            choices: [{ index: 0, message: { role: "assistant", content: null, reasoning_content: "Plan" } }],
          },
          usage: {
            prompt_tokens: 7,
            completion_tokens: 3,
            total_tokens: 10,
            reasoning_tokens: 3,
            "original_usage.prompt_token_count": 7,
            "original_usage.thoughts_token_count": 3,
            "original_usage.total_token_count": 10,
          },
          metadata: {},
          ending: "cancelled",
        },
      ],
    },
    embeddings: {
      answers: ["embeddings: Gemini's"],
      run: async (host) =>
        (await ai(host).models.embedContent({ model: "gemini-embedding-001", contents: ["Hi"] })).embeddings,
      spans: [
        {
          input: {
            input: [{ model: "models/gemini-embedding-001", content: { role: "user", parts: [{ text: "Hi" }] } }],
          },
          has_first_token: false,
        },
      ],
    },
  },
};
