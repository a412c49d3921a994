// Declarations that the examples for servers rely on: the used parts of frameworks that are not installed here.

declare module "@sveltejs/kit" {
  export interface RequestEvent {
    readonly request: Request;
    readonly platform?: { readonly ctx?: unknown };
  }
  export type Handle = (input: {
    event: RequestEvent;
    resolve(event: RequestEvent): Response | Promise<Response>;
  }) => Response | Promise<Response>;
}

declare module "next/server" {
  export type NextRequest = Request;
  export const NextResponse: { next(init: { request: { headers: Headers } }): Response };
}

declare module "react-router" {
  export type MiddlewareFunction<Result> = (
    args: { request: Request; params: Record<string, string | undefined>; context: unknown },
    next: () => Promise<Result>,
  ) => Promise<Result | undefined> | Result | undefined;
}

declare module "ai" {
  interface Telemetry {
    readonly isEnabled?: boolean;
    readonly functionId?: string;
    readonly integrations?: readonly object[];
    readonly includeRuntimeContext?: Readonly<Record<string, boolean>>;
  }
  interface TracerSettings {
    readonly isEnabled: boolean;
    readonly tracer: object;
    readonly functionId?: string;
    readonly metadata?: Readonly<Record<string, string | readonly string[]>>;
  }
  export function registerTelemetry(...integrations: object[]): void;
  export function generateText(options: {
    readonly model: object;
    readonly prompt: string;
    readonly runtimeContext?: object;
    readonly telemetry?: Telemetry;
    readonly experimental_telemetry?: TracerSettings;
  }): Promise<{ readonly text: string }>;
}

declare module "@opentelemetry/api" {
  export const context: { setGlobalContextManager(manager: object): boolean };
}

declare module "@opentelemetry/context-async-hooks" {
  export class AsyncLocalStorageContextManager {
    enable(): this;
  }
}

declare module "@opentelemetry/sdk-trace-base" {
  interface Span {
    end(): void;
  }
  interface Tracer {
    startSpan(name: string): Span;
    startActiveSpan<T>(name: string, fn: (span: Span) => T): T;
  }
  export class BatchSpanProcessor {
    constructor(exporter: { shutdown(): Promise<void> });
  }
  export class BasicTracerProvider {
    constructor(options: { readonly spanProcessors: readonly object[] });
    getTracer(name: string): Tracer;
  }
}

declare module "@ai-sdk/openai" {
  export function createOpenAI(options: { readonly apiKey: string | undefined; readonly fetch?: typeof fetch }): {
    chat(model: string): object;
  };
}
