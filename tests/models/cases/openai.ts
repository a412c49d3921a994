// `openai`, 7.

import OpenAI, { AzureOpenAI } from "openai";
import { all, HI, type Sdk } from "../case.js";
import { openaiCases } from "./openai-cases.js";

export const openai: Sdk = {
  spans: { provider: "openai" },
  cases: {
    ...openaiCases(OpenAI),
    Azure: {
      answers: ["openai_chat: Azure: filter results first, a choice without a delta, a deployment's model"],
      run: async ({ given }) => {
        const endpoint = "https://my.openai.azure.com";
        const azure = new AzureOpenAI({
          apiKey: "key",
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
