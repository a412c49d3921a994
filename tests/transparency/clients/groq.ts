// `groq-sdk`.

import Groq from "groq-sdk";
import type { Cases, Host } from "./case.js";
import { all, answerOf, kind } from "./harness.js";
import type { Behaviour } from "./server.js";
import { breaksOff, leftByBreak } from "./stream-cases.js";

const asked = { model: "model-1", messages: [{ role: "user" as const, content: "Say hello" }] };
const streamed = { ...asked, stream: true as const };
const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok", options: object = {}) =>
  new Groq({ apiKey: "key", baseURL: url(behaviour), fetch, maxRetries: 2, ...options });

export const cases: Cases = {
  "a completion": {
    run: async (host) => {
      const made = host.call(() => client(host).chat.completions.create(asked));
      return [kind(made), await made];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "withResponse()": {
    run: async (host) => {
      const { data, response } = await host.call(() => client(host).chat.completions.create(asked)).withResponse();
      return [data, response.status, response.url];
    },
    calls: ["200 read"],
    spans: ["done|unfinished"],
  },
  "asResponse()": {
    run: async (host) => answerOf(await host.call(() => client(host).chat.completions.create(asked)).asResponse()),
    calls: ["200 read"],
    spans: ["done|unfinished"],
  },
  "a stream, read": {
    run: async (host) => {
      const stream = await host.call(() => client(host).chat.completions.create(streamed));
      return [kind(stream), await all(stream)];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, left by break": leftByBreak((host) => client(host, "endless").chat.completions.create(streamed)),
  "a stream that breaks off": breaksOff((host) => client(host, "broken").chat.completions.create(streamed)),
  "a 429, then an answer": {
    run: (host) => host.call(() => client(host, "once-429").chat.completions.create(asked)),
    calls: ["429 error", "200 read"],
    spans: ["done"],
  },
  "a 401": {
    run: (host) => host.call(() => client(host, "401").chat.completions.create(asked)),
    calls: ["401 error"],
    spans: ["error"],
  },
  "a server that is not there": {
    run: (host) => host.call(() => client(host, "refused", { maxRetries: 0 }).chat.completions.create(asked)),
    calls: ["0 error"],
    spans: ["error"],
  },
};
