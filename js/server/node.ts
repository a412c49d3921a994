// The public surface of `opik-edge/node`: servers on Node's `http`, and frameworks on top of it such as Express.

import { isAsync } from "../platform/promise.js";
import type { SpanHandle } from "../record/span.js";
import {
  type Call,
  type FetchTrigger,
  type KnownConfig,
  type ServerConfig,
  type ServerConfigFor,
  serverInvocations,
  untraced,
} from "./invocation.js";
import { type Asked, ask, beginRequest, inside, isTrusted, outerRoot, presetStatus } from "./trace-request.js";

export type { FetchTrigger, KnownConfig, OnlyNames, ServerConfig, ServerConfigFor } from "./invocation.js";
export type { Trust, TrustConfig } from "./trust.js";

/** The used part of Node's `IncomingMessage` (HTTP/1 or HTTP/2). */
export interface NodeRequest {
  /** The method in upper case. */
  readonly method?: string | undefined;
  /** Path and query, as in the request line (default `/`). */
  readonly url?: string | undefined;
  /** The whole URL, if a router has shortened `url` (Express). */
  readonly originalUrl?: string | undefined;
  /** Names are in lower case; HTTP/2 adds its pseudo-headers, which begin with a colon. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** A socket with a member `encrypted` means https. */
  readonly socket?: object | null | undefined;
}

/** The used part of Node's `ServerResponse`. */
export interface NodeResponse {
  /** Read when the response has ended. */
  readonly statusCode: number;
  /** `true` if the whole response was handed to the system, `false` if the client left before. */
  readonly writableFinished: boolean;
  /** The HTTP/2 stream. */
  readonly stream?:
    | {
        /** `true` if the client has reset the stream. */
        readonly aborted?: boolean | undefined;
      }
    | undefined;
  /** Receives every event. The first `finish` or `close` ends the span, after its listeners. */
  emit(event: string, ...args: unknown[]): boolean;
}

/**
 * Middleware (Express, Connect) that traces each request in a span under the caller's, or in a new trace. The span ends when the
 * response has been sent. Settings fall back to OPIK_* variables. Invalid settings are reported once, and requests run untraced.
 *
 * @example
 * ```ts
 * import express from "express";
 * import { span } from "opik-edge";
 * import { opikMiddleware } from "opik-edge/node";
 *
 * export const app = express();
 * app.use(opikMiddleware());
 * app.get("/items", async (_request, response) => {
 *   response.json(await span({ name: "load" }, async () => ["pen"]));
 * });
 * ```
 */
export function opikMiddleware<C extends KnownConfig<C> = ServerConfig>(
  config?: ServerConfigFor<undefined, FetchTrigger<NodeRequest>, C>,
): (request: NodeRequest, response: NodeResponse, next: (error?: unknown) => void) => void {
  const trace = tracer(config);
  return (request, response, next) => {
    trace(request, response, () => next());
  };
}

/** A listener of `http.createServer`. Its arguments extend `NodeRequest` and `NodeResponse`. */
// biome-ignore lint/suspicious/noExplicitAny: Node's own types, which would make @types/node a dependency
export type NodeListener = (request: any, response: any, ...rest: any[]) => unknown;

/**
 * Traces a listener of `http.createServer` in the same way. Errors that it throws, or rejects with, are recorded and rethrown.
 *
 * @example
 * ```ts
 * import { createServer } from "node:http";
 * import { span } from "opik-edge";
 * import { withOpik } from "opik-edge/node";
 *
 * export const server = createServer(
 *   withOpik(async (_request, response) => {
 *     response.end(await span({ name: "load" }, async () => "pen"));
 *   }),
 * );
 * ```
 */
export function withOpik<L extends NodeListener, C extends KnownConfig<C> = ServerConfig>(
  listener: L,
  config?: ServerConfigFor<undefined, FetchTrigger<NodeRequest>, C>,
): L {
  const trace = tracer(config);
  return new Proxy(listener, {
    apply(target, self, args: Parameters<L>) {
      return trace(args[0], args[1], () => Reflect.apply(target, self, args), isAsync(target));
    },
  });
}

/** With `isAsync`, only this package has seen the promise that `handle` returns. */
type Trace = (request: NodeRequest, response: NodeResponse, handle: () => unknown, isAsync?: boolean) => unknown;

function tracer(config: ServerConfigFor<undefined, FetchTrigger<NodeRequest>> | undefined): Trace {
  const open = serverInvocations(config);
  return (request, response, handle, isAsync) => {
    const asked = askedBy(request);
    const outer = outerRoot(request, asked);
    if (outer) return inside(outer, handle);
    const invocation = asked.isPreflight
      ? undefined
      : open({ env: undefined, ctx: undefined }, { type: "fetch", request });
    if (!invocation) return untraced(handle);
    let call: Call | undefined;
    let ending: "finish" | "cancel" | undefined;
    const end = (): void => {
      if (!call || !ending) return;
      presetStatus(call.root, response);
      call.root[ending]();
      call.ended();
    };
    const run = <T>(fn: () => T): T => (call ? inside(call.root, fn) : fn());
    // Bound before `trust` is asked, because the client may leave in the meantime.
    bind(request as object, (_, emit) => run(emit));
    const isBound = bind(response, (event, emit) => {
      if (event !== "finish" && event !== "close") return run(emit);
      ending ??= hasGone(response) ? "cancel" : "finish";
      if (ending === "cancel") call?.root.trace.breakOff();
      try {
        return run(emit);
      } finally {
        end();
      }
    });
    if (!isBound) ending = "finish"; // the span ends with the handler
    const begin = (trusted: boolean): unknown => {
      call = beginRequest(invocation, request, asked, trusted);
      try {
        return handleIn(call.root, handle, isAsync);
      } finally {
        end();
      }
    };
    const trusted = isTrusted(invocation, request, () => webRequest(request, asked));
    // Begun at once if possible: a listener added later would miss the first events.
    return typeof trusted === "boolean" ? begin(trusted) : trusted.then(begin);
  };
}

function handleIn(root: SpanHandle, handle: () => unknown, isAsync: boolean | undefined): unknown {
  const failed = (error: unknown): never => {
    root.fail(error);
    throw error;
  };
  try {
    const result = root.run(handle);
    // Someone else may own this promise. A `catch` here could end the process with an unhandled rejection, or hide one.
    return isAsync && result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}

/** `true` if a response ended because its client left. HTTP/2 also finishes a response that its client has reset. */
function hasGone({ writableFinished, stream }: NodeResponse): boolean {
  return writableFinished === false || stream?.aborted === true;
}

/**
 * Runs the listeners of `emitter`, including later ones, inside `around`. It replaces `emit`, because a host counts, compares
 * and removes its listeners. Returns `false` if that failed.
 */
function bind(
  emitter: { emit?: NodeResponse["emit"] },
  around: (event: string, emit: () => boolean) => boolean,
): boolean {
  try {
    const { emit } = emitter;
    if (typeof emit !== "function") return false;
    const value = function (this: never, ...args: [event: string]): boolean {
      return around(args[0], () => Reflect.apply(emit, this, args));
    };
    Object.defineProperty(emitter, "emit", { value, configurable: true, writable: true });
    return true;
  } catch {
    return false; // it is frozen, or not an emitter
  }
}

/** A valid `Host`: a name or an address, and a port. In any other text the end of the host is uncertain. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

/** A request's method and target from its request line, and its host from the header. */
function askedBy(request: NodeRequest): Asked & { readonly isPreflight: boolean } {
  try {
    const { method, url = "/", originalUrl = url, headers, socket } = request;
    const host = headers[":authority"] ?? headers["host"];
    const scheme = socket && "encrypted" in socket ? "https" : "http";
    return {
      ...ask(method, originalUrl, typeof host === "string" && HOST.test(host) ? `${scheme}://${host}` : ""),
      isPreflight: method === "OPTIONS" && headers["access-control-request-method"] !== undefined,
    };
  } catch {
    return { ...ask(undefined, undefined), isPreflight: false }; // not a request, or a getter threw
  }
}

/** The head of a request as a web `Request`. Throws for the method TRACE, which `Request` refuses. */
function webRequest(
  { url: line = "", originalUrl = line, headers: given }: NodeRequest,
  { input: { method = "GET", url = "/" } }: Asked,
): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || name.startsWith(":")) continue; // HTTP/2 pseudo-headers
    for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
  }
  const [query = ""] = /\?[^#]*/.exec(originalUrl) ?? [];
  return new Request(`${url.startsWith("/") ? "http://localhost" : ""}${url}${query}`, { method, headers });
}
