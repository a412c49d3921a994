// Shared by both versions: opens the span of a call, and records a model call. src/llm/described.rs translates messages, answers,
// names of providers and tokens.

import { span as spanHere } from "../current.js";
import { isObject, namedError, readOption } from "../errors.js";
import { callsSeen, getReader, hasSeenIn } from "../llm/reader.js";
import { type Names, tellUnknown } from "../names.js";
import { hasAsyncContext } from "../platform/context.js";
import { JsonText, toJson } from "../record/json.js";
import type { OpenScope, OpenSpan, Span, SpanOptions } from "../record/model.js";

/** Options of `opikTelemetry` and `opikTracer`. */
export interface AiSdkOptions {
  /**
   * The parent of each call's span: a span, a trace, incoming headers of any shape, or `null` for a new trace. By default the
   * current span, or a new trace if no span is current. In a runtime without AsyncLocalStorage, set it for each call.
   */
  readonly parent?: SpanOptions["parent"];
  /** Records a call that is made outside of a span (default: a client made from the `OPIK_*` variables). */
  readonly client?:
    | {
        /** `Opik.span`. */
        span(options: SpanOptions): Span;
      }
    | undefined;
}

const OPTIONS: Names<AiSdkOptions> = { parent: 0, client: 0 };

/** Any object of the AI SDK. Its members are read, and nothing about them is assumed. */
export type Members = Readonly<Record<string, unknown>>;

/** Opens a span. */
export type Start = (fields: SpanOptions) => OpenSpan;

/** Opens the spans of calls, as the options say. */
export function opener(options: AiSdkOptions | undefined, what: string): Start {
  tellUnknown(undefined, options, `option of ${what}`, OPTIONS);
  const client = readOption(options, "client");
  const parent = readOption(options, "parent");
  return (fields) =>
    (client ?? { span: spanHere }).span(parent === undefined ? fields : { ...fields, parent }) as OpenSpan;
}

/** Opens spans under `parent`. */
export function startBelow(parent: OpenSpan): Start {
  return (fields) => parent.span(fields) as OpenSpan;
}

/** A call as `Described::read` of src/llm/described.rs takes it. */
export interface Description {
  readonly provider?: unknown;
  readonly system?: unknown;
  readonly messages?: unknown;
  readonly tools?: unknown;
  readonly toolChoice?: unknown;
  /** The parts of the answer. */
  readonly content?: unknown;
  readonly finishReason?: unknown;
  readonly usage?: unknown;
  readonly isEmbedding?: boolean | undefined;
  /** Gives the fields instead: attributes have more than these members. */
  readonly read?: (scope: OpenScope) => SpanOptions;
}

/** Translates a description. Where WebAssembly is blocked, messages and answer stay as they are. */
export function describe(scope: OpenScope, description: Description): SpanOptions {
  if (description.read) return description.read(scope);
  const error = errorOf(description.finishReason);
  try {
    const json = toJson(description, "input", scope) ?? "";
    const reader = getReader();
    const parts = reader.run((exports) => {
      reader.stage(json);
      exports.describe();
      return reader.output();
    });
    const [provider, input, output, usage] = parts.map((part) => (part ? new JsonText(part) : undefined));
    return { provider: provider?.toJSON() as string, input, output, usage, error };
  } catch (cause) {
    scope.reporter.failure(cause);
    return { input: description.messages, output: description.content, error };
  }
}

/** The span of a model call. */
export class ModelCall {
  readonly span: OpenSpan;
  /** Describes the provider of the answer too. */
  readonly #description: Description;
  /** Model calls that an observer had taken before. */
  readonly #seen = callsSeen();
  /** `true` if its calls find this span by AsyncLocalStorage. */
  #isCurrent = false;
  #attempts = 0;

  /** `input` replaces the messages. */
  constructor(
    start: Start,
    name: string,
    model: unknown,
    description: Description,
    metadata: Members,
    input?: unknown,
  ) {
    this.#description = description;
    this.span = start({ name: `${name} ${model}`, type: "llm", model: textOf(model), metadata });
    if (!this.span.isRecorded) return;
    const { provider, input: messages, metadata: its } = describe(this.span.trace.scope, description);
    this.span.update({ input: input ?? messages, metadata: its });
    // An observer that knows the host's provider knows more than the SDK, whose OpenAI may have any URL. It names an unknown
    // provider by its host.
    this.span.beforeEnd = () => {
      const row = this.span.openRow;
      row?.merge({ provider }, !/[.:]/.test(`${row.fields.provider}`));
      return undefined;
    };
  }

  /** Makes the call with its span current. */
  run<T>(call: () => T): T {
    this.#isCurrent = hasAsyncContext();
    this.#attempts += 1;
    return this.span.run(call);
  }

  /** Ends the span. `output` replaces the answer in `answer`. */
  end(answer: Description, fields: SpanOptions = {}, output?: unknown): void {
    const row = this.span.openRow;
    if (row) {
      const { provider, isEmbedding } = this.#description;
      const described = describe(this.span.trace.scope, { ...answer, provider, isEmbedding });
      const { model, ttft, metadata, output: said, error } = described;
      // Tokens stand once: an observer has recorded them in this span, or in its own, which it does if it cannot find this one.
      const isElsewhere = this.#isCurrent ? hasSeenIn(this.span) : callsSeen() !== this.#seen;
      const usage = row.fields.usage ?? (isElsewhere ? undefined : described.usage);
      row.merge({ model, ttft, metadata, output: said, error, usage });
      row.merge({ ...fields, output });
      if (this.#attempts > 1) row.merge({ metadata: { attempts: this.#attempts } });
    }
    this.span.finish();
  }
}

/** The token counts of an answer: the provider's own where the SDK has them, else the SDK's. */
export function usageOf(usage: unknown, providerMetadata: unknown): unknown {
  const { raw, tokens } = membersOf(usage);
  const { usage: anthropics } = membersOf(membersOf(providerMetadata)["anthropic"]);
  return raw ?? anthropics ?? (tokens === undefined ? usage : { prompt_tokens: tokens });
}

/** The error of an answer that an error ended. The AI SDK's telemetry does not name this error. */
export function errorOf(finishReason: unknown): Error | undefined {
  return finishReason === "error" ? namedError("StreamError", "the answer ended with an error") : undefined;
}

/** The parts of an answer that is given as texts. */
export function partsOf(reasoning: unknown, text: unknown): Members[] {
  const part = (type: string, said: unknown): Members[] => (said ? [{ type, text: said }] : []);
  return [...part("reasoning", reasoning), ...part("text", text)];
}

/** An output that says how many dimensions each vector has. The vector itself tells a reader nothing. */
export function embeddingsOf(dimensions: readonly number[]): object {
  return { embeddings: dimensions.map((count, index) => ({ index, dimensions: count })) };
}

/** The thread and the tags of a context, and the rest of it as metadata. */
export function contextFields(context: unknown): SpanOptions {
  const { threadId, tags, ...metadata } = membersOf(context);
  return { threadId: textOf(threadId), tags: Array.isArray(tags) ? tags : undefined, metadata };
}

/** Members of any value. */
export function membersOf(value: unknown): Members {
  return isObject(value) ? (value as Members) : {};
}

/** The members of `from` with these names, by the names behind a colon if they differ; absent ones are left out. */
export function pick(from: Members, names: string): Record<string, unknown> {
  return Object.fromEntries(
    names.split(" ").flatMap((name) => {
      const [source = "", target = source] = name.split(":");
      return from[source] === undefined ? [] : [[target, from[source]]];
    }),
  );
}

/** `value` if it is a text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** `true` if `error` is the error of an abort. */
export function isAbort(error: unknown): boolean {
  return membersOf(error)["name"] === "AbortError";
}
