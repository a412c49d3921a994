// A tracer for AI SDK 5 and 6, which call it as one of OpenTelemetry. A span's parent is the current span. Where the AI SDK calls
// outside of the context of a call, it is the call that began last.

import { namedError } from "../errors.js";
import { currentFrame } from "../record/frame.js";
import type { OpenScope, OpenSpan, SpanOptions } from "../record/model.js";
import { type Attributes, type Kind, readBegun, readFields } from "./attributes.js";
import {
  type AiSdkOptions,
  errorOf,
  isAbort,
  ModelCall,
  membersOf,
  opener,
  type Start,
  startBelow,
} from "./model-call.js";

/** A span as AI SDK 5 and 6 see it. */
export interface OpikTracerSpan {
  /** Its ids in the form of OpenTelemetry. */
  spanContext(): {
    /** 32 hex digits. */
    traceId: string;
    /** 16 hex digits. */
    spanId: string;
    /** 1. */
    traceFlags: number;
  };
  /** Sets one attribute. */
  setAttribute(name: string, value: unknown): this;
  /** Sets attributes. */
  setAttributes(attributes: object): this;
  /** Sets the attributes of an event. */
  addEvent(name: string, attributes?: unknown): this;
  /** Has no effect. */
  addLink(link: unknown): this;
  /** Has no effect. */
  addLinks(links: unknown): this;
  /** Sets the outcome; code 2 is a failure. */
  setStatus(status: { code: number; message?: string }): this;
  /** Has no effect. */
  updateName(name: string): this;
  /** Ends the span, and the spans below it that are still open. */
  end(): void;
  /** `true` if the span is recorded. */
  isRecording(): boolean;
  /** Records an error. */
  recordException(exception: unknown): void;
}

/** A tracer for `experimental_telemetry` of AI SDK 5 and 6. */
export interface OpikTracer {
  /** Opens a span. */
  startSpan(name: string, options?: { attributes?: object }): OpikTracerSpan;
  /**
   * Opens a span that is current inside `fn`.
   *
   * @typeParam F - The type of `fn`.
   */
  startActiveSpan<F extends (span: OpikTracerSpan) => unknown>(name: string, fn: F): ReturnType<F>;
  /**
   * Opens a span that is current inside `fn`.
   *
   * @typeParam F - The type of `fn`.
   */
  startActiveSpan<F extends (span: OpikTracerSpan) => unknown>(
    name: string,
    options: { attributes?: object },
    fn: F,
  ): ReturnType<F>;
  /**
   * Opens a span that is current inside `fn`.
   *
   * @typeParam F - The type of `fn`.
   */
  startActiveSpan<F extends (span: OpikTracerSpan) => unknown>(
    name: string,
    options: { attributes?: object },
    context: unknown,
    fn: F,
  ): ReturnType<F>;
}

/** The call whose span is current, by that span. */
const callBySpan = new WeakMap<object, Recorded>();

/**
 * A tracer for AI SDK 5 and 6: for `experimental_telemetry.tracer`. It records each call as a span with a span of type `llm` for
 * each model call and a span of type `tool` for each tool. Its name is `functionId`. `threadId` and `tags` of `metadata` become the
 * trace's thread and the span's tags.
 *
 * @example
 * ```ts
 * import { opikTracer } from "opik-edge/ai-sdk";
 *
 * const tracer = opikTracer();
 *
 * // generateText({ model, prompt, experimental_telemetry: telemetryFor("ask", "chat-7") })
 * export function telemetryFor(functionId: string, threadId: string) {
 *   return { isEnabled: true, tracer, functionId, metadata: { threadId } };
 * }
 * ```
 */
export function opikTracer(options?: AiSdkOptions): OpikTracer {
  const start = opener(options, "opikTracer");
  /** Calls that have not ended. */
  const open = new Set<Recorded>();

  const parentOf = (name: string): Recorded | undefined => {
    const current = currentFrame()?.span;
    let own = current && callBySpan.get(current);
    // Nothing of the AI SDK belongs to a model call, but a stream goes on in its context.
    while (own?.kind === "llm") own = own.above;
    if (own || !/^ai\.(toolCall$|\w+\.do)/.test(name)) return own;
    // The AI SDK goes on outside of the context of its call, or there is no context.
    const calls = [...open].filter((call) => name === "ai.toolCall" || name.startsWith(`${call.name}.`));
    return calls.findLast(({ ambient }) => ambient === current);
  };

  const startSpan: OpikTracer["startSpan"] = (name, given) => {
    const attributes: Attributes = { ...given?.attributes };
    const above = parentOf(name);
    const recorded = new Recorded(name, attributes, above, above ? startBelow(above.span) : start);
    if (recorded.kind === "general") open.add(recorded);
    recorded.span.onEnd = () => {
      open.delete(recorded);
      above?.children.delete(recorded);
    };
    const facade = new TracerSpan(recorded);
    recorded.span.endsWith(facade); // nothing tells that a consumer has stopped reading, so the span's loss has to
    return facade;
  };

  return {
    startSpan,
    startActiveSpan(name: string, ...rest: unknown[]) {
      const fn = rest.pop() as (span: OpikTracerSpan) => never;
      const facade = startSpan(name, rest[0] as { attributes?: object }) as TracerSpan;
      return facade.run(fn);
    },
  };
}

/** A span and its attributes. */
class Recorded {
  readonly name: string;
  readonly kind: Kind;
  readonly above: Recorded | undefined;
  readonly span: OpenSpan;
  /** The span that was current at its beginning. */
  readonly ambient = currentFrame()?.span;
  readonly children = new Set<Recorded>();
  readonly #model: ModelCall | undefined;
  readonly #given = { read: (scope: OpenScope) => this.#fields(scope) };
  attributes: Attributes;
  error: unknown;

  constructor(name: string, attributes: Attributes, above: Recorded | undefined, start: Start) {
    const { kind, name: title } = readBegun(name, attributes);
    this.name = name;
    this.kind = kind;
    this.above = above;
    this.attributes = attributes;
    if (kind === "llm") {
      this.#model = new ModelCall(start, title, attributes["ai.model.id"], this.#given, {});
      this.span = this.#model.span;
    } else {
      this.span = start({ name: title, type: kind });
      const { isRecorded, trace } = this.span;
      if (isRecorded) {
        const { threadId, ...fields } = this.#fields(trace.scope);
        this.span.update({ ...fields, type: kind });
        if (threadId !== undefined) trace.update({ threadId });
      }
    }
    callBySpan.set(this.span, this);
    above?.children.add(this);
  }

  run<T>(fn: () => T): T {
    return this.#model ? this.#model.run(fn) : this.span.run(fn);
  }

  end(): void {
    // The AI SDK does not end the model call of a stream that is aborted.
    let isAborted = isAbort(this.error);
    for (const child of this.children) {
      isAborted = true;
      child.span.cancel();
    }
    const error = isAborted ? undefined : this.error;
    if (this.#model && !isAborted && error === undefined) {
      this.#model.end(this.#given);
    } else {
      if (this.span.openRow) {
        const { output, model, ttft, metadata, error: own } = this.#fields(this.span.trace.scope);
        this.span.update({ output, model, ttft, metadata, error: error ?? own });
      }
      if (isAborted) this.span.cancel();
      else this.span.finish();
    }
  }

  #fields(scope: OpenScope): SpanOptions {
    const fields = readFields(this.name, this.attributes, scope);
    return { ...fields, error: errorOf(this.attributes["ai.response.finishReason"]) };
  }
}

/** Held by the AI SDK. When it is lost, its span is closed. */
class TracerSpan implements OpikTracerSpan {
  readonly #recorded: Recorded;

  constructor(recorded: Recorded) {
    this.#recorded = recorded;
  }

  run<T>(fn: (span: OpikTracerSpan) => T): T {
    return this.#recorded.run(() => fn(this));
  }

  spanContext(): { traceId: string; spanId: string; traceFlags: number } {
    const { traceId, id } = this.#recorded.span;
    return { traceId: traceId.replaceAll("-", ""), spanId: id.replaceAll("-", "").slice(16), traceFlags: 1 };
  }

  setAttribute(name: string, value: unknown): this {
    return this.setAttributes({ [name]: value });
  }

  setAttributes(attributes: object): this {
    this.#recorded.attributes = { ...this.#recorded.attributes, ...attributes };
    return this;
  }

  addEvent(_name: string, attributes?: unknown): this {
    return this.setAttributes(membersOf(attributes));
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  setStatus({ code, message = "" }: { code: number; message?: string }): this {
    if (code === 2) this.#recorded.error ??= namedError("Error", message);
    return this;
  }

  updateName(): this {
    return this;
  }

  end(): void {
    this.#recorded.end();
  }

  isRecording(): boolean {
    return this.#recorded.span.isRecorded;
  }

  recordException(exception: unknown): void {
    const { name = "Error", message = exception, stack } = membersOf(exception);
    this.#recorded.error = Object.assign(namedError(`${name}`, `${message}`), { stack });
  }
}
