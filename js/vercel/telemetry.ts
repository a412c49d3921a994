// The telemetry integration of AI SDK 7. It gets an event for each step of a call, and each event has the call's `callId`.

import { isPlainPromise } from "../platform/promise.js";
import type { OpenSpan, SpanOptions } from "../record/model.js";
import {
  type AiSdkOptions,
  contextFields,
  describe,
  embeddingsOf,
  errorOf,
  isAbort,
  type Members,
  ModelCall,
  membersOf,
  opener,
  partsOf,
  pick,
  startBelow,
  textOf,
  usageOf,
} from "./model-call.js";

type OnEvent = (event: unknown) => void;

/** A telemetry integration of AI SDK 7. The AI SDK calls its methods. */
export interface OpikTelemetry {
  /** A call begins. */
  onStart(event: unknown): void;
  /** A step begins: one model call, and the tools that it asks for. */
  onStepStart(event: unknown): void;
  /** A model call begins. */
  onLanguageModelCallStart(event: unknown): void;
  /** A model call ends; a streamed one with its stream. */
  onLanguageModelCallEnd(event: unknown): void;
  /** A tool begins. */
  onToolExecutionStart(event: unknown): void;
  /** A tool ends. */
  onToolExecutionEnd(event: unknown): void;
  /** A step ends. */
  onStepEnd(event: unknown): void;
  /** The model call of `generateObject` or `streamObject` begins. */
  onObjectStepStart(event: unknown): void;
  /** The model call of `generateObject` or `streamObject` ends. */
  onObjectStepEnd(event: unknown): void;
  /** A call of an embedding model begins. */
  onEmbedStart(event: unknown): void;
  /** A call of an embedding model ends. */
  onEmbedEnd(event: unknown): void;
  /** A call of a reranking model begins. */
  onRerankStart(event: unknown): void;
  /** A call of a reranking model ends. */
  onRerankEnd(event: unknown): void;
  /** A call ends. */
  onEnd(event: unknown): void;
  /** A call is aborted. */
  onAbort(event: unknown): void;
  /** A call fails. */
  onError(event: unknown): void;
  /** Makes a model call with its span current. */
  executeLanguageModelCall<T>(options: {
    /** The call. */
    readonly callId: string;
    /** Makes the model call. */
    readonly execute: () => PromiseLike<T>;
  }): PromiseLike<T>;
  /** Runs a tool with its span current. */
  executeTool<T>(options: {
    /** The call. */
    readonly callId: string;
    /** The call of the tool. */
    readonly toolCallId: string;
    /** Runs the tool. */
    readonly execute: () => PromiseLike<T>;
  }): PromiseLike<T>;
}

/** A call, from its start to its end. */
interface Call {
  readonly root: OpenSpan;
  /** Its open spans, in the order in which they began. */
  readonly open: Map<string, OpenSpan>;
  step: OpenSpan | undefined;
  /** Its open model calls; embeddings have several at once. */
  readonly models: Map<string, ModelCall>;
}

const PARAMETERS =
  "maxOutputTokens:max_tokens temperature topP:top_p topK:top_k presencePenalty:presence_penalty frequencyPenalty:frequency_penalty stopSequences:stop seed reasoning";
/** Members of events that are the input and the output of a call other than a conversation. */
const INPUT = "value:input values:input query documents text";
const OUTPUT = "object ranking text audio segments language images";

/**
 * A telemetry integration for AI SDK 7: for `registerTelemetry`, or for the option `telemetry.integrations` of one call. It records
 * each call as a span with a span of type `llm` for each model call and a span of type `tool` for each tool. Its name is
 * `functionId`. `threadId` and `tags` of the runtime context become the trace's thread and the span's tags, if
 * `includeRuntimeContext` names them.
 *
 * @example
 * ```ts
 * import { opikTelemetry } from "opik-edge/ai-sdk";
 *
 * // registerTelemetry(telemetry), once, or in one call: generateText({ model, prompt, telemetry: { integrations: [telemetry] } })
 * export const telemetry = opikTelemetry();
 * ```
 */
export function opikTelemetry(options?: AiSdkOptions): OpikTelemetry {
  const start = opener(options, "opikTelemetry");
  const calls = new Map<unknown, Call>();

  /** A handler of events of known calls. AI SDK 6 calls methods of the same name with events that have no `callId`. */
  const on =
    (handle: (call: Call, event: Members) => void): OnEvent =>
    (given) => {
      const event = membersOf(given);
      const call = calls.get(event["callId"]);
      if (call) handle(call, event);
    };

  /** Ends all spans of a call, the innermost first. */
  const endAll = (call: Call, end: (span: OpenSpan) => void): void => {
    const spans = [call.root, ...call.open.values()].reverse();
    call.open.clear();
    call.models.clear();
    spans.forEach(end);
  };

  const opened = <S extends OpenSpan>(call: Call, key: string, span: S): S => {
    call.open.get(key)?.finish();
    call.open.set(key, span);
    // Lost, or left open at the end of its invocation: then nothing else of the call will end either.
    span.onEnd = () => {
      if (call.open.get(key) === span) endAll(call, (each) => each.close());
    };
    return span;
  };

  const ended = (call: Call, key: string, end: (span: OpenSpan) => void): void => {
    const span = call.open.get(key);
    call.open.delete(key);
    call.models.delete(key);
    if (span) end(span);
  };

  const beginModel = (call: Call, key: string, model: ModelCall): void => {
    opened(call, key, model.span);
    call.models.set(key, model);
  };

  const endModel = (call: Call, key: string, ...given: Parameters<ModelCall["end"]>): void => {
    const model = call.models.get(key);
    ended(call, key, () => model?.end(...given));
  };

  return {
    onStart(given) {
      const event = membersOf(given);
      const { callId, operationId, functionId, instructions, system = instructions, prompt, messages = prompt } = event;
      if (callId === undefined) return;
      const { metadata, ...context } = contextFields(event["runtimeContext"]);
      const root = start({
        name: textOf(functionId) ?? `${operationId}`.replace("ai.", ""),
        metadata: { ...metadata, ...pick(event, "operationId:operation provider modelId:model") },
        ...context,
      });
      const isConversation = messages !== undefined && root.isRecorded;
      root.update({
        input: isConversation ? describe(root.trace.scope, { system, messages }).input : pick(event, INPUT),
      });
      calls.set(callId, { root, open: new Map(), models: new Map(), step: undefined });
      root.onEnd = () => calls.delete(callId);
    },
    onStepStart: on((call, { stepNumber }) => {
      call.step = opened(call, STEP, startBelow(call.root)({ name: `step ${Number(stepNumber) + 1}` }));
    }),
    onLanguageModelCallStart: on((call, event) => {
      // A stream that is tried again goes on as the same call.
      if (call.models.has(MODEL)) return;
      const { provider, modelId, instructions: system, messages, tools } = event;
      const parent = call.step ?? call.root;
      const description = { provider, system, messages, tools };
      beginModel(call, MODEL, new ModelCall(startBelow(parent), "chat", modelId, description, pick(event, PARAMETERS)));
    }),
    onLanguageModelCallEnd: on((call, event) => {
      const { content, finishReason, usage, providerMetadata, modelId, performance } = event;
      endModel(
        call,
        MODEL,
        { content, finishReason, usage: usageOf(usage, providerMetadata) },
        {
          model: textOf(modelId),
          ttft: membersOf(performance)["timeToFirstOutputMs"] as number,
          metadata: pick(event, "responseId:id"),
        },
      );
    }),
    onToolExecutionStart: on((call, { toolCall }) => {
      const { toolCallId, toolName, input } = membersOf(toolCall);
      const fields: SpanOptions = { name: `${toolName}`, type: "tool", input, metadata: { tool_call_id: toolCallId } };
      opened(call, `${TOOL}${toolCallId}`, startBelow(call.step ?? call.root)(fields));
    }),
    onToolExecutionEnd: on((call, { toolCall, toolOutput }) => {
      const { type, output, error } = membersOf(toolOutput);
      ended(call, `${TOOL}${membersOf(toolCall)["toolCallId"]}`, (span) => {
        span.update({ output });
        if (type === "tool-error") span.fail(error ?? new Error("the tool failed"));
        else span.finish();
      });
    }),
    onStepEnd: on((call, event) => {
      call.step = undefined;
      ended(call, STEP, (span) => {
        span.update({
          metadata: pick(event, "finishReason:finish_reason"),
          error: errorOf(event["finishReason"]),
        });
        span.finish();
      });
    }),
    onObjectStepStart: on((call, { provider, modelId, promptMessages: messages }) => {
      beginModel(call, MODEL, new ModelCall(startBelow(call.root), "chat", modelId, { provider, messages }, {}));
    }),
    onObjectStepEnd: on((call, event) => {
      const { finishReason, usage, objectText: text, reasoning, providerMetadata, response, msToFirstChunk } = event;
      endModel(
        call,
        MODEL,
        { content: partsOf(reasoning, text), finishReason, usage: usageOf(usage, providerMetadata) },
        {
          model: textOf(membersOf(response)["modelId"]),
          ttft: msToFirstChunk as number,
          metadata: pick(membersOf(response), "id"),
        },
      );
    }),
    onEmbedStart: on((call, { embedCallId, provider, modelId, values }) => {
      const description = { provider, isEmbedding: true };
      const model = new ModelCall(startBelow(call.root), "embeddings", modelId, description, {}, { input: values });
      beginModel(call, `${embedCallId}`, model);
    }),
    onEmbedEnd: on((call, { embedCallId, embeddings, usage }) => {
      endModel(call, `${embedCallId}`, { usage: usageOf(usage, undefined) }, {}, vectorsOf(embeddings));
    }),
    onRerankStart: on((call, event) => {
      const { provider, modelId } = event;
      const input = pick(event, "query documents");
      beginModel(call, MODEL, new ModelCall(startBelow(call.root), "rerank", modelId, { provider }, {}, input));
    }),
    onRerankEnd: on((call, event) => endModel(call, MODEL, {}, {}, pick(event, "ranking"))),
    onEnd: on((call, event) => {
      const { finishReason, embedding, error = errorOf(finishReason) } = event;
      const { content } = membersOf(event["finalStep"]);
      const { root } = call;
      if (root.isRecorded) {
        const answer = content && describe(root.trace.scope, { content, finishReason }).output;
        root.update({ output: answer ?? vectorsOf(embedding) ?? pick(event, OUTPUT) });
      }
      endAll(call, (span) => ((error ?? undefined) === undefined ? span.finish() : span.fail(error)));
    }),
    onAbort: on((call) => endAll(call, (span) => span.cancel())),
    onError: on((call, { error }) => endAll(call, (span) => (isAbort(error) ? span.cancel() : span.fail(error)))),
    executeLanguageModelCall({ callId, execute }) {
      const model = calls.get(callId)?.models.get(MODEL);
      if (!model) return execute();
      const answer = model.run(execute);
      if (isPlainPromise(answer)) {
        // Nothing tells that a consumer has stopped reading, so the stream's loss has to.
        const streamed = ({ stream }: Members): unknown => stream && model.span.endsWith(stream);
        answer.then(
          (given) => streamed(membersOf(given)),
          () => {},
        );
      }
      return answer;
    },
    executeTool({ callId, toolCallId, execute }) {
      const span = calls.get(callId)?.open.get(`${TOOL}${toolCallId}`);
      return span ? span.run(execute) : execute();
    },
  };
}

/** Keys of the spans of which a call has one at a time. */
const STEP = "step";
const MODEL = "model";
/** Before the id of a tool's call. */
const TOOL = "tool ";

/** The output of an embedding: a vector, or a list of vectors. */
function vectorsOf(embedding: unknown): object | undefined {
  if (!Array.isArray(embedding)) return undefined;
  return embeddingsOf((Array.isArray(embedding[0]) ? embedding : [embedding]).map(({ length }) => length));
}
