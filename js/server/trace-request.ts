// One HTTP request: a root span around its handler, which ends with the response. The request's members are read with care, since
// it may come from a polyfill or another realm, or not be a request at all.

import { isObject } from "../errors.js";
import { prepareAsyncContext } from "../platform/context.js";
import { now } from "../platform/env.js";
import { currentFrame } from "../record/frame.js";
import { OPIK_NAMES, readClaim, readIncoming } from "../record/headers.js";
import type { SpanHandle } from "../record/span.js";
import { isPreflight } from "./cors.js";
import { beginCall, type Call, type Invocation, runCall, untraced } from "./invocation.js";
import { watchResponse } from "./watch-response.js";

/** The recorded description of a request. Unknown parts are `undefined`. */
export interface Asked {
  /** `GET /path` */
  readonly name: string;
  /** Method and URL. The URL has neither query nor credentials. */
  readonly input: { readonly method: string | undefined; readonly url: string | undefined };
}

/** Scheme and host of a URL, with optional credentials between them. */
const ORIGIN = /^([a-z][a-z\d+.-]*:\/\/)(?:[^/?#]*@)?([^/?#]*)/i;

/** `target` is a URL or the target of a request line. `origin` replaces the origin in `target`. */
export function ask(method: unknown, target: unknown, origin?: string): Asked {
  const verb = typeof method === "string" ? method : undefined;
  if (typeof target !== "string") return { name: verb ?? "request", input: { method: verb, url: undefined } };
  const [whole = "", scheme = "", host = ""] = ORIGIN.exec(target) ?? [];
  const end = target.search(/[?#]/);
  const path = target.slice(whole.length, end < 0 ? undefined : end) || "/";
  // `OPTIONS *` asks about the server, whose URL has no path (RFC 9110, 7.1).
  const url = (origin ?? scheme + host) + (path === "*" ? "" : path);
  return { name: verb ? `${verb} ${path}` : path, input: { method: verb, url: url || path } };
}

/** The description of a `Request`, or of an object in its place. */
function askedBy(request: Request): Asked {
  try {
    return ask(request.method, request.url);
  } catch {
    return ask(undefined, undefined); // not a request, or a getter threw
  }
}

function asksFirst(request: Request): boolean {
  try {
    return isPreflight(request);
  } catch {
    return false;
  }
}

/** A request in progress. */
interface Handled {
  readonly root: SpanHandle;
  readonly name: string;
}

/** Kept on globalThis so that two copies of the package agree, under the version number of platform/context.ts. */
const KEY = Symbol.for("opik-edge/3/requests");

/** The requests in progress, by request object and by trace. */
function handled(): WeakMap<object, Handled> {
  const holder = globalThis as { [KEY]?: WeakMap<object, Handled> };
  holder[KEY] ??= new WeakMap();
  return holder[KEY];
}

/**
 * The root span of a request that is traced already. It is found by the request object, or through the current trace if both
 * requests ask for the same: an adapter makes its own `Request` from Node's.
 */
export function outerRoot(request: unknown, { name }: Asked): SpanHandle | undefined {
  const known = handled();
  const own = known.get(request as object);
  if (own) return own.root;
  const frame = currentFrame();
  const outer = frame && known.get(frame.trace);
  return outer?.name === name ? outer.root : undefined;
}

/** Records nothing of a request in progress, `request` or the current one: for requests to the relay. */
export function silence(request: Request): void {
  const known = handled();
  const frame = currentFrame();
  const root = (known.get(request) ?? (frame && known.get(frame.trace)))?.root;
  root?.trace.silence?.(); // missing in an older copy of this package
}

/** Runs `fn` with `root` current, unless a span of its trace is current already. */
export function inside<T>(root: SpanHandle, fn: () => T): T {
  return currentFrame()?.trace === root.trace ? fn() : root.run(fn);
}

/**
 * `true` if the trace that `carrier` names may be joined, or if it names no trace. A refusal is reported once. `request` makes the
 * request to judge, and may throw. Never rejects.
 */
export function isTrusted(
  { trusts, scope }: Invocation,
  carrier: unknown,
  request: () => Request,
): boolean | Promise<boolean> {
  if (
    !trusts ||
    !readIncoming(
      carrier,
      scope.settings.names.filter((name) => name !== "baggage"),
    )
  )
    return true;
  const believe = (answer: unknown, cause?: unknown): boolean => {
    const message = "trust refused a caller: send a good opik-token, or believe it in trust";
    if (answer !== true) scope.reporter.once("invalid_headers", message, cause, "trust");
    return answer === true;
  };
  const failed = (cause: unknown): boolean => believe(false, cause); // `trust` rejected, or the token is malformed
  try {
    const answer: unknown = trusts(request());
    return typeof answer === "boolean" ? believe(answer) : Promise.resolve(answer).then((is) => believe(is), failed);
  } catch (error) {
    return failed(error);
  }
}

/** The root span of a request. It joins the caller's trace if that is trusted. Call `prepareAsyncContext` first. */
export function beginRequest(invocation: Invocation, request: unknown, { name, input }: Asked, trusted: boolean): Call {
  const refused = trusted ? undefined : readIncoming(request, invocation.scope.settings.names);
  const { root, ended } = beginCall(invocation, {
    name,
    input,
    metadata: trusted ? undefined : { opik_edge_untrusted: readClaim(refused, now()) ?? {} },
    caller: trusted ? (request as Request) : undefined,
  });
  root.trace.came[2] = refused?.[OPIK_NAMES]; // a forwarded request still has it
  const known = handled();
  const keys = [request, root.trace].filter(isObject);
  for (const key of keys) known.set(key, { root, name });
  return {
    root,
    ended: () => {
      for (const key of keys) known.delete(key);
      ended();
    },
  };
}

/**
 * Runs `handle` with the root span and returns its response. The request runs untraced if `open` returns no invocation, and for a
 * browser's preflight. Within a request that is already traced, it becomes a part of that trace. A result that is not a `Response`
 * is returned untouched. A sync handler stays sync, unless `trust` or the async context must be awaited first.
 */
export function traceRequest<R>(
  request: Request,
  open: () => Invocation | undefined,
  handle: (root: SpanHandle | undefined) => R,
): R | Promise<Awaited<R>> {
  const asked = askedBy(request);
  const outer = outerRoot(request, asked);
  if (outer) return inside(outer, () => handle(outer));
  const invocation = asksFirst(request) ? undefined : open();
  if (!invocation) return untraced(() => handle(undefined));
  const begin = (trusted: boolean): R =>
    run(beginRequest(invocation, request, asked, trusted), asked.input.method, handle) as R;
  const judge = (): boolean | Promise<boolean> => isTrusted(invocation, request, () => request);
  const prepared = prepareAsyncContext();
  const trusted = prepared ? prepared.then(judge) : judge();
  return typeof trusted === "boolean" ? begin(trusted) : (trusted.then(begin) as Promise<Awaited<R>>);
}

function run(call: Call, method: string | undefined, handle: (root: SpanHandle) => unknown): unknown {
  const { root } = call;
  return runCall(call, handle, (response, onEnd) => {
    presetStatus(root, response);
    // An unsampled request has no span that could end with the response.
    if (root.trace.recording) return watchResponse(response, method, onEnd, () => root.trace.breakOff());
    onEnd({ how: "done" });
    return response;
  });
}

/** Records the status of a web or Node `response`, unless the application records its own output. */
export function presetStatus(root: SpanHandle, response: unknown): void {
  try {
    const { status, statusCode = status } = response as { status?: unknown; statusCode?: unknown };
    if (typeof statusCode === "number") root.preset({ output: { status: statusCode } });
  } catch {
    // Not a response, or a getter threw.
  }
}
