// `openai`, 7.

import OpenAI, { AzureOpenAI } from "openai";
import { all, type Case, HI, KEY, type Sdk } from "../case.js";
import { openaiCases } from "./openai-cases.js";

/** Providers that use OpenAI's format. */
const OTHERS: Readonly<Record<string, string>> = {
  xai: "https://api.x.ai/v1",
  perplexity: "https://api.perplexity.ai",
  fireworks_ai: "https://api.fireworks.ai/inference/v1",
  together: "https://api.together.xyz/v1",
  cerebras: "https://api.cerebras.ai/v1",
};

export const openai: Sdk = {
  spans: { provider: "openai" },
  cases: {
    ...openaiCases(OpenAI),
    ...Object.fromEntries(
      Object.entries(OTHERS).map(([provider, baseURL]): [string, Case] => [
        provider,
        {
          answers: ["models: chat, streamed"],
          run: async ({ given }) => {
            const client = new OpenAI({ apiKey: KEY, baseURL, ...given });
            return all(await client.chat.completions.create({ model: "m", messages: HI, stream: true }));
          },
          spans: [{ provider }],
        },
      ]),
    ),
    Azure: {
      answers: ["openai_chat: Azure: filter results first, a choice without a delta, a deployment's model"],
      run: async ({ given }) => {
        const endpoint = "https://my.openai.azure.com";
        const azure = new AzureOpenAI({
          apiKey: KEY,
          endpoint,
          apiVersion: "2024-10-21",
          deployment: "my-dep",
          ...given,
        });
        return all(await azure.chat.completions.create({ model: "my-dep", messages: HI, stream: true }));
      },
      spans: [{ provider: "azure" }],
    },
  },
};
