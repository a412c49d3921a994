// The public surface of `opik-edge/node`: servers of Node's `http`, and what is built on it, as Express.

import { isAsync } from "../platform/promise.js";
import type { SpanHandle } from "../record/span.js";
import {
  type Call,
  type FetchTrigger,
  type KnownConfig,
  type ServerConfig,
  type ServerConfigFor,
  serverInvocations,
} from "./invocation.js";
import { type Asked, ask, beginRequest, inside, isTrusted, outerRoot, presetStatus } from "./trace-request.js";

export type { FetchTrigger, KnownConfig, OnlyNames, ServerConfig, ServerConfigFor } from "./invocation.js";
export type { Trust, TrustConfig } from "./trust.js";

/** What is needed of Node's `IncomingMessage`, of HTTP/1 or HTTP/2. */
export interface NodeRequest {
  /** In upper case. */
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
  /** Of HTTP/2: whether it was broken off. */
  readonly stream?:
    | {
        /** Whether its client has reset it. */
        readonly aborted?: boolean | undefined;
      }
    | undefined;
  /** Is given every event; the first `finish` or `close` ends the span, after its listeners. */
  emit(event: string, ...args: unknown[]): boolean;
}

/**
 * Middleware (Express, Connect) that traces each request: a span under the caller's, or a trace of its own, which ends when the
 * response has been sent. Settings fall back to OPIK_* variables. Invalid ones are reported once, and requests run untraced.
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

/** A listener of `http.createServer`: it is given what extends `NodeRequest` and `NodeResponse`. */
// biome-ignore lint/suspicious/noExplicitAny: Node's own types, which would make @types/node a dependency
export type NodeListener = (request: any, response: any, ...rest: any[]) => unknown;

/**
 * The same around a listener of `http.createServer`. What it throws, or an `async` one rejects with, is recorded and thrown on.
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

/** With `isAsync` the result of `handle` is a promise that nobody else has. */
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
    if (!invocation) return handle();
    let call: Call | undefined;
    let ending: "finish" | "cancel" | undefined;
    const end = (): void => {
      if (!call || !ending) return;
      presetStatus(call.root, response);
      call.root[ending]();
      call.ended();
    };
    const run = <T>(fn: () => T): T => (call ? inside(call.root, fn) : fn());
    // Before anybody is asked about the caller: the client may go meanwhile.
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
    if (!isBound) ending = "finish"; // with the handler
    const begin = (trusted: boolean): unknown => {
      call = beginRequest(invocation, request, asked, trusted);
      try {
        return handleIn(call.root, handle, isAsync);
      } finally {
        end();
      }
    };
    const trusted = isTrusted(invocation, request, () => webRequest(request, asked));
    // At once where that can be: a listener that comes later misses what happens first.
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
    // Another's promise may be handled by the host or by nobody: to look at it would end the process, or keep it from ending.
    return isAsync && result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}

/** Whether a response has ended because its client has gone. HTTP/2 also finishes what its client has reset. */
function hasGone({ writableFinished, stream }: NodeResponse): boolean {
  return writableFinished === false || stream?.aborted === true;
}

/**
 * Has the listeners of `emitter` called by way of `around`, also those that are added later. By an `emit` of its own, since a
 * host counts, compares and removes its listeners. Whether that was possible.
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
    return false; // it is frozen, or none
  }
}

/** What a `Host` may be: a name or an address, and a port. Of anything else it can not be told where the host ends. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

/** A request as its line has it, and its host as the header has it. */
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
    return { ...ask(undefined, undefined), isPreflight: false }; // it is none, or a getter throws
  }
}

/** The head of a request as the web platform has it. Throws where that knows no such request: the method TRACE. */
function webRequest(
  { url: line = "", originalUrl = line, headers: given }: NodeRequest,
  { input: { method = "GET", url = "/" } }: Asked,
): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || name.startsWith(":")) continue; // HTTP/2 has method and path among them
    for (const one of Array.isArray(value) ? value : [value]) headers.append(name, one);
  }
  const [query = ""] = /\?[^#]*/.exec(originalUrl) ?? [];
  return new Request(`${url.startsWith("/") ? "http://localhost" : ""}${url}${query}`, { method, headers });
}
