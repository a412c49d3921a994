// Outgoing calls: a span for the call, trace headers for the targets that are allowed them, and the response handed on
// as it came. Which headers is decided in headers.ts and src/headers.rs.

import { namedError, ownOf, readOption } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { isBrowser } from "../platform/env.js";
import { isCalledByOurs, isRequest, platformFetch, targetOf } from "../platform/host-fetch.js";
import { isPlainPromise } from "../platform/promise.js";
import type { CallObserver, Fetch, HeaderSpelling } from "../settings.js";
import type { Ending } from "./ending.js";
import { endSpan } from "./ending.js";
import { currentFrame } from "./frame.js";
import { addHeaders, ofCaller, type Propagation, readIncoming, spellingFor } from "./headers.js";
import { withoutQuery } from "./json.js";
import type { BegunCall, CallFollower, FetchOptions, OpenSpan, SpanOptions, TracedFetch } from "./model.js";
import { hasWatchableBody, watchResponseBody } from "./stream.js";
import { resolveUrl } from "./targets.js";

/** Opens the span of a call. */
export type StartCall = (options: SpanOptions) => OpenSpan;

const OPTIONS: Names<FetchOptions> = { parent: 0, name: 0, via: 0, propagate: 0 };

/** The call itself, by the platform's `fetch` or by what it is to be made with. */
export function untracedFetch(...args: Parameters<TracedFetch>): Promise<Response> {
  return senderOf(optionsOf(args))(...args);
}

/**
 * The same in a span. It gives, throws and rejects as the call itself does; only a body is watched, in a copy of the response.
 * Where no option says otherwise, `send` makes the call, and its span opens under `above`.
 */
export function tracedFetch(
  start: StartCall,
  propagation: Propagation,
  args: Parameters<TracedFetch>,
  send?: Fetch,
  above: unknown = currentFrame()?.span,
): Promise<Response> {
  if (isCalledByOurs(args)) return (send ?? platformFetch)(...args);
  const options = optionsOf(args);
  const call = new Call(args);
  const { url } = call;
  const span = start({
    name: options.name ?? call.name,
    input: { method: call.method, url: call.shownUrl },
    ...("parent" in options && { parent: options.parent }),
  });
  const { settings, reporter, outbox } = span.trace.scope;
  tellUnknown(reporter, options, "option of fetch", OPTIONS);
  const { observe } = settings;
  const follower =
    url && observe?.length // which another copy of this package may not have
      ? followerOf(observe, {
          call,
          name: options.name,
          span,
          above: "parent" in options ? options.parent : above,
        })
      : undefined;
  const spelling = url && spellingOf(url, options.propagate, follower?.targets(propagation) ?? propagation);
  const headers = spelling ? span.headers({ spelling }) : {};
  if (spelling && span.id) outbox?.authorize?.(url, () => call.ownHeaders, headers); // which another copy may not have either
  const names = Object.keys(headers);
  const failed = (error: unknown): never => {
    const isAborted = call.isAborted(error);
    follower?.ended(isAborted ? "cancelled" : "failed");
    if (isAborted) span.cancel();
    else span.fail(error);
    // What the network, or the browser, refused.
    if (url && url.origin !== "null" && error instanceof TypeError && isBrowser()) {
      settings.host?.warnOfCors(url, names, reporter);
    }
    throw error;
  };
  try {
    // What a forwarded request carries of its caller's is for nobody else.
    const given = names.length > 0 || call.carriesCallers ? call.withHeaders(headers) : call.args;
    const answer: unknown = (send ?? senderOf(options))(...given);
    const answered = (response: unknown): unknown => watchAnswer(span, call, response, follower);
    return (isPlainPromise(answer) ? answer.then(answered, failed) : answered(answer)) as Promise<Response>;
  } catch (error) {
    return failed(error);
  }
}

/** What follows the call for the first observer that takes it. */
function followerOf(observers: readonly CallObserver[], call: BegunCall): CallFollower | undefined {
  for (const observer of observers) {
    const follower = observer.follow(call as never);
    if (follower) return follower as CallFollower;
  }
  return undefined;
}

function optionsOf([, init]: Parameters<TracedFetch>): FetchOptions {
  try {
    return ownOf(readOption(init, "opik"));
  } catch {
    return ownOf({}); // a getter that throws
  }
}

function senderOf({ via }: FetchOptions): Fetch {
  return via ? (...args) => via.fetch(...(args as [string])) : platformFetch;
}

function spellingOf(url: URL, own: FetchOptions["propagate"], propagation: Propagation): HeaderSpelling | undefined {
  if (own === undefined) return spellingFor(url, propagation);
  if (typeof own === "string") return own;
  return own ? "both" : undefined;
}

/** The arguments of one call, of whatever type. What the platform makes of them is its own affair: here they are only read. */
class Call {
  args: Parameters<TracedFetch>;
  readonly #request: Request | undefined;
  readonly method: string;
  /** `undefined` where it is none, which the platform says itself. */
  readonly url: URL | undefined;
  /** Without its query. */
  readonly shownUrl: string;

  constructor(args: Parameters<TracedFetch>) {
    this.args = args;
    const [input, init] = args;
    this.#request = isRequest(input) ? input : undefined;
    this.method = this.#methodOf(init).toUpperCase();
    const text = targetOf(input);
    this.url = resolveUrl(text);
    this.shownUrl = withoutQuery(this.url ?? text);
  }

  get name(): string {
    return `${this.method} ${this.url?.host ? `${this.url.host}${this.url.pathname}` : this.shownUrl}`;
  }

  /** The arguments with these headers beside the host's own. All else is read from what the host gave when it is asked for. */
  withHeaders(added: Record<string, string>): Parameters<TracedFetch> {
    const [input, init, ...rest] = this.args as unknown[];
    const request = this.#request;
    // A request of a navigation can not be made anew, and what makes no call is for the platform to refuse.
    if ((this.args as unknown[]).length === 0) return this.args;
    if (request?.mode === "navigate" || (init != null && typeof init !== "object" && typeof init !== "function")) {
      return this.args;
    }
    const headers = (own: unknown): unknown => addHeaders(own === undefined ? request?.headers : own, added);
    if ("WebSocketPair" in globalThis) {
      try {
        // workerd sends a body again after a redirect only where it was given the request itself.
        if (isRequest(init))
          return [new Request(input as string, init), { headers: headers(init.headers) }, ...rest] as never;
      } catch {
        return this.args;
      }
    }
    const kept = request && isBrowser() && isEmpty(init) ? referrerOf(request) : {};
    const changed = init == null ? { headers: headers(undefined), ...kept } : withMembers(init, headers, kept);
    return [input, changed, ...rest] as unknown as Parameters<TracedFetch>;
  }

  /** The host's headers. A getter may throw. */
  get ownHeaders(): unknown {
    return this.args[1]?.headers ?? this.#request?.headers;
  }

  /** Whether the host's headers have a trace or a token in them that is their caller's. What can be read only once is left to the platform. */
  get carriesCallers(): boolean {
    try {
      const headers = this.ownHeaders;
      const isReadOnce =
        Symbol.iterator in (headers as object) && !Array.isArray(headers) && !("get" in (headers as object));
      return !isReadOnce && readIncoming(headers, ofCaller()) !== undefined;
    } catch {
      return false; // there are none, or a getter throws
    }
  }

  #methodOf(init: RequestInit | null | undefined): string {
    try {
      return String(init?.method ?? this.#request?.method ?? "GET");
    } catch {
      return "GET"; // a getter that throws at the platform too
    }
  }

  /** Whether the host has broken it off: an error alone does not say so, since a signal may be given any reason. */
  isAborted(error?: unknown): boolean {
    try {
      const signal = this.args[1]?.signal ?? this.#request?.signal;
      return signal?.aborted === true || (error as { name?: unknown } | undefined)?.name === "AbortError";
    } catch {
      return false;
    }
  }
}

/** Whether the platform takes no member from `init`: then a page's request that goes with it keeps its referrer. */
function isEmpty(init: unknown): boolean {
  try {
    const members = Object.entries(Object.getOwnPropertyDescriptors(init ?? {}));
    const isPlain = init == null || Object.getPrototypeOf(init) === Object.prototype;
    return isPlain && members.every(([name, { value, get }]) => name === "opik" || (value === undefined && !get));
  } catch {
    return false; // a proxy that refuses
  }
}

/** Where an init has members, a request's own referrer counts for nothing (Fetch standard, `new Request`). */
function referrerOf({ referrer, referrerPolicy }: Request): object {
  return { referrer, referrerPolicy };
}

/** `init`, which may be of any class, with other headers, and with the members of `kept`. */
function withMembers(init: object, headers: (own: unknown) => unknown, kept: object): object {
  const get = (name: PropertyKey): unknown => {
    if (name in kept) return (kept as Record<PropertyKey, unknown>)[name];
    const own: unknown = Reflect.get(init, name, init);
    return name === "headers" ? headers(own) : own;
  };
  const isOwn = (name: PropertyKey): boolean => name === "headers" || name in kept || Object.hasOwn(init, name);
  // What wraps the global `fetch` may well spread it.
  return new Proxy(
    {},
    {
      get: (_, name) => get(name),
      has: (_, name) => isOwn(name) || name in init,
      ownKeys: () => [...new Set([...Reflect.ownKeys(init), "headers", ...Object.keys(kept)])],
      getOwnPropertyDescriptor: (_, name) =>
        isOwn(name) ? { value: get(name), enumerable: true, configurable: true, writable: true } : undefined,
      getPrototypeOf: () => Object.getPrototypeOf(init),
    },
  );
}

/** Ends the span of a call as it has come to its end, unless that is settled already: by what follows it, or by its answer's status. */
export function endCall(
  span: OpenSpan,
  call: Pick<Call, "isAborted">,
  follower: CallFollower | undefined,
  given: Ending,
  isSettled = false,
): void {
  const ending: Ending = given.how !== "done" && call.isAborted() ? { how: "cancelled" } : given;
  if (follower?.ended(ending.how) || isSettled) span.finish();
  else endSpan(span, ending);
}

/** `response`, with the span ended at the end of its body. */
export function watchAnswer(
  span: OpenSpan,
  call: Pick<Call, "method" | "isAborted">,
  response: unknown,
  follower?: CallFollower,
): unknown {
  try {
    const { status, statusText } = response as Response;
    span.update({ output: { status } });
    const isError = status >= 400;
    if (isError) span.update({ error: namedError("HttpError", `${status} ${statusText}`.trimEnd()) });
    follower?.answered(response as Response);
    const end = (ending: Ending): void => endCall(span, call, follower, ending, isError);
    if (call.method !== "HEAD" && span.isRecorded && hasWatchableBody(response as Response)) {
      const watched = watchResponseBody(
        response as Response & { body: ReadableStream<Uint8Array> },
        end,
        follower?.onCancel,
        follower?.onChunk,
      );
      span.endsWith(watched.body ?? watched); // who reads the body need not keep the response
      return watched;
    }
  } catch {
    // A stand-in for a response, or a runtime that can not watch a body.
  }
  span.finish();
  return response;
}
