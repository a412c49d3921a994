// `ollama`.

import { Ollama } from "ollama/browser";
import type { Cases, Host } from "./case.js";
import { all, kind } from "./harness.js";
import type { Behaviour } from "./server.js";

const asked = { model: "model-1", messages: [{ role: "user", content: "Say hello" }] };
const streamed = { ...asked, stream: true as const };
const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok") => new Ollama({ host: url(behaviour), fetch });

export const cases: Cases = {
  "a chat": {
    run: async (host) => {
      const made = host.call(() => client(host).chat(asked));
      return [kind(made), await made];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a text": {
    run: (host) => host.call(() => client(host).generate({ model: "model-1", prompt: "hi" })),
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, read": {
    run: async (host) => {
      const stream = await host.call(() => client(host).chat(streamed));
      return [kind(stream), await all(stream)];
    },
    // The client stops at the line marked as the last, and leaves the rest of the body.
    calls: ["200 read|200 unfinished"],
    spans: ["done"],
  },
  "a stream, of an async function": {
    run: async (host) => all(await host.call(async () => await client(host).chat(streamed))),
    calls: ["200 read|200 unfinished"],
    spans: ["done"],
  },
  "a stream, aborted": {
    run: async (host) => {
      const stream = await host.call(() => client(host, "endless").chat(streamed));
      for await (const part of stream) {
        host.saw("part", part);
        stream.abort();
      }
    },
    calls: ["200 cancelled"],
    spans: ["error|cancelled"],
    hangUps: 1,
  },
  "all streams of a client, aborted": {
    run: async (host) => {
      const ollama = client(host, "endless");
      const stream = await host.call(() => ollama.chat(streamed));
      for await (const part of stream) {
        host.saw("part", part);
        ollama.abort();
      }
    },
    calls: ["200 cancelled"],
    spans: ["error|cancelled"],
    hangUps: 1,
  },
  "a stream, left by break": {
    run: async (host) => {
      const stream = await host.call(() => client(host, "endless").chat(streamed));
      for await (const part of stream) {
        host.saw("part", part);
        break;
      }
    },
    calls: ["200 unfinished|200 stopped"],
    spans: ["done|cancelled|stopped"],
  },
  "an error in the stream": {
    run: async (host) => {
      const stream = await host.call(() => client(host, "in-stream").chat(streamed));
      for await (const part of stream) host.saw("part", part);
    },
    calls: ["200 unfinished|200 read"],
    spans: ["error"],
  },
  "a stream that breaks off": {
    run: async (host) => {
      const stream = await host.call(() => client(host, "broken").chat(streamed));
      for await (const part of stream) {
        host.saw("part", part);
        await host.breakOff();
      }
    },
    calls: ["200 error"],
    spans: ["error"],
  },
  "a 401": {
    run: (host) => host.call(() => client(host, "401").chat(asked)),
    calls: ["401 error"],
    spans: ["error"],
  },
  "a server that is not there": {
    run: (host) => host.call(() => client(host, "refused").chat(asked)),
    calls: ["0 error"],
    spans: ["error"],
  },
};
