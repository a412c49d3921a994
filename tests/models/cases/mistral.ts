// `@mistralai/mistralai`, which calls `fetch` with a `Request`.

import { HTTPClient, Mistral } from "@mistralai/mistralai";
import { all, HI, type Host, KEY, type Sdk } from "../case.js";

const asked = { model: "mistral-small-latest", messages: HI };
const client = ({ given: { fetch } }: Host) =>
  new Mistral({
    apiKey: KEY,
    ...(fetch && {
      httpClient: new HTTPClient({ fetcher: (input, init) => (init ? fetch(input, init) : fetch(input)) }),
    }),
  });

export const mistral: Sdk = {
  spans: { provider: "mistral" },
  cases: {
    "a completion": {
      answers: ["models: mistral, whole"],
      run: (host) => client(host).chat.complete(asked),
    },
    "a stream": {
      answers: ["models: mistral, streamed"],
      run: async (host) => all(await client(host).chat.stream(asked)),
    },
    "a stream, left by break": {
      answers: [{ of: "models: mistral, streamed", parts: 2 }],
      run: async (host) => {
        for await (const { data } of await client(host).chat.stream(asked)) {
          host.saw("data", data);
          if (Array.isArray(data.choices[0]?.delta.content) && data.choices[0].delta.content[0]?.type === "text") break;
        }
      },
      spans: [
        {
          output: { choices: [{ index: 0, message: { role: "assistant", content: "Os", reasoning_content: "Hm" } }] },
          usage: null,
          ending: "cancelled|stopped",
        },
      ],
    },
    embeddings: {
      answers: ["models: embeddings, numbers"],
      run: (host) => client(host).embeddings.create({ model: "mistral-embed", inputs: ["a", "b"] }),
      spans: [{ model: "mistral-embed", input: { input: ["a", "b"] }, has_first_token: false }],
    },
  },
};
