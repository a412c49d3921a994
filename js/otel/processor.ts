// The processor and the exporter for OpenTelemetry's SDK. spans.ts records.

import { flush } from "../current.js";
import { readOption } from "../errors.js";
import { type Frame, lookInside, ownFrame } from "../record/frame.js";
import type { OtelSpan } from "./model.js";
import { type OtelOptions, SpanRecorder } from "./spans.js";

export type { OtelOptions } from "./spans.js";

/** A span processor for OpenTelemetry's SDK, which calls its methods. */
export interface OpikSpanProcessor {
  /** A span begins. */
  onStart(span: OtelSpan, context: unknown): void;
  /** A span has ended. */
  onEnd(span: OtelSpan): void;
  /** Sends the rows that have ended. Never rejects. */
  forceFlush(): Promise<void>;
  /** Sends the rows that have ended, and records no span that begins later. Never rejects. */
  shutdown(): Promise<void>;
}

/** A span exporter for OpenTelemetry's SDK, whose processors call its methods. */
export interface OpikSpanExporter {
  /** Takes spans that have ended, in any order. Reports success when their rows were sent, or are kept for a later attempt. */
  export(spans: readonly OtelSpan[], done: (result: { code: number; error?: Error }) => void): void;
  /** Sends the rows that have ended. Never rejects. */
  forceFlush(): Promise<void>;
  /** Sends the rows that have ended, and takes no further spans. Never rejects. */
  shutdown(): Promise<void>;
}

/** The recorders of processors that are not shut down. Each may know the active span. */
const recorders = new Set<SpanRecorder>();
/** Beyond that number the oldest is forgotten, for programs that make a processor for each request and shut none down. */
const MAX_RECORDERS = 10;

function inside(frame: Frame | undefined): Frame | undefined {
  let found = frame;
  for (const recorder of recorders) found = recorder.inside(found);
  return found;
}

/** `ExportResultCode` of @opentelemetry/core. */
const SUCCESS = 0;
const FAILED = 1;

/**
 * A span processor for OpenTelemetry's SDK: each sampled span becomes a span of Opik when it begins. Spans of this package find
 * their parents among OpenTelemetry's, and the other way round. Attributes become model, provider, tokens, messages, … at the end.
 *
 * @example
 * ```ts
 * import { opikSpanProcessor } from "opik-edge/otel";
 *
 * export const processor = opikSpanProcessor();
 *
 * // new NodeTracerProvider({ spanProcessors: [processor] }).register();
 * ```
 */
export function opikSpanProcessor(options?: OtelOptions): OpikSpanProcessor {
  const recorder = new SpanRecorder(options, "opikSpanProcessor");
  let isShut = false;
  const forceFlush = flusherOf(options);
  recorders.add(recorder);
  const [oldest] = recorders;
  if (oldest && recorders.size > MAX_RECORDERS) recorders.delete(oldest);
  lookInside(inside);
  return {
    onStart(span) {
      if (!isShut) recorder.begin(span, ownFrame(), false);
    },
    onEnd: (span) => recorder.end(span),
    forceFlush,
    shutdown() {
      isShut = true;
      recorders.delete(recorder);
      return forceFlush();
    },
  };
}

/**
 * A span exporter for OpenTelemetry's SDK: sampled spans become spans of Opik when they have ended. Use it if their processor
 * has to stay; `opikSpanProcessor` also finds parents among the spans of this package.
 *
 * @example
 * ```ts
 * import { opikSpanExporter } from "opik-edge/otel";
 *
 * export const exporter = opikSpanExporter();
 *
 * // new BatchSpanProcessor(exporter)
 * ```
 */
export function opikSpanExporter(options?: OtelOptions): OpikSpanExporter {
  const recorder = new SpanRecorder(options, "opikSpanExporter");
  let isShut = false;
  const forceFlush = flusherOf(options);
  return {
    export(spans, done) {
      const code = isShut ? FAILED : SUCCESS;
      const taken = isShut ? [] : spans;
      // Parents begin before their children, or at the same time. They end behind them.
      const begun = [...taken]
        .reverse()
        .sort(({ startTime: a }, { startTime: b }) => a?.[0] - b?.[0] || a?.[1] - b?.[1]);
      for (const span of begun) recorder.begin(span, undefined, true);
      for (const span of taken) recorder.end(span);
      // A batch processor flushes its exporter only in this way.
      void forceFlush().then(() => done({ code }));
    },
    forceFlush,
    shutdown() {
      isShut = true;
      return forceFlush();
    },
  };
}

function flusherOf(options: OtelOptions | undefined): () => Promise<void> {
  const client = readOption(options, "client");
  return async () => {
    try {
      await (client ? client.flush() : flush());
    } catch {
      // Not a client of this package: those never reject.
    }
  };
}
