// The same, recorded as a program does it by hand: a TextDecoder, lines, `JSON.parse` of each event.

import { callObserver } from "opik-edge";
import { modelContender } from "./model-passed.js";

interface Chunk {
  readonly model?: string;
  readonly choices?: readonly { readonly delta?: { readonly content?: string } }[];
  readonly usage?: object | null;
}

const byHand = callObserver(() => {
  const decoder = new TextDecoder();
  let input: unknown;
  let rest = "";
  let content = "";
  let model: string | undefined;
  let usage: object | undefined;
  let ttft: number | undefined;
  return {
    isForeign: true,
    request(body) {
      ({ messages: input } = JSON.parse(body ?? "{}"));
      return true;
    },
    chunk(bytes, ms) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (!line.startsWith("data: {")) continue;
        const chunk = JSON.parse(line.slice("data: ".length)) as Chunk;
        const delta = chunk.choices?.[0]?.delta?.content;
        if (delta) ttft ??= ms;
        content += delta ?? "";
        model = chunk.model ?? model;
        usage = chunk.usage ?? usage;
      }
    },
    end: () => ({
      type: "llm",
      model,
      provider: "openai",
      input: { messages: input },
      output: { choices: [{ index: 0, message: { role: "assistant", content } }] },
      usage,
      ttft,
      isComplete: true,
    }),
  };
});

export const contender = modelContender([byHand]);
