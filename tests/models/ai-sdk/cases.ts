// The cases: each kind of call, with its ways to end.

import { z } from "zod";
import type { Case, Sdk, Tree } from "./case.js";

const prompt = "Hi";
const OSLO = { schema: z.object({ city: z.string() }) };

/** The tools that the fixtures call. */
function toolsOf({ ai, beside }: Sdk, fail?: string) {
  const noted = (name: string) => async (input: unknown) => {
    beside(name, input);
    if (name === fail) throw new RangeError("no weather");
    return { [name]: "fine" };
  };
  return {
    weather: ai.tool({ inputSchema: z.object({ city: z.string() }), execute: noted("weather") }),
    time: ai.tool({ inputSchema: z.object({}), execute: noted("time") }),
  };
}

/** Reads a stream to its end. */
async function read(result: { fullStream: AsyncIterable<{ type: string }> }, { saw }: Sdk): Promise<void> {
  for await (const { type } of result.fullStream) saw(type);
}

const BROKEN = "StreamError: the answer ended with an error";
const CHAT = "llm chat gpt-4.1-mini 16 tokens";
/** The trees of a call with these model calls and tools in each step. */
function steps(call: string, ...each: Tree[]): Case["trees"] {
  const [name = call, rest = ""] = call.split(" ", 1).concat(call.split(" ").slice(1).join(" "));
  const root = `general ${name}${rest && ` ${rest}`}`;
  return {
    7: [
      root,
      ...each.flatMap((lines, at) => [
        `  general step ${at + 1}${rest && ` ${rest}`}`,
        ...lines.map((line) => `    ${line}`),
      ]),
    ],
    6: [root, ...each.flat().map((line) => `  ${line}`)],
  };
}
const same = (...tree: Tree): Case["trees"] => ({ 7: tree, 6: tree });

export const CASES: Readonly<Record<string, Case>> = {
  "a text": {
    answers: ["models: chat, whole"],
    run: async (sdk) => {
      const { text, usage } = await sdk.ai.generateText({
        ...{ model: sdk.chat, system: "Be kind", prompt, temperature: 0 },
        ...sdk.context({ threadId: "thread-1", tags: ["a", "b"], tenant: "t" }),
      });
      return [text, usage];
    },
    trees: steps("ask", [CHAT]),
  },
  "a stream": {
    answers: ["models: chat, streamed"],
    run: async (sdk) => {
      const result = sdk.ai.streamText({ model: sdk.chat, prompt, ...sdk.telemetry() });
      await read(result, sdk);
      return [await result.text, await result.usage];
    },
    trees: steps("ask", [CHAT]),
  },
  tools: {
    answers: ["models: chat, two tool calls", "models: chat, whole"],
    run: async (sdk) => {
      const settings = { model: sdk.chat, prompt, tools: toolsOf(sdk), stopWhen: sdk.ai.stepCountIs(2) };
      const { text, steps } = await sdk.ai.generateText({ ...settings, ...sdk.telemetry() });
      return [text, steps.length];
    },
    trees: steps("ask", [CHAT, "tool weather", "tool time"], [CHAT]),
  },
  "tools, streamed": {
    answers: ["models: chat, two tool calls, streamed", "models: chat, streamed"],
    run: async (sdk) => {
      const settings = { model: sdk.chat, prompt, tools: toolsOf(sdk), stopWhen: sdk.ai.stepCountIs(2) };
      const result = sdk.ai.streamText({ ...settings, ...sdk.telemetry() });
      await read(result, sdk);
      return [await result.text, (await result.steps).length];
    },
    trees: steps("ask", [CHAT, "tool weather", "tool time"], [CHAT]),
  },
  "a tool that fails": {
    answers: ["models: chat, two tool calls", "models: chat, whole"],
    run: async (sdk) => {
      const settings = { model: sdk.chat, prompt, tools: toolsOf(sdk, "weather"), stopWhen: sdk.ai.stepCountIs(2) };
      const { text } = await sdk.ai.generateText({ ...settings, ...sdk.telemetry() });
      return text;
    },
    trees: steps("ask", [CHAT, "tool weather RangeError: no weather", "tool time"], [CHAT]),
  },
  "a call in a tool": {
    answers: ["models: chat, two tool calls", "models: chat, whole", "models: chat, whole"],
    run: async (sdk) => {
      const { time } = toolsOf(sdk);
      const inner = async () => {
        const { text } = await sdk.ai.generateText({
          model: sdk.chat,
          prompt,
          ...sdk.telemetry({ functionId: "inner" }),
        });
        return text;
      };
      const weather = sdk.ai.tool({ inputSchema: z.object({ city: z.string() }), execute: inner });
      const settings = { model: sdk.chat, prompt, tools: { weather, time }, stopWhen: sdk.ai.stepCountIs(2) };
      const { text } = await sdk.ai.generateText({ ...settings, ...sdk.telemetry() });
      return text;
    },
    trees: {
      7: steps(
        "ask",
        [CHAT, "tool weather", "  general inner", "    general step 1", `      ${CHAT}`, "tool time"],
        [CHAT],
      )[7],
      6: steps("ask", [CHAT, "tool weather", "  general inner", `    ${CHAT}`, "tool time"], [CHAT])[6],
    },
  },
  "an object": {
    isOutside: true,
    answers: ["models: chat, an object"],
    run: async (sdk) => (await sdk.ai.generateObject({ model: sdk.chat, prompt, ...OSLO, ...sdk.telemetry() })).object,
    trees: same("general ask", `  ${CHAT}`),
  },
  "an object, streamed": {
    isOutside: true,
    answers: ["models: chat, an object, streamed"],
    run: async (sdk) => {
      const result = sdk.ai.streamObject({ model: sdk.chat, prompt, ...OSLO, ...sdk.telemetry() });
      for await (const part of result.partialObjectStream) sdk.saw("part", part);
      return result.object;
    },
    trees: same("general ask", `  ${CHAT}`),
  },
  "an embedding": {
    isOutside: true,
    answers: ["models: embeddings, numbers"],
    run: async (sdk) => {
      const { embedding, usage } = await sdk.ai.embed({ model: sdk.embedding, value: "a", ...sdk.telemetry() });
      return [embedding, usage];
    },
    trees: same("general ask", "  llm embeddings text-embedding-3-small 2 tokens"),
  },
  "refused and tried again": {
    answers: ["models: chat, refused for now", "models: chat, whole"],
    run: async (sdk) =>
      (await sdk.ai.generateText({ model: sdk.chat, prompt, maxRetries: 1, ...sdk.telemetry() })).text,
    trees: {
      7: steps("ask", [CHAT])[7],
      6: steps("ask", ["llm chat gpt-4.1-mini AI_APICallError: Slow down", CHAT])[6],
    },
  },
  refused: {
    answers: ["models: chat, refused for now"],
    run: async (sdk) =>
      (await sdk.ai.generateText({ model: sdk.chat, prompt, maxRetries: 0, ...sdk.telemetry() })).text,
    trees: steps("ask AI_APICallError: Slow down", ["llm chat gpt-4.1-mini AI_APICallError: Slow down"]),
  },
  "refused, a stream": {
    answers: ["models: chat, refused for now"],
    run: async (sdk) => {
      const onError = ({ error }: { error: unknown }): void => sdk.beside("onError", error);
      const result = sdk.ai.streamText({ model: sdk.chat, prompt, maxRetries: 0, onError, ...sdk.telemetry() });
      await read(result, sdk);
    },
    trees: steps("ask AI_APICallError: Slow down", ["llm chat gpt-4.1-mini AI_APICallError: Slow down"]),
  },
  "an error in the stream": {
    answers: ["models: chat, an error in a stream"],
    run: async (sdk) => {
      const onError = ({ error }: { error: unknown }): void => sdk.beside("onError", error);
      await read(sdk.ai.streamText({ model: sdk.chat, prompt, onError, ...sdk.telemetry() }), sdk);
    },
    trees: steps(`ask ${BROKEN}`, [`llm chat gpt-4.1-mini ${BROKEN}`]),
  },
  "an abort": {
    answers: [{ of: "models: chat, streamed", parts: 2 }],
    run: async (sdk) => {
      const controller = new AbortController();
      const settings = { model: sdk.chat, prompt, abortSignal: controller.signal };
      const result = sdk.ai.streamText({ ...settings, onAbort: () => sdk.beside("onAbort"), ...sdk.telemetry() });
      for await (const { type } of result.fullStream) {
        sdk.saw(type);
        if (type === "text-delta") controller.abort();
      }
    },
    trees: steps("ask cancelled", ["llm chat gpt-4.1-mini cancelled"]),
  },
  "an abort of a whole answer": {
    answers: [{ of: "models: chat, streamed", parts: 2 }],
    run: async (sdk) => {
      const controller = new AbortController();
      const settings = { model: sdk.chat, prompt, abortSignal: controller.signal };
      const asked = sdk.ai.generateText({ ...settings, ...sdk.telemetry() });
      await sdk.answered;
      controller.abort();
      return (await asked).text;
    },
    trees: steps("ask cancelled", ["llm chat gpt-4.1-mini cancelled"]),
  },
  "two at once": {
    answers: ["models: chat, whole", "models: chat, whole"],
    run: async (sdk) => {
      const ask = async (functionId: string) =>
        (await sdk.ai.generateText({ model: sdk.chat, prompt, ...sdk.telemetry({ functionId }) })).text;
      return Promise.all([ask("one"), ask("two")]);
    },
    trees: {
      7: [...steps("one", [CHAT])[7], ...steps("two", [CHAT])[7]],
      6: [...steps("one", [CHAT])[6], ...steps("two", [CHAT])[6]],
    },
  },
  "nothing of its content": {
    answers: ["models: chat, two tool calls", "models: chat, whole"],
    run: async (sdk) => {
      const settings = { model: sdk.chat, prompt: "a secret", tools: toolsOf(sdk), stopWhen: sdk.ai.stepCountIs(2) };
      const telemetry = sdk.telemetry({ recordInputs: false, recordOutputs: false });
      return (await sdk.ai.generateText({ ...settings, ...telemetry })).text;
    },
    trees: steps("ask", [CHAT, "tool weather", "tool time"], [CHAT]),
  },
  "a consumer that stops reading": {
    answers: [{ of: "models: chat, streamed", parts: 2 }],
    run: async (sdk) => {
      const result = sdk.ai.streamText({ model: sdk.chat, prompt, ...sdk.telemetry() });
      for await (const { type } of result.fullStream) {
        sdk.saw(type);
        if (type === "text-delta") break;
      }
    },
    trees: steps("ask unfinished", ["llm chat gpt-4.1-mini unfinished"]),
  },
};
