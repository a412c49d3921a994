// `@google/genai`.

import { ApiError, GoogleGenAI } from "@google/genai";
import type { Cases, Host } from "./case.js";
import { all, kind } from "./harness.js";
import type { Behaviour } from "./server.js";

const asked = { model: "model-1", contents: "Say hello" };
const models = ({ fetch, url }: Host, behaviour: Behaviour = "ok", options: object = {}) =>
  new GoogleGenAI({ apiKey: "key", httpOptions: { baseUrl: url(behaviour), fetch, ...options } }).models;
const retried = { retryOptions: { attempts: 2, initialDelay: 0.001 } };

export const cases: Cases = {
  "an answer": {
    run: async (host) => {
      const made = host.call(() => models(host).generateContent(asked));
      const answer = await made;
      return [kind(made), kind(answer), answer.text, answer.usageMetadata, answer.sdkHttpResponse?.headers];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, read": {
    run: async (host) => {
      const stream = await host.call(() => models(host).generateContentStream(asked));
      return [kind(stream), (await all(stream)).map(({ text }) => text)];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, left by break": {
    run: async (host) => {
      const stream = await host.call(() => models(host, "endless").generateContentStream(asked));
      for await (const { text } of stream) {
        host.saw("text", text);
        break;
      }
      return stream.next();
    },
    // The SDK leaves the body unlocked and not cancelled.
    calls: ["200 unfinished|200 stopped"],
    spans: ["done|cancelled|stopped"],
  },
  "a stream, aborted": {
    run: async (host) => {
      const controller = new AbortController();
      const config = { abortSignal: controller.signal };
      const stream = await host.call(() => models(host, "endless").generateContentStream({ ...asked, config }));
      for await (const { text } of stream) {
        host.saw("text", text);
        controller.abort();
      }
    },
    calls: ["200 cancelled"],
    spans: ["error|cancelled"],
    hangUps: 1,
  },
  "an error in the stream": {
    run: async (host) => {
      const stream = await host.call(() => models(host, "in-stream").generateContentStream(asked));
      for await (const _ of stream) host.saw("chunk");
    },
    calls: ["200 unfinished|200 error|200 read"],
    spans: ["error"],
  },
  "a stream that breaks off": {
    run: async (host) => {
      const stream = await host.call(() => models(host, "broken").generateContentStream(asked));
      for await (const { text } of stream) {
        host.saw("text", text);
        await host.breakOff();
      }
    },
    calls: ["200 error"],
    spans: ["error"],
  },
  "a 500, then an answer": {
    run: async (host) => (await host.call(() => models(host, "once-500", retried).generateContent(asked))).text,
    calls: ["500 error", "200 read"],
    spans: ["done"],
  },
  "a 401": {
    run: async (host) => {
      try {
        return await host.call(() => models(host, "401").generateContent(asked));
      } catch (error) {
        return [error instanceof ApiError, error];
      }
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "a chat of two turns": {
    run: async (host) => {
      const { fetch, url } = host;
      const ai = new GoogleGenAI({ apiKey: "key", httpOptions: { baseUrl: url("ok"), fetch } });
      const chat = host.call(() => ai.chats.create({ model: "model-1" }));
      const first = await host.call(() => chat.sendMessage({ message: "one" }));
      const second = await host.call(() => chat.sendMessageStream({ message: "two" }));
      return [first.text, (await all(second)).map(({ text }) => text), chat.getHistory()];
    },
    calls: ["200 read", "200 read"],
    spans: ["done", "done", "done"],
  },
};
