// The fields of spans and traces, as the application gives them. Types only, so that settings can refer to them too.

/** Fields of every row. Values are read when the span ends, so changes made until then are recorded. */
export interface RowFields {
  /** The name shown in the list (`name`). */
  name?: string | undefined;
  /** Any value; a value other than an object is sent as `{ input: value }` (`input`). Objects merge on update. */
  input?: unknown;
  /** Any value; a value other than an object is sent as `{ output: value }` (`output`). Objects merge on update. */
  output?: unknown;
  /** Merges on update (`metadata`). */
  metadata?: Record<string, unknown> | undefined;
  /** Added to the existing tags, without duplicates (`tags`). */
  tags?: readonly string[] | undefined;
  /** The thrown value, of any type (`error_info`: its class, its message, its stack). */
  error?: unknown;
}

/** Fields that only spans have. */
export interface SpanFields extends RowFields {
  /** `general` by default (`type`). */
  type?: SpanType | undefined;
  /** The model that an `llm` span calls (`model`). */
  model?: string | undefined;
  /** The provider of the model: `openai`, `anthropic`, `google_ai`, … (`provider`). */
  provider?: string | undefined;
  /** Token counts, int32; nested objects are flattened with dots. Merges on update (`usage`). */
  usage?: object | undefined;
  /** Cost in US dollars, ≥ 0 (`total_estimated_cost`). */
  totalEstimatedCost?: number | undefined;
  /** Time to the first token in milliseconds, ≥ 0 (`ttft`). */
  ttft?: number | undefined;
}

/** The kinds of span that Opik accepts (`type` of `Span_Write`). */
export type SpanType = "general" | "tool" | "llm" | "guardrail";
