// `ofetch`.

import { createFetch } from "ofetch";
import type { Cases, Host } from "./case.js";
import { answerOf, kind } from "./harness.js";
import type { Behaviour } from "./server.js";

const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok") =>
  createFetch({ fetch, Headers, AbortController, defaults: { baseURL: url(behaviour), retryDelay: 1 } });

export const cases: Cases = {
  "an answer": {
    run: async (host) => {
      const made = host.call(() => client(host)("/json", { method: "POST", body: { a: "ö" } }));
      return [kind(made), await made];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "the answer itself": {
    run: async (host) => {
      const response = await host.call(() => client(host).raw("/json", { query: { a: 1 } }));
      return [kind(response), response.status, response.url, response._data, response.bodyUsed];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "the platform's answer": {
    run: async (host) => answerOf(await host.call(() => client(host).native(`${host.url("ok")}/text`))),
    calls: ["200 read"],
    spans: ["done"],
  },
  "a body whose answer nobody holds while garbage is collected": {
    run: async (host) => {
      const bodyOf = async () => (await host.call(() => client(host).native(`${host.url("ok")}/stream`))).body!;
      const reader = (await bodyOf()).getReader();
      const decoder = new TextDecoder();
      let text = "";
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        text += decoder.decode(next.value, { stream: true });
        await host.collect();
      }
      return text;
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a text, bytes, a blob, nothing": {
    run: async (host) => [
      await client(host)("/text"),
      (await client(host)("/text", { responseType: "arrayBuffer" })).byteLength,
      (await client(host)("/text", { responseType: "blob" })).size,
      await client(host)("/empty"),
    ],
    calls: ["200 read", "200 read", "200 read", "204 done"],
  },
  "a stream": {
    run: async (host) => {
      const stream = await host.call(() => client(host)("/stream", { responseType: "stream" }));
      return [kind(stream), await new Response(stream).text()];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream as the body": {
    run: (host) => {
      const body = new Blob(["a ", "stream"]).stream();
      return host.call(() => client(host)("/json", { method: "POST", body, duplex: "half" }));
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a 500, then an answer": {
    run: (host) => host.call(() => client(host, "once-500")("/json")),
    calls: ["500 error", "200 read"],
    spans: ["done"],
  },
  "a 401": {
    run: async (host) => {
      try {
        return await host.call(() => client(host, "401")("/json"));
      } catch (error) {
        const { response, data, status } = error as { response: Response; data: unknown; status: number };
        return [error, kind(response), data, status];
      }
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "interceptors see the platform's answer": {
    run: (host) =>
      client(host)("/json", {
        onRequest: ({ request }) => host.saw("request", request),
        onResponse: ({ response }) => host.saw("response", [kind(response), response.status]),
      }),
    calls: ["200 read"],
  },
  "a call that is aborted before its answer": {
    run: async (host) => {
      const controller = new AbortController();
      const made = host.call(() => client(host, "silent")("/json", { signal: controller.signal, retry: 0 }));
      host.until(1).then(() => controller.abort());
      return made;
    },
    calls: ["0 cancelled"],
    spans: ["error|cancelled"],
    hangUps: 1,
  },
  "a server that is not there": {
    run: (host) => host.call(() => client(host, "refused")("/json", { retry: 0 })),
    calls: ["0 error"],
    spans: ["error"],
  },
};
