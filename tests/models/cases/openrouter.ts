// `@openrouter/sdk`.

import { HTTPClient, OpenRouter } from "@openrouter/sdk";
import { all, HI, type Host, KEY, type Sdk } from "../case.js";

const client = ({ given: { fetch } }: Host) =>
  new OpenRouter({
    apiKey: KEY,
    ...(fetch && {
      httpClient: new HTTPClient({ fetcher: (input, init) => (init ? fetch(input, init) : fetch(input)) }),
    }),
  });
const asked = { model: "openrouter/auto", messages: HI };

export const openrouter: Sdk = {
  spans: { provider: "openrouter" },
  cases: {
    "a completion": {
      answers: ["models: openrouter, whole"],
      run: (host) => client(host).chat.send({ chatRequest: asked }),
    },
    "a stream": {
      answers: ["models: openrouter, streamed"],
      run: async (host) => {
        const chatRequest = { ...asked, stream: true as const };
        return all((await client(host).chat.send({ chatRequest })) as AsyncIterable<unknown>);
      },
    },
  },
};
