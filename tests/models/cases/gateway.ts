// `ai-gateway-provider`, which sends several calls to Cloudflare's AI Gateway in one request, and a gateway called by `fetch`.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";
import { createAiGateway } from "ai-gateway-provider";
import { type Host, KEY, type Sdk } from "../case.js";

const gateway = (_: Host) => createAiGateway({ accountId: "acc", gateway: "gw", apiKey: KEY });
const openai = () => createOpenAI({ apiKey: KEY });

/** It always calls the global `fetch`. */
export const aiGateway: Sdk = {
  takesNoFetch: true,
  spans: { provider: "openai" },
  cases: {
    "a text": {
      answers: ["models: chat, whole"],
      run: async (host) => {
        const model = gateway(host)([openai().chat("gpt-4.1-mini")]);
        return (await generateText({ model, prompt: "Hi", maxRetries: 0 })).text;
      },
    },
    "a stream": {
      answers: ["models: chat, streamed"],
      run: async (host) => {
        const model = gateway(host)([openai().chat("gpt-4.1-mini")]);
        const result = streamText({ model, prompt: "Hi", maxRetries: 0 });
        return [await result.text, await result.usage];
      },
    },
  },
};
