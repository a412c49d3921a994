// One HTTP request: a root span around its handler, which ends with the response. What a request says of itself is read with
// care, since it may be a polyfill's, another realm's, or none at all.

import { isObject } from "../errors.js";
import { prepareAsyncContext } from "../platform/context.js";
import { now } from "../platform/env.js";
import { currentFrame } from "../record/frame.js";
import { readClaim, readIncoming } from "../record/headers.js";
import type { SpanHandle } from "../record/span.js";
import { isPreflight } from "./cors.js";
import { beginCall, type Call, type Invocation, runCall } from "./invocation.js";
import { watchResponse } from "./watch-response.js";

/** What is recorded of a request: what is asked for, as far as that is told. */
export interface Asked {
  /** `GET /path` */
  readonly name: string;
  /** The URL has neither query nor credentials. */
  readonly input: { readonly method: string | undefined; readonly url: string | undefined };
}

/** Scheme and host of a URL, between which there may be credentials. */
const ORIGIN = /^([a-z][a-z\d+.-]*:\/\/)(?:[^/?#]*@)?([^/?#]*)/i;

/** `target` is a URL or what a request line has; `origin` goes before the one that it names. */
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

/** What a `Request` asks for, or what is taken for one. */
function askedBy(request: Request): Asked {
  try {
    return ask(request.method, request.url);
  } catch {
    return ask(undefined, undefined); // it is none, or a getter throws
  }
}

function asksFirst(request: Request): boolean {
  try {
    return isPreflight(request);
  } catch {
    return false;
  }
}

/** A request that is being handled. */
interface Handled {
  readonly root: SpanHandle;
  readonly name: string;
}

/** Kept on globalThis so that two copies of the package agree, under the number that platform/context.ts has. */
const KEY = Symbol.for("opik-edge/2/requests");

/** What is being handled, by its request and by its trace. */
function handled(): WeakMap<object, Handled> {
  const holder = globalThis as { [KEY]?: WeakMap<object, Handled> };
  holder[KEY] ??= new WeakMap();
  return holder[KEY];
}

/**
 * The root of a request that is traced further out already: this very object, or one that asks for the same where the root's
 * trace is current, as the request that an adapter makes of Node's.
 */
export function outerRoot(request: unknown, { name }: Asked): SpanHandle | undefined {
  const known = handled();
  const own = known.get(request as object);
  if (own) return own.root;
  const frame = currentFrame();
  const outer = frame && known.get(frame.trace);
  return outer?.name === name ? outer.root : undefined;
}

/** Has nothing recorded of the request that is being handled, this one or the one that is current: as of one to the relay. */
export function silence(request: Request): void {
  const known = handled();
  const frame = currentFrame();
  const root = (known.get(request) ?? (frame && known.get(frame.trace)))?.root;
  root?.trace.silence?.(); // which another copy of this package may not have
}

/** Runs `fn` with `root` current, unless something is that belongs to its trace. */
export function inside<T>(root: SpanHandle, fn: () => T): T {
  return currentFrame()?.trace === root.trace ? fn() : root.run(fn);
}

/**
 * Whether the trace that `carrier` names is joined; `true` where it names none. Reports once that one is not. `request` makes what is
 * asked about, and may throw. Does not reject.
 */
export function isTrusted(
  { trusts, scope }: Invocation,
  carrier: unknown,
  request: () => Request,
): boolean | Promise<boolean> {
  if (!trusts || !readIncoming(carrier)) return true;
  const believe = (answer: unknown, cause?: unknown): boolean => {
    const message = "trust refused a caller: send a good opik-token, or believe it in trust";
    if (answer !== true) scope.reporter.once("invalid_headers", message, cause, "trust");
    return answer === true;
  };
  const failed = (cause: unknown): boolean => believe(false, cause); // a function that rejects, a token that is none
  try {
    const answer: unknown = trusts(request());
    return typeof answer === "boolean" ? believe(answer) : Promise.resolve(answer).then((is) => believe(is), failed);
  } catch (error) {
    return failed(error);
  }
}

/** The root span of a request, whose caller's trace is joined if it is trusted; `prepareAsyncContext` comes first. */
export function beginRequest(invocation: Invocation, request: unknown, { name, input }: Asked, trusted: boolean): Call {
  const { root, ended } = beginCall(invocation, {
    name,
    input,
    metadata: trusted ? undefined : { opik_edge_untrusted: readClaim(readIncoming(request), now()) ?? {} },
    caller: trusted ? (request as Request) : undefined,
  });
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
 * The response of `handle`, which is given the root span. Where `open` gives no invocation, and for a browser's preflight, it runs
 * untraced; within a request that is traced already, as a part of that. What is no `Response` goes as it is. Sync in, sync out,
 * unless it is to be found out first whom to trust, or where to keep what is current.
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
  if (!invocation) return handle(undefined);
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
    // What is not recorded has no span that would end with the response.
    if (root.trace.recording) return watchResponse(response, method, onEnd, () => root.trace.breakOff());
    onEnd({ how: "done" });
    return response;
  });
}

/** Records the status of `response`, web's or Node's, unless the host records an output of its own. */
export function presetStatus(root: SpanHandle, response: unknown): void {
  try {
    const { status, statusCode = status } = response as { status?: unknown; statusCode?: unknown };
    if (typeof statusCode === "number") root.preset({ output: { status: statusCode } });
  } catch {
    // It is no response, or a getter throws.
  }
}
