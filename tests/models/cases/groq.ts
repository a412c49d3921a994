// `groq-sdk`.

import Groq from "groq-sdk";
import { all, HI, type Host, KEY, type Sdk } from "../case.js";

const asked = { model: "openai/gpt-oss-120b", messages: HI };
const client = ({ given }: Host) => new Groq({ apiKey: KEY, ...given });

export const groq: Sdk = {
  spans: { provider: "groq" },
  cases: {
    "a completion": {
      answers: ["models: groq, whole"],
      run: (host) => client(host).chat.completions.create(asked),
    },
    "a stream": {
      answers: ["models: groq, streamed"],
      run: async (host) => all(await client(host).chat.completions.create({ ...asked, stream: true })),
    },
    "a stream, left by break": {
      answers: [{ of: "models: groq, streamed", parts: 2 }],
      run: async (host) => {
        for await (const chunk of await client(host).chat.completions.create({ ...asked, stream: true })) {
          host.saw("chunk", chunk);
          if (chunk.choices[0]?.delta.content) break;
        }
      },
      spans: [
        {
          output: { choices: [{ index: 0, message: { role: "assistant", content: "Ok", reasoning_content: "Plan" } }] },
          usage: null,
          ending: "cancelled|stopped",
        },
      ],
    },
  },
};
