// `@aws-sdk/client-bedrock-runtime` over `fetch`, which it calls with a `Request` outside of Node.

import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { FetchHttpHandler } from "@smithy/fetch-http-handler";
import { all, HI, type Host, KEY, type Sdk } from "../case.js";

const modelId = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const asked = { modelId, messages: [{ role: "user" as const, content: [{ text: "Hi" }] }] };
/** Its handler always calls the global `fetch`. */
const client = (_: Host) =>
  new BedrockRuntimeClient({
    region: "us-east-1",
    credentials: { accessKeyId: "AKIA", secretAccessKey: KEY },
    requestHandler: new FetchHttpHandler(),
    maxAttempts: 1,
  });

export const bedrock: Sdk = {
  takesNoFetch: true,
  spans: { provider: "bedrock" },
  cases: {
    converse: {
      answers: ["bedrock: converse, whole"],
      run: async (host) => {
        const { output, stopReason, usage } = await client(host).send(new ConverseCommand(asked));
        return [output, stopReason, usage];
      },
    },
    "converse, streamed": {
      answers: ["bedrock: converse, streamed"],
      run: async (host) => all((await client(host).send(new ConverseStreamCommand(asked))).stream!),
      spans: [{ metadata: { latency_ms: 99 } }],
    },
    "an exception in a stream": {
      answers: ["bedrock: an exception in the midst of a stream"],
      run: async (host) => {
        const { stream } = await client(host).send(new ConverseStreamCommand(asked));
        for await (const event of stream!) host.saw("event", event);
      },
    },
    "a refusal": {
      answers: ["bedrock: an answer that is refused"],
      run: (host) => client(host).send(new ConverseCommand(asked)),
      spans: [{ has_first_token: false }],
    },
    "invoke, streamed": {
      answers: ["bedrock: invoke, streamed in Anthropic's shape"],
      run: async (host) => {
        const body = JSON.stringify({ anthropic_version: "bedrock-2023-05-31", max_tokens: 5, messages: HI });
        const { body: stream } = await client(host).send(new InvokeModelWithResponseStreamCommand({ modelId, body }));
        return (await all(stream!)).map(({ chunk }) => new TextDecoder().decode(chunk?.bytes));
      },
    },
    invoke: {
      answers: ["bedrock: invoke, whole, Llama"],
      run: async (host) => {
        const body = JSON.stringify({ prompt: "Hi" });
        const command = new InvokeModelCommand({ modelId: "meta.llama3-8b-instruct-v1:0", body });
        return (await client(host).send(command)).body.transformToString();
      },
    },
  },
};
