// The public surface of `opik-edge/node`: servers of Node's `http`, and what is built on it, as Express.

import { isPreflight } from "../cors.js";
import type { SpanHandle } from "../span.js";
import { type Call, type ServerConfig, serverInvocations } from "./invocation.js";
import { beginRequest, isTrusted } from "./trace-request.js";

export type { ServerConfig } from "./invocation.js";
export type { Trust, TrustConfig } from "./trust.js";

/** What is needed of Node's `IncomingMessage`, of HTTP/1 or HTTP/2. */
export interface NodeRequest {
  /** In upper case (default `GET`). */
  readonly method?: string | undefined;
  /** Path and query, as the request line has them (default `/`). */
  readonly url?: string | undefined;
  /** The whole URL where a router has cut `url` (Express). */
  readonly originalUrl?: string | undefined;
  /** Names in lower case; those of HTTP/2 that begin with a colon too. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** One with a member `encrypted` means https. */
  readonly socket?: object | null | undefined;
}

/** What is needed of Node's `ServerResponse`. */
export interface NodeResponse {
  /** Read when the response has ended. */
  readonly statusCode: number;
  /** Whether everything was handed over to the system: `false` where the client has gone before. */
  readonly writableFinished: boolean;
  /** Both events are listened to: the first one ends the span. */
  on(event: "finish" | "close", listener: () => void): unknown;
}

/**
 * Middleware (Express, Connect) that traces each request: a span under the caller's, or a trace of its own, which ends when the
 * response has been sent. Settings fall back to OPIK_* variables. Invalid ones are reported once, and requests run untraced.
 */
export function opik(
  config?: ServerConfig,
): (request: NodeRequest, response: NodeResponse, next: (error?: unknown) => void) => void {
  const trace = tracer(config);
  return (request, response, next) => {
    trace(request, response, () => next());
  };
}

/** A listener of `http.createServer`: it is given what extends `NodeRequest` and `NodeResponse`. */
// biome-ignore lint/suspicious/noExplicitAny: Node's own types, which would make @types/node a dependency
export type NodeListener = (request: any, response: any) => unknown;

/** The same around a listener of `http.createServer`. What it throws is recorded and thrown on. */
export function withOpik<L extends NodeListener>(listener: L, config?: ServerConfig): L {
  const trace = tracer(config);
  return function (this: unknown, request: NodeRequest, response: NodeResponse) {
    return trace(request, response, () => listener.call(this, request, response));
  } as L;
}

type Trace = (request: NodeRequest, response: NodeResponse, handle: () => unknown) => unknown;

function tracer(config: ServerConfig | undefined): Trace {
  const open = serverInvocations(config && (() => config));
  return (given, response, handle) => {
    const request = webRequest(given);
    const invocation = request && !isPreflight(request) ? open({ env: undefined, ctx: undefined }) : undefined;
    if (!request || !invocation) return handle();
    const run = (trusted: boolean): unknown => {
      const call = beginRequest(invocation, request, trusted);
      endWith(response, call);
      return handleIn(call.root, handle);
    };
    const trusted = isTrusted(invocation, request);
    // At once where that can be: a listener that comes later misses what happens first.
    return typeof trusted === "boolean" ? run(trusted) : trusted.then(run);
  };
}

function handleIn(root: SpanHandle, handle: () => unknown): unknown {
  const failed = (error: unknown): never => {
    root.fail(error);
    throw error;
  };
  try {
    const result = root.run(handle);
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}

function endWith(response: NodeResponse, { root, ended }: Call): void {
  const end = (): void => {
    root.preset({ output: { status: response.statusCode } });
    // Closed before it was finished: the client has gone.
    if (response.writableFinished) root.finish();
    else root.cancel();
    ended();
  };
  response.on("finish", end);
  response.on("close", end);
}

/** The head of a request as the web platform has it; `undefined` where that knows no such request (the method TRACE). */
function webRequest({
  method = "GET",
  url = "/",
  originalUrl = url,
  headers: given,
  socket,
}: NodeRequest): Request | undefined {
  const headers = new Headers();
  try {
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined || name.startsWith(":")) continue; // HTTP/2 has method and path among them
      for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
    }
    const scheme = socket && "encrypted" in socket ? "https" : "http";
    const host = headers.get("host") ?? given[":authority"] ?? "localhost";
    return new Request(new URL(originalUrl, `${scheme}://${String(host)}`), { method, headers });
  } catch {
    return undefined;
  }
}
