// `ai` with five providers, and `workers-ai-provider` over REST.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createMistral } from "@ai-sdk/mistral";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, type LanguageModel, stepCountIs, streamText, tool } from "ai";
import { createWorkersAI } from "workers-ai-provider";
import { z } from "zod";
import { ANY, type Case, HI, type Host, KEY, SAID_HI, type Sdk } from "../case.js";

type Model = (host: Host) => LanguageModel;
const openaiProvider = ({ given }: Host) => createOpenAI({ apiKey: KEY, ...given });
const chat: Model = (host) => openaiProvider(host).chat("gpt-4.1-mini");
const responses: Model = (host) => openaiProvider(host).responses("gpt-5");
const anthropic: Model = ({ given }) => createAnthropic({ apiKey: KEY, ...given })("claude-haiku-4-5");
const google: Model = ({ given }) => createGoogleGenerativeAI({ apiKey: KEY, ...given })("gemini-2.5-flash");
const mistral: Model = ({ given }) => createMistral({ apiKey: KEY, ...given })("mistral-small-latest");
const compatible: Model = ({ given }) =>
  createOpenAICompatible({ name: "mine", apiKey: KEY, baseURL: "https://llm.internal/v1", ...given })("mine-1");
const workers: Model = ({ given }) =>
  createWorkersAI({ accountId: "acc", apiKey: KEY, ...given })("@cf/meta/llama-4-scout-17b-16e-instruct");
const throughGateway: Model = ({ given }) =>
  createWorkersAI({ accountId: "acc", apiKey: KEY, gateway: { id: "gw" }, ...given })("@cf/qwen/qwen3-30b-a3b-fp8");

const prompt = "Hi";

/** A text, with its reasoning and usage. */
const whole =
  (model: Model): Case["run"] =>
  async (host) => {
    const { text, reasoningText, finishReason, usage } = await generateText({
      model: model(host),
      prompt,
      maxRetries: 0,
    });
    return { text, reasoningText, finishReason, usage };
  };
/** Every part of a stream, without the values that are random in each run. */
const streamed =
  (model: Model): Case["run"] =>
  async (host) => {
    const result = streamText({
      model: model(host),
      prompt,
      maxRetries: 0,
      onError: ({ error }) => host.saw("error", error),
    });
    for await (const { type, ...part } of result.fullStream) host.saw(type, "text" in part ? part.text : undefined);
    return [await result.text, await result.finishReason, await result.usage];
  };
/** A text that needs a tool call. */
const withTool =
  (model: Model): Case["run"] =>
  async (host) => {
    const weather = tool({
      description: "The weather",
      inputSchema: z.object({ city: z.string() }),
      execute: async (args) => {
        host.saw("weather", args);
        return "fine";
      },
    });
    const settings = { model: model(host), prompt, maxRetries: 0, tools: { weather }, stopWhen: stepCountIs(2) };
    const { text, steps, usage } = await generateText(settings);
    return { text, steps: steps.map(({ finishReason, toolCalls }) => [finishReason, toolCalls.length]), usage };
  };

export const aiSdk: Sdk = {
  spans: {},
  cases: {
    "OpenAI's chat": { answers: ["models: chat, whole"], run: whole(chat), spans: [{ provider: "openai" }] },
    "OpenAI's chat, streamed": {
      answers: ["models: chat, streamed"],
      run: streamed(chat),
      spans: [{ provider: "openai" }],
    },
    "OpenAI's chat, a tool": {
      answers: ["models: chat, two tool calls", "models: chat, whole"],
      run: withTool(chat),
      spans: [
        { provider: "openai", input: ANY },
        { provider: "openai", input: ANY },
      ],
    },
    "OpenAI's chat, a tool, streamed": {
      answers: ["models: chat, two tool calls, streamed", "models: chat, streamed"],
      run: async (host) => {
        const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: async () => "fine" });
        const settings = { model: chat(host), prompt, maxRetries: 0, tools: { weather }, stopWhen: stepCountIs(2) };
        const result = streamText({ ...settings, onError: ({ error }) => host.saw("error", error) });
        for await (const { type } of result.fullStream) host.saw(type);
        return [await result.text, await result.totalUsage];
      },
      spans: [
        { provider: "openai", input: ANY },
        { provider: "openai", input: ANY },
      ],
    },
    "OpenAI's responses": {
      answers: ["models: response, whole"],
      run: whole(responses),
      spans: [{ provider: "openai" }],
    },
    "OpenAI's responses, streamed": {
      answers: ["models: response, streamed"],
      run: streamed(responses),
      spans: [{ provider: "openai" }],
    },
    "OpenAI's responses, a tool": {
      answers: ["models: response, a function call", "models: response, whole"],
      run: withTool(responses),
      spans: [
        { provider: "openai", input: ANY },
        { provider: "openai", input: ANY },
      ],
    },
    "OpenAI's, refused and tried again": {
      answers: ["models: chat, refused for now", "models: chat, whole"],
      run: async (host) => (await generateText({ model: chat(host), prompt, maxRetries: 1 })).text,
      spans: [{ provider: "openai", has_first_token: false }, { provider: "openai" }],
    },
    "an embedding": {
      answers: ["models: embeddings, numbers"],
      run: async (host) => {
        const model = createMistral({ apiKey: KEY, ...host.given }).embedding("mistral-embed");
        return (await embed({ model, value: "a", maxRetries: 0 })).usage;
      },
      spans: [{ provider: "mistral", model: "mistral-embed", input: { input: ["a"] }, has_first_token: false }],
    },
    "Anthropic's": {
      answers: ["models: anthropic, whole"],
      run: whole(anthropic),
      spans: [{ provider: "anthropic", input: ANY }],
    },
    "Anthropic's, streamed": {
      answers: ["anthropic: thinking, text and a tool call, streamed"],
      run: streamed(anthropic),
      spans: [{ provider: "anthropic", input: ANY, metadata: {} }],
    },
    "Anthropic's, a tool": {
      answers: ["models: anthropic, two tools", "models: anthropic, whole"],
      run: withTool(anthropic),
      spans: [
        { provider: "anthropic", input: ANY },
        { provider: "anthropic", input: ANY },
      ],
    },
    "Google's": {
      answers: ["models: gemini, whole"],
      run: whole(google),
      spans: [{ provider: "google_ai", input: SAID_HI }],
    },
    "Google's, streamed": {
      answers: ["gemini: events, with thoughts and two tool calls"],
      run: streamed(google),
      spans: [{ provider: "google_ai", input: SAID_HI, metadata: {} }],
    },
    "Google's, a tool": {
      answers: ["models: gemini, a function call", "models: gemini, whole"],
      run: withTool(google),
      spans: [
        { provider: "google_ai", input: ANY },
        { provider: "google_ai", input: ANY },
      ],
    },
    "Mistral's": {
      answers: ["models: mistral, whole"],
      run: whole(mistral),
      spans: [{ provider: "mistral", input: ANY }],
    },
    "Mistral's, streamed": {
      answers: ["models: mistral, streamed"],
      run: streamed(mistral),
      spans: [{ provider: "mistral", input: ANY }],
    },
    "a compatible one's": {
      answers: ["models: chat, whole"],
      run: whole(compatible),
      spans: [{ provider: "openai", isJoined: true }],
    },
    "a compatible one's, streamed": {
      answers: ["openai_chat: two choices that alternate, with reasoning and a refusal"],
      run: streamed(compatible),
      spans: [{ provider: "openai", isJoined: true, metadata: {} }],
    },
    "a compatible one's, a tool": {
      answers: ["models: chat, two tool calls", "models: chat, whole"],
      run: withTool(compatible),
      spans: [
        { provider: "openai", isJoined: true, input: ANY },
        { provider: "openai", isJoined: true, input: ANY },
      ],
    },
    "an abort": {
      answers: [{ of: "models: chat, streamed", parts: 2 }],
      run: async (host) => {
        const controller = new AbortController();
        const { fullStream } = streamText({
          ...{ model: chat(host), prompt, maxRetries: 0, abortSignal: controller.signal },
          onAbort: () => host.saw("onAbort"),
        });
        for await (const { type } of fullStream) {
          host.saw(type);
          if (type === "text-delta") controller.abort();
        }
      },
      spans: [
        {
          provider: "openai",
          output: { choices: [{ index: 0, message: { role: "assistant", content: "Grüße " } }] },
          usage: null,
          ending: "cancelled",
        },
      ],
    },
    "Workers AI, whole": {
      answers: ["models: workers ai, whole"],
      run: whole(workers),
      spans: [WORKERS_AI(HI)],
    },
    "Workers AI, streamed": {
      answers: ["models: workers ai, streamed"],
      run: streamed(workers),
      spans: [WORKERS_AI(HI)],
    },
    "Workers AI, a tool": {
      answers: ["models: workers ai, a tool call", "models: workers ai, whole"],
      run: withTool(workers),
      spans: [WORKERS_AI(), WORKERS_AI()],
    },
    "Workers AI, in a shape of OpenAI's": {
      answers: ["workers_ai: by REST, in a shape of OpenAI's"],
      run: whole(workers),
      spans: [{ provider: "cloudflare" }],
    },
    "Workers AI, a failure": {
      answers: ["workers_ai: by REST, a failure"],
      run: whole(workers),
      spans: [{ ...WORKERS_AI(HI), has_first_token: false }],
    },
    "Workers AI through a gateway": {
      answers: ["workers_ai: chat chunks that end with an empty tool call"],
      run: streamed(throughGateway),
      spans: [{ provider: "cloudflare", model: "@cf/qwen/qwen3-30b-a3b-fp8" }],
    },
  },
};

function WORKERS_AI(messages?: unknown) {
  return {
    provider: "cloudflare",
    model: "@cf/meta/llama-4-scout-17b-16e-instruct",
    input: messages ? { messages } : ANY,
  };
}
