// The used parts of OpenTelemetry's objects (@opentelemetry/sdk-trace-base 2, @opentelemetry/api 1). Only types.

/** Identifies a span: `SpanContext`. */
export interface OtelSpanContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** 1 if the span is sampled. */
  readonly traceFlags: number;
  /** `true` if it came from another process. */
  readonly isRemote?: boolean | undefined;
  /** The state that came with it. */
  readonly traceState?:
    | {
        /** The value of a member. */
        get(key: string): string | undefined;
      }
    | undefined;
}

/** A span: `ReadableSpan`. */
export interface OtelSpan {
  /** Its name. */
  readonly name: string;
  /** Its own identity. */
  spanContext(): OtelSpanContext;
  /** The identity of its parent. */
  readonly parentSpanContext?: OtelSpanContext | undefined;
  /** When it began, since 1970. */
  readonly startTime: readonly [seconds: number, nanoseconds: number];
  /** When it ended, since 1970. */
  readonly endTime: readonly [seconds: number, nanoseconds: number];
  /** Its attributes by name. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Its events, in order. */
  readonly events: readonly {
    /** The name of the event. */
    readonly name: string;
    /** When it happened, since 1970. */
    readonly time: readonly [seconds: number, nanoseconds: number];
    /** Its attributes by name. */
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  }[];
  /** Its outcome; code 2 is a failure. */
  readonly status: {
    /** 0, 1 or 2. */
    readonly code: number;
    /** Describes a failure. */
    readonly message?: string | undefined;
  };
}

/** The global object of the API, as far as it tells the active span. */
export interface OtelApi {
  readonly context?: {
    active(): { getValue(key: symbol): unknown };
  };
}
