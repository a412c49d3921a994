// `ollama`.

import { Ollama } from "ollama";
import { all, HI, type Host, type Sdk } from "../case.js";

const client = ({ given }: Host) => new Ollama({ host: "http://ollama.internal:11434", ...given });

export const ollama: Sdk = {
  spans: { provider: "ollama" },
  cases: {
    "a chat": {
      answers: ["models: ollama, whole"],
      run: (host) => client(host).chat({ model: "llama3.2", messages: HI }),
      spans: [{ metadata: { created_from: "ollama" } }],
    },
    "a chat, streamed": {
      answers: ["ollama: chat with thinking and a tool call"],
      run: async (host) => all(await client(host).chat({ model: "llama3.2", messages: HI, stream: true })),
      spans: [{ metadata: {} }],
    },
    "a text": {
      answers: ["ollama: a completion in one body"],
      run: (host) => client(host).generate({ model: "m", system: "Be brief", prompt: "Hi" }),
      spans: [
        { model: "m", has_first_token: false, input: { messages: [{ role: "system", content: "Be brief" }, ...HI] } },
      ],
    },
    // The SDK stops reading at the line marked as the last, and leaves the body neither read to its end nor cancelled.
    "a text, streamed": {
      answers: ["models: ollama, generated, streamed"],
      run: async (host) => all(await client(host).generate({ model: "llama3.2", prompt: "Hi", stream: true })),
    },
    "a text, streamed and aborted": {
      answers: [{ of: "models: ollama, generated, streamed", parts: 1 }],
      run: async (host) => {
        const stream = await client(host).generate({ model: "llama3.2", prompt: "Hi", stream: true });
        for await (const part of stream) {
          host.saw("part", part);
          stream.abort();
        }
      },
      spans: [
        {
          output: { choices: [{ index: 0, message: { role: "assistant", content: "Once " } }] },
          usage: null,
          ending: "cancelled",
        },
      ],
    },
    "an error line": {
      answers: ["ollama: an error line"],
      run: async (host) => all(await client(host).chat({ model: "llama3.2", messages: HI, stream: true })),
      spans: [{ has_first_token: false }],
    },
    embeddings: {
      answers: ["ollama: embeddings"],
      run: (host) => client(host).embed({ model: "m", input: ["a"] }),
      spans: [{ input: { input: ["a"] }, has_first_token: false }],
    },
  },
};
