// Uses of OpenAI's SDK, for both major versions.

import type OpenAIClass from "openai";
import { all, type Case, HI, type Host, KEY, SAID_HI } from "../case.js";

const TOOL = {
  type: "function" as const,
  function: {
    name: "weather",
    description: "The weather",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
};
const asked = { model: "gpt-4.1-mini", messages: HI };
const streamed = { ...asked, stream: true as const };
const CALLS = [
  { id: "call_a", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } },
  { id: "call_b", type: "function", function: { name: "time", arguments: "{}" } },
];

/** The cases for the SDK with this class. */
export function openaiCases(OpenAI: typeof OpenAIClass): Record<string, Case> {
  const client = ({ given }: Host, options: object = {}) => new OpenAI({ apiKey: KEY, ...given, ...options });
  const tools = (host: Host) =>
    ["weather", "time"].map((name) => ({
      type: "function" as const,
      function: {
        name,
        description: `The ${name}`,
        parameters: { type: "object", properties: {} },
        parse: JSON.parse,
        function: (args: object) => {
          host.saw(name, args);
          return "fine";
        },
      },
    }));
  const toolInput = {
    messages: HI,
    tools: ["weather", "time"].map((name) => ({
      type: "function",
      function: { name, description: `The ${name}`, parameters: { type: "object", properties: {} } },
    })),
    tool_choice: "auto",
  };
  const afterTools = {
    ...toolInput,
    messages: [
      ...HI,
      { role: "assistant", content: null, tool_calls: CALLS },
      { role: "tool", tool_call_id: "call_a", content: "fine" },
      { role: "tool", tool_call_id: "call_b", content: "fine" },
    ],
  };

  return {
    "a completion": {
      answers: ["models: chat, whole"],
      run: (host) => client(host).chat.completions.create({ ...asked, temperature: 0.5 }),
      spans: [{ metadata: { temperature: 0.5, created_from: "openai" } }],
    },
    "a completion, withResponse()": {
      answers: ["models: chat, whole"],
      run: async (host) => {
        const { data, response, request_id } = await client(host).chat.completions.create(asked).withResponse();
        return [data, request_id, response.status, response.url, response.bodyUsed];
      },
    },
    "two choices": {
      answers: ["models: chat, two choices"],
      run: (host) => client(host).chat.completions.create({ ...asked, n: 2 }),
    },
    "two choices, streamed, with reasoning and a refusal": {
      answers: ["models: chat, two choices, streamed"],
      run: async (host) => all(await client(host).chat.completions.create({ ...streamed, n: 2 })),
    },
    "an image and a developer": {
      answers: ["models: chat, whole"],
      run: (host) =>
        client(host).chat.completions.create({
          model: "gpt-4.1-mini",
          messages: [
            { role: "developer", content: "Be brief" },
            {
              role: "user",
              content: [
                { type: "text", text: "What?" },
                { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
              ],
            },
          ],
        }),
      spans: [
        {
          input: {
            messages: [
              { role: "system", content: "Be brief" },
              {
                role: "user",
                content: [
                  { type: "text", text: "What?" },
                  { type: "text", text: "[image/png, 3 bytes]" },
                ],
              },
            ],
          },
        },
      ],
    },
    "a stream with two tool calls": {
      answers: ["openai_chat: text, two parallel tool calls and usage, streamed"],
      run: async (host) => {
        const stream = await client(host).chat.completions.create({
          ...streamed,
          tools: [TOOL],
          stream_options: { include_usage: true },
        });
        return all(stream);
      },
      spans: [{ input: { messages: HI, tools: [TOOL] } }],
    },
    "a stream with comments and carriage returns": {
      answers: ["models: chat, comments and carriage returns"],
      run: async (host) => all(await client(host).chat.completions.create(streamed)),
    },
    "stream()": {
      answers: ["models: chat, streamed"],
      run: async (host) => {
        const runner = client(host).chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
        runner.on("content", (delta) => host.saw("content", delta));
        return [await runner.finalContent(), await runner.totalUsage()];
      },
    },
    "stream(), iterated": {
      answers: ["models: chat, two tool calls, streamed"],
      run: async (host) => {
        const runner = client(host).chat.completions.stream({ ...asked, tools: [TOOL] });
        const chunks = await all(runner);
        return [chunks.length, await runner.finalMessage()];
      },
      spans: [{ input: { messages: HI, tools: [TOOL] } }],
    },
    "runTools()": {
      answers: ["models: chat, two tool calls", "models: chat, whole"],
      run: async (host) => {
        const runner = client(host).chat.completions.runTools({ ...asked, tools: tools(host) });
        return [await runner.finalContent(), await runner.totalUsage()];
      },
      spans: [{ input: toolInput }, { input: afterTools }],
    },
    "runTools(), streamed": {
      answers: ["models: chat, two tool calls, streamed", "models: chat, streamed"],
      run: async (host) => {
        const runner = client(host).chat.completions.runTools({ ...streamed, tools: tools(host) });
        return [await runner.finalContent(), await runner.totalUsage()];
      },
      spans: [{ input: toolInput }, { input: afterTools }],
    },
    "a retry": {
      answers: ["models: chat, refused for now", "models: chat, whole"],
      run: (host) => client(host).chat.completions.create(asked),
      spans: [UNREAD, {}],
    },
    "a retry, streamed": {
      answers: ["models: chat, refused for now", "models: chat, streamed"],
      run: async (host) => all(await client(host).chat.completions.create(streamed)),
      spans: [UNREAD, {}],
    },
    "a refusal": {
      answers: ["models: chat, refused for now"],
      run: (host) => client(host, { maxRetries: 0 }).chat.completions.create(asked),
      spans: [{ has_first_token: false }],
    },
    "an error in a stream": {
      answers: ["models: chat, an error in a stream"],
      run: async (host) => {
        for await (const chunk of await client(host).chat.completions.create(streamed)) host.saw("chunk", chunk);
      },
    },
    "a stream, left by break": {
      answers: [{ of: "models: chat, streamed", parts: 2 }],
      run: async (host) => {
        const stream = await client(host).chat.completions.create(streamed);
        for await (const chunk of stream) {
          host.saw("chunk", chunk);
          if (chunk.choices[0]?.delta.content) break;
        }
        return stream.controller.signal.aborted;
      },
      spans: [{ output: soFar("Grüße "), usage: null, ending: "cancelled|stopped" }],
    },
    "a stream, aborted": {
      answers: [{ of: "models: chat, streamed", parts: 2 }],
      run: async (host) => {
        const controller = new AbortController();
        const stream = await client(host).chat.completions.create(streamed, { signal: controller.signal });
        for await (const chunk of stream) {
          host.saw("chunk", chunk);
          if (chunk.choices[0]?.delta.content) controller.abort();
        }
      },
      spans: [{ output: soFar("Grüße "), usage: null, ending: "cancelled" }],
    },
    completions: {
      answers: ["models: completion, whole"],
      run: (host) => client(host).completions.create({ model: "gpt-3.5-turbo-instruct", prompt: "Once" }),
      spans: [{ input: { messages: [{ role: "user", content: "Once" }] } }],
    },
    "completions, streamed": {
      answers: ["openai_chat: completions of a prompt"],
      run: async (host) => all(await client(host).completions.create({ model: "m", prompt: "Once", stream: true })),
      spans: [{ provider: "openai", input: { messages: [{ role: "user", content: "Once" }] }, metadata: {} }],
    },
    embeddings: {
      answers: ["embeddings: base64, as the SDK asks for it"],
      run: (host) => client(host).embeddings.create({ model: "text-embedding-3-small", input: "Hi" }),
      spans: [{ input: { input: "Hi" }, metadata: {}, has_first_token: false }],
    },
    "a response": {
      answers: ["models: response, whole"],
      run: async (host) => {
        const response = await client(host).responses.create({ model: "gpt-5", instructions: "Be brief", input: "Hi" });
        return [response, response.output_text];
      },
      spans: [{ input: { messages: [{ role: "system", content: "Be brief" }, ...HI] } }],
    },
    "a response, streamed": {
      answers: ["openai_responses: a stream to its end"],
      run: async (host) => all(await client(host).responses.create({ model: "gpt-5", input: "Hi", stream: true })),
      spans: [{ input: SAID_HI, metadata: { type: "openai_responses" } }],
    },
    "responses.stream()": {
      answers: ["models: response, streamed"],
      run: async (host) => {
        const runner = client(host).responses.stream({ model: "gpt-5", input: "Hi" });
        runner.on("response.output_text.delta", ({ delta }) => host.saw("delta", delta));
        return (await runner.finalResponse()).output_text;
      },
    },
    "a response that fails": {
      answers: ["openai_responses: an error event"],
      run: async (host) => all(await client(host).responses.create({ model: "gpt-5", input: "Hi", stream: true })),
      spans: [{ has_first_token: false }],
    },
    "a response, left by break": {
      answers: [{ of: "openai_responses: a stream to its end", parts: 5 }],
      run: async (host) => {
        const stream = await client(host).responses.create({ model: "gpt-5", input: "Hi", stream: true });
        for await (const event of stream) {
          host.saw("event", event);
          if (event.type === "response.output_text.delta") break;
        }
      },
      spans: [
        {
          // The model that answered is named by the last event.
          model: "gpt-5",
          input: SAID_HI,
          output: {
            choices: [{ index: 0, message: { role: "assistant", content: "Hi", reasoning_content: "Thinking" } }],
          },
          usage: null,
          metadata: {},
          ending: "cancelled|stopped",
        },
      ],
    },
    "a server of one's own": {
      answers: ["models: chat, streamed"],
      run: async (host) => all(await client(host, { baseURL: `${host.own}/v1` }).chat.completions.create(streamed)),
      spans: [{ provider: "127.0.0.1", isJoined: true }],
    },
    "Cloudflare's AI Gateway, one shape for all": {
      answers: ["openai_chat: AI Gateway, one shape for all: Anthropic with cached tokens, from the cache"],
      run: (host) => {
        const baseURL = "https://gateway.ai.cloudflare.com/v1/acc/gw/compat";
        const messages = HI;
        return client(host, { baseURL }).chat.completions.create({ model: "anthropic/claude-haiku-4-5", messages });
      },
      spans: [{ provider: "anthropic", metadata: { cf_aig_log_id: "log", cf_aig_cache_status: "HIT" } }],
    },
    "Cloudflare's AI Gateway, OpenAI": {
      answers: ["models: chat, streamed"],
      run: async (host) => {
        const baseURL = "https://gateway.ai.cloudflare.com/v1/acc/gw/openai";
        return all(await client(host, { baseURL }).chat.completions.create(streamed));
      },
    },
    DeepSeek: {
      answers: ["openai_chat: DeepSeek: reasoning and cached tokens under its own name"],
      run: (host) => client(host, { baseURL: "https://api.deepseek.com" }).chat.completions.create(asked),
      spans: [{ provider: "deepseek" }],
    },
  };
}

/** Expected of a refused attempt that the SDK retries: it does not read the body of the refusal. */
const UNREAD = { error_type: "HTTP 429", error_message: null, has_first_token: false };

/** The recorded output of an answer that has come in part. */
function soFar(content: string): unknown {
  return { choices: [{ index: 0, message: { role: "assistant", content } }] };
}
