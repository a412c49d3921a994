// `@mistralai/mistralai`, which calls `fetch` with a `Request`.

import { HTTPClient, Mistral } from "@mistralai/mistralai";
import type { Cases, Host } from "./case.js";
import { all, kind } from "./harness.js";
import type { Behaviour } from "./server.js";
import { breaksOff, leftByBreak } from "./stream-cases.js";

const asked = { model: "model-1", messages: [{ role: "user" as const, content: "Say hello" }] };
const backoff = { initialInterval: 1, maxInterval: 1, exponent: 1, maxElapsedTime: 60_000 };
const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok", retries = false) =>
  new Mistral({
    apiKey: "key",
    serverURL: url(behaviour),
    httpClient: new HTTPClient({ fetcher: (input, init) => (init ? fetch(input, init) : fetch(input)) }),
    retryConfig: retries ? { strategy: "backoff", backoff, retryConnectionErrors: false } : { strategy: "none" },
  });

export const cases: Cases = {
  "a completion": {
    run: async (host) => {
      const made = host.call(() => client(host).chat.complete(asked));
      return [kind(made), await made];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, read": {
    run: async (host) => {
      const stream = await host.call(() => client(host).chat.stream(asked));
      return [kind(stream), stream instanceof ReadableStream, await all(stream)];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, by its reader": {
    run: async (host) => {
      const stream = await host.call(() => client(host).chat.stream(asked));
      const reader = stream.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) host.saw("chunk", next.value);
      return stream.locked;
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, in two": {
    run: async (host) => {
      const [left, right] = (await host.call(() => client(host).chat.stream(asked))).tee();
      return [kind(left), await all(left), await all(right)];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, left by break": leftByBreak((host) => client(host, "endless").chat.stream(asked)),
  "a stream that breaks off": breaksOff((host) => client(host, "broken").chat.stream(asked)),
  "a 500, then an answer": {
    run: (host) => host.call(() => client(host, "once-500", true).chat.complete(asked)),
    calls: ["500 error", "200 read"],
    spans: ["done"],
  },
  "a 401": {
    run: (host) => host.call(() => client(host, "401").chat.complete(asked)),
    calls: ["401 error"],
    spans: ["error"],
  },
  "a server that is not there": {
    run: (host) => host.call(() => client(host, "refused").chat.complete(asked)),
    calls: ["0 error"],
    spans: ["error"],
  },
  "hooks see the platform's answer": {
    run: async (host) => {
      const http = new HTTPClient({ fetcher: (input, init) => (init ? host.fetch(input, init) : host.fetch(input)) });
      http.addHook("beforeRequest", (request) => host.saw("request", [request.method, request.headers]));
      http.addHook("response", async (response, request) =>
        host.saw("response", [
          kind(response),
          response.status,
          request.bodyUsed,
          (await response.clone().text()).length,
        ]),
      );
      const mistral = new Mistral({ apiKey: "key", serverURL: host.url("ok"), httpClient: http });
      return host.call(() => mistral.chat.complete(asked));
    },
    calls: ["200 read"],
    spans: ["done"],
  },
};
