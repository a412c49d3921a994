// What is said of a span or a trace, as the host says it: types alone, so that settings, too, may name them.

/** Fields of every row. Values are read when the span ends: what is changed until then is recorded changed. */
export interface RowFields {
  /** What is shown in the list (`name`). */
  name?: string | undefined;
  /** Any value; what is not an object is sent as `{ input: value }` (`input`). Objects merge on update. */
  input?: unknown;
  /** Any value; what is not an object is sent as `{ output: value }` (`output`). Objects merge on update. */
  output?: unknown;
  /** Merges on update (`metadata`). */
  metadata?: Record<string, unknown> | undefined;
  /** Added to those already there; each once (`tags`). */
  tags?: readonly string[] | undefined;
  /** What was thrown, of any type (`error_info`: its class, its message, its stack). */
  error?: unknown;
}

/** Fields that only spans have. */
export interface SpanFields extends RowFields {
  /** `general` by default (`type`). */
  type?: SpanType | undefined;
  /** The model called, for `llm` spans (`model`). */
  model?: string | undefined;
  /** Its provider: `openai`, `anthropic`, `google_ai`, … (`provider`). */
  provider?: string | undefined;
  /** Token counts, int32; nested objects are flattened with dots. Merges on update (`usage`). */
  usage?: object | undefined;
  /** In US dollars, ≥ 0 (`total_estimated_cost`). */
  totalEstimatedCost?: number | undefined;
  /** Milliseconds to the first token, ≥ 0 (`ttft`). */
  ttft?: number | undefined;
}

/** The kinds of span that Opik knows (`type` of `Span_Write`). */
export type SpanType = "general" | "tool" | "llm" | "guardrail";
