// `@anthropic-ai/sdk`, and Anthropic's SDK for Bedrock.

import AnthropicBedrock from "@anthropic-ai/bedrock-sdk";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { ANY, all, HI, type Host, KEY, type Sdk } from "../case.js";

const asked = { model: "claude-haiku-4-5", max_tokens: 100, messages: HI };
const streamed = { ...asked, stream: true as const };
const tools = [{ name: "weather", description: "The weather", input_schema: { type: "object" as const } }];
const client = ({ given }: Host, options: object = {}) => new Anthropic({ apiKey: KEY, ...given, ...options });

export const anthropic: Sdk = {
  spans: { provider: "anthropic" },
  cases: {
    "a message": {
      answers: ["models: anthropic, whole"],
      run: (host) => client(host).messages.create({ ...asked, system: "Be brief" }),
      spans: [
        {
          input: { messages: [{ role: "system", content: "Be brief" }, ...HI] },
          metadata: { max_tokens: 100, created_from: "anthropic" },
        },
      ],
    },
    "a message, withResponse()": {
      answers: ["models: anthropic, whole"],
      run: async (host) => {
        const { data, response } = await client(host).messages.create(asked).withResponse();
        return [data, response.status, response.url];
      },
    },
    "a message with two tools": {
      answers: ["models: anthropic, two tools"],
      run: (host) => client(host).messages.create({ ...asked, tools }),
      spans: [{ input: { messages: HI, tools } }],
    },
    "a stream with thinking": {
      answers: ["anthropic: thinking, text and a tool call, streamed"],
      run: async (host) => all(await client(host).messages.create(streamed)),
      spans: [{ metadata: {} }],
    },
    "stream()": {
      answers: ["models: anthropic, two tools, streamed"],
      run: async (host) => {
        const runner = client(host).messages.stream({ ...asked, tools });
        runner.on("text", (delta) => host.saw("text", delta));
        return runner.finalMessage();
      },
      spans: [{ input: { messages: HI, tools } }],
    },
    "stream(), iterated": {
      answers: ["models: anthropic, two tools, streamed"],
      run: async (host) => {
        const runner = client(host).messages.stream(asked);
        return [await all(runner), await runner.finalText()];
      },
    },
    "a retry": {
      answers: ["anthropic: an answer that is refused", "models: anthropic, whole"],
      // The SDK does not retry a 401, so the host does.
      run: async (host) => {
        await client(host)
          .messages.create(asked)
          .catch((error: Error) => host.saw("refused", error.message));
        return client(host).messages.create(asked);
      },
      spans: [{ model: "claude-haiku-4-5", has_first_token: false }, {}],
    },
    "an overload after it has begun": {
      answers: ["models: anthropic, overloaded"],
      run: async (host) => {
        for await (const event of await client(host).messages.create(streamed)) host.saw("event", event);
      },
    },
    "a stream, left by break": {
      answers: [{ of: "models: anthropic, two tools, streamed", parts: 4 }],
      run: async (host) => {
        for await (const event of await client(host).messages.create(streamed)) {
          host.saw("event", event);
          if (event.type === "content_block_delta") break;
        }
      },
      spans: [{ ...BEGUN(), ending: "cancelled|stopped" }],
    },
    "a runner, aborted": {
      answers: [{ of: "models: anthropic, two tools, streamed", parts: 4 }],
      run: async (host) => {
        const runner = client(host).messages.stream(asked);
        runner.on("text", () => runner.abort());
        return runner.finalMessage();
      },
      spans: [{ ...BEGUN(), ending: "cancelled" }],
    },
    "a tool runner": {
      answers: ["models: anthropic, two tools", "models: anthropic, whole"],
      run: async (host) => {
        const runnable = ["weather", "time"].map((name) =>
          betaTool({
            name,
            description: `The ${name}`,
            inputSchema: { type: "object" },
            run: (args) => {
              host.saw(name, args);
              return "fine";
            },
          }),
        );
        const message = await client(host)
          .beta.messages.toolRunner({ ...asked, tools: runnable })
          .runUntilDone();
        return message.content;
      },
      spans: [{ input: ANY }, { input: ANY }],
    },
    "Cloudflare's AI Gateway": {
      answers: ["models: anthropic, two tools, streamed"],
      run: (host) => {
        const baseURL = "https://gateway.ai.cloudflare.com/v1/acc/gw/anthropic";
        return client(host, { baseURL }).messages.stream(asked).finalMessage();
      },
    },
    "Bedrock, whole": {
      answers: ["models: anthropic, whole"],
      run: (host) => bedrock(host).messages.create({ ...asked, model: BEDROCK_MODEL }),
      spans: [{ provider: "bedrock" }],
    },
    "Bedrock, streamed": {
      answers: ["bedrock: invoke, streamed in Anthropic's shape"],
      run: async (host) => all(await bedrock(host).messages.create({ ...streamed, model: BEDROCK_MODEL })),
      spans: [{ provider: "bedrock" }],
    },
  },
};

const BEDROCK_MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const bedrock = ({ given }: Host) =>
  new AnthropicBedrock({ awsRegion: "us-east-1", awsAccessKey: "AKIA", awsSecretKey: KEY, ...given });

/** The record at the stream's first text: it has usage already, because tokens are counted from the start. */
function BEGUN() {
  return {
    output: { choices: [{ index: 0, message: { role: "assistant", content: "Let me see" } }] },
    usage: {
      prompt_tokens: 112,
      completion_tokens: 1,
      total_tokens: 113,
      "original_usage.input_tokens": 12,
      "original_usage.cache_creation_input_tokens": 0,
      "original_usage.cache_read_input_tokens": 100,
      "original_usage.output_tokens": 1,
    },
  };
}
