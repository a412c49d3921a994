// `ai` with OpenAI's provider. Its results have promises as getters, and streams that start when they are read.

import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateText, Output, streamText } from "ai";
import { z } from "zod";
import type { Cases, Host } from "./case.js";
import { all, answerOf, kind } from "./harness.js";
import type { Behaviour } from "./server.js";

const model = ({ fetch, url }: Host, behaviour: Behaviour = "ok") =>
  createOpenAI({ apiKey: "key", baseURL: `${url(behaviour)}/v1`, fetch }).chat("model-1");
const prompt = "Say hello";
/** Notes errors of a stream, which otherwise would be logged to the console. */
const quiet = (host: Host) => ({ onError: ({ error }: { error: unknown }) => host.saw("onError", error) });

export const cases: Cases = {
  "a text": {
    run: async (host) => {
      const made = host.call(() => generateText({ model: model(host), prompt }));
      const { text, finishReason, usage } = await made;
      return [kind(made), text, finishReason, usage];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "an object": {
    run: async (host) => {
      const output = Output.object({ schema: z.object({ n: z.number() }) });
      return (await host.call(() => generateText({ model: model(host), prompt, output }))).output;
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream of text": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host), prompt }));
      const shape = kind(result);
      const { textStream } = result;
      return [shape, kind(textStream), await all(textStream), await result.finishReason];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream of text, of an async function": {
    run: async (host) => {
      const result = await host.call(async () => streamText({ model: model(host), prompt }));
      return all(result.textStream);
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, all its parts": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host), prompt }));
      return (await all(result.fullStream)).map(({ type }) => type);
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "its promises alone": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host), prompt }));
      return Promise.all([result.text, result.usage, result.finishReason]);
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "its two halves": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host), prompt }));
      const [left, right] = [result.textStream, result.textStream];
      return Promise.all([all(left), all(right)]);
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "consumeStream()": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host), prompt, onEnd: () => host.saw("end") }));
      await result.consumeStream();
      return result.text;
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "toTextStreamResponse()": {
    run: (host) => answerOf(host.call(() => streamText({ model: model(host), prompt }).toTextStreamResponse())),
    calls: ["200 read"],
    spans: ["done"],
  },
  "toTextStreamResponse(), of the result": {
    run: (host) => answerOf(host.call(() => streamText({ model: model(host), prompt })).toTextStreamResponse()),
    calls: ["200 read"],
    spans: ["done"],
  },
  "toUIMessageStreamResponse()": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host), prompt }));
      const { text } = (await answerOf(result.toUIMessageStreamResponse())) as { text: string };
      return text.replaceAll(/"(messageId|id)":"[^"]*"/g, "");
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "the stream itself": {
    run: async (host) => {
      const stream = host.call(() => streamText({ model: model(host), prompt }).textStream);
      const shape = kind(stream);
      return [shape, stream instanceof ReadableStream, await all(stream)];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a promise itself": {
    run: async (host) => {
      const made = host.call(() => streamText({ model: model(host), prompt }).text);
      return [kind(made), await made];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, aborted": {
    run: async (host) => {
      const controller = new AbortController();
      const { signal: abortSignal } = controller;
      const settings = { model: model(host, "endless"), prompt, abortSignal, ...quiet(host) };
      const result = host.call(() => streamText({ ...settings, onAbort: () => host.saw("abort") }));
      for await (const part of result.fullStream) {
        host.saw(part.type);
        if (part.type === "text-delta") controller.abort();
      }
    },
    calls: ["200 cancelled"],
    spans: ["done"],
    hangUps: 1,
  },
  "a stream that breaks off": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host, "broken"), prompt, ...quiet(host) }));
      for await (const { type } of result.fullStream) {
        host.saw(type);
        if (type === "text-delta") await host.breakOff();
      }
    },
    calls: ["200 error"],
    spans: ["done"],
  },
  "a 401": {
    run: (host) => host.call(() => generateText({ model: model(host, "401"), prompt })),
    calls: ["401 error"],
    spans: ["error"],
  },
  "a 401, streamed": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host, "401"), prompt, ...quiet(host) }));
      return [await all(result.textStream), await Promise.resolve(result.text).catch((error: Error) => error)];
    },
    calls: ["401 error"],
    spans: ["done"],
  },
  "a 401, streamed, that nobody asks for": {
    run: async (host) => {
      const result = host.call(() => streamText({ model: model(host, "401"), prompt, ...quiet(host) }));
      await host.until(1);
      return kind(result);
    },
    calls: ["401 error"],
    spans: ["done"],
  },
  "a 429, then an answer": {
    run: async (host) => (await host.call(() => generateText({ model: model(host, "once-429"), prompt }))).text,
    calls: ["429 error", "200 read"],
    spans: ["done"],
  },
  "an embedding of no model": {
    run: async (host) => {
      const { fetch, url } = host;
      const openai = createOpenAI({ apiKey: "key", baseURL: `${url("ok")}/v1`, fetch });
      return host.call(() => embed({ model: openai.embedding("model-1"), value: "hi", maxRetries: 0 }));
    },
    calls: ["404 error"],
    spans: ["error"],
  },
};
