// Reads the attributes of AI SDK 5 and 6: `ai.*` and `gen_ai.*`, whose values are texts, numbers, lists of these, and JSON.

import type { SpanOptions } from "../record/model.js";
import {
  contextFields,
  type Description,
  embeddingsOf,
  errorOf,
  membersOf,
  partsOf,
  pick,
  textOf,
  usageOf,
} from "./model-call.js";

/** Attributes by name. */
export type Attributes = Readonly<Record<string, unknown>>;

/** The kinds of span: a call, a model call, a tool. */
export type Kind = "general" | "llm" | "tool";

/** The beginning of a span, by its name and its first attributes. */
export interface Begun {
  readonly kind: Kind;
  /** Its name; of a model call the operation. */
  readonly name: string;
  /** Messages, and everything else that `describe` translates. */
  readonly description: Description;
  /** An input other than messages. */
  readonly input?: unknown;
  readonly fields: SpanOptions;
}

/** The end of a span, by all of its attributes. */
export interface Ended {
  readonly answer: Description;
  /** An output other than an answer. */
  readonly output?: unknown;
  readonly fields: SpanOptions;
}

const METADATA = "ai.telemetry.metadata.";

/** Reads the beginning of a span. */
export function readBegun(name: string, attributes: Attributes): Begun {
  const provider = attributes["ai.model.provider"];
  const values = attributes["ai.values"] ?? attributes["ai.value"] ?? attributes["ai.documents"];
  const input = values === undefined ? undefined : { input: parsed(values) };
  if (name === "ai.toolCall") {
    return {
      kind: "tool",
      name: `${attributes["ai.toolCall.name"]}`,
      description: {},
      input: parsed(attributes["ai.toolCall.args"]),
      fields: { metadata: pick(attributes, "ai.toolCall.id:tool_call_id") },
    };
  }
  const [, operation] = /\.do([A-Z]\w*)$/.exec(name) ?? [];
  if (operation) {
    const { model, ...metadata } = below(attributes, "gen_ai.request.");
    const isEmbedding = operation === "Embed";
    return {
      kind: "llm",
      name: isEmbedding ? "embeddings" : operation === "Rerank" ? "rerank" : "chat",
      description: {
        provider,
        messages: parsed(attributes["ai.prompt.messages"]),
        tools: parsed(attributes["ai.prompt.tools"]),
        toolChoice: parsed(attributes["ai.prompt.toolChoice"]),
        isEmbedding,
      },
      input,
      fields: { model: attributes["ai.model.id"] as string, metadata },
    };
  }
  const { system, prompt, messages = prompt } = membersOf(parsed(attributes["ai.prompt"]));
  const { metadata, ...context } = contextFields(below(attributes, METADATA));
  return {
    kind: "general",
    name: textOf(attributes["ai.telemetry.functionId"]) ?? name.replace("ai.", ""),
    description: { system, messages },
    input,
    fields: {
      ...context,
      metadata: {
        ...metadata,
        ...pick(attributes, "ai.operationId:operation ai.model.provider:provider ai.model.id:model"),
      },
    },
  };
}

/** Reads the end of a span. */
export function readEnded(kind: Kind, attributes: Attributes): Ended {
  const vectors = attributes["ai.embeddings"] ?? attributes["ai.embedding"];
  const ranking = parsed(attributes["ai.ranking"]);
  const answer = {
    content: contentOf(attributes),
    finishReason: attributes["ai.response.finishReason"],
    usage: countsOf(attributes),
  };
  const fields =
    kind === "llm"
      ? {
          model: textOf(attributes["ai.response.model"]),
          ttft: (attributes["ai.response.msToFirstChunk"] ?? attributes["ai.stream.msToFirstChunk"]) as number,
          metadata: pick(attributes, "ai.response.id:id"),
        }
      : { error: errorOf(answer.finishReason) };
  const output = vectors ? vectorsOf(vectors) : ranking ? { ranking } : parsed(attributes["ai.toolCall.result"]);
  return { answer, output, fields };
}

/** The parts of an answer. */
function contentOf(attributes: Attributes): unknown[] {
  const calls = parsed(attributes["ai.response.toolCalls"]);
  return [
    ...partsOf(attributes["ai.response.reasoning"], attributes["ai.response.text"] ?? attributes["ai.response.object"]),
    ...(Array.isArray(calls) ? calls.map((call) => ({ ...membersOf(call), type: "tool-call" })) : []),
  ];
}

/** The token counts. Where `ai.usage.*` has the names of AI SDK 4, `gen_ai.usage.*` has the same counts. */
function countsOf(attributes: Attributes): unknown {
  const counts = below(attributes, "ai.usage.");
  const usage =
    counts["inputTokens"] === undefined && counts["tokens"] === undefined ? below(attributes, "gen_ai.usage.") : counts;
  return usageOf(usage, parsed(attributes["ai.response.providerMetadata"]));
}

/** The output of an embedding: the text of a vector, or a list of these. */
function vectorsOf(vectors: unknown): object {
  const texts: unknown[] = Array.isArray(vectors) ? vectors : [vectors];
  return embeddingsOf(texts.map((text) => `${text}`.split(",").length));
}

/** The attributes whose names begin with `prefix`, by the rest of their names. */
function below(attributes: Attributes, prefix: string): Record<string, unknown> {
  const names = Object.keys(attributes).filter((name) => name.startsWith(prefix));
  return Object.fromEntries(names.map((name) => [name.slice(prefix.length), attributes[name]]));
}

/** The value of JSON text, or of a list of such texts; any other value as it is. */
function parsed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(parsed);
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return value;
  }
}
