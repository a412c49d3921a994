// Outgoing calls: opens a span for the call, adds trace headers where the target is allowed them, and hands the response on
// unchanged. headers.ts and src/headers.rs decide which headers.

import { namedError, ownOf, readOption } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { isBrowser } from "../platform/env.js";
import { isCalledByOurs, isRequest, platformFetch, targetOf } from "../platform/host-fetch.js";
import { isPlainPromise } from "../platform/promise.js";
import type { CallObserver, Fetch, HeaderSpelling } from "../settings.js";
import type { Ending } from "./ending.js";
import { endSpan } from "./ending.js";
import { currentFrame } from "./frame.js";
import { addHeaders, type Incoming, ofCaller, type Propagation, readIncoming, spellingFor } from "./headers.js";
import { withoutQuery } from "./json.js";
import type { BegunCall, CallFollower, FetchOptions, OpenSpan, SpanOptions, TracedFetch } from "./model.js";
import { hasWatchableBody, watchResponseBody } from "./stream.js";
import { resolveUrl } from "./targets.js";

/** Opens the span of a call. */
export type StartCall = (options: SpanOptions) => OpenSpan;

const OPTIONS: Names<FetchOptions> = { parent: 0, name: 0, via: 0, propagate: 0 };

/** Makes the call without a span, with `via` or the platform's `fetch`. */
export function untracedFetch(...args: Parameters<TracedFetch>): Promise<Response> {
  return senderOf(optionsOf(args))(...args);
}

/**
 * The same in a span. It returns, throws and rejects as the call itself does; only a body is watched, in a copy of the
 * response. By default `send` makes the call, and its span opens under `above`.
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
  const { scope } = span.trace;
  const { settings, reporter, outbox } = scope;
  tellUnknown(reporter, options, "option of fetch", OPTIONS);
  const { observe } = settings;
  const follower =
    url && observe?.length // optional: another copy of this package may lack it
      ? followerOf(observe, {
          call,
          name: options.name,
          span,
          above: "parent" in options ? options.parent : above,
        })
      : undefined;
  const spelling = url && spellingOf(url, options.propagate, follower?.targets(propagation) ?? propagation);
  const replaced = ofCaller(settings.names);
  const own = call.callers(replaced);
  const beside = (its: Incoming | undefined): Record<string, string> => span.headersBeside(its, spelling);
  const headers = beside(own);
  if (spelling && span.id) outbox?.authorize?.(url, () => call.ownHeaders, headers); // optional for the same reason
  const names = Object.keys(headers);
  const failed = (error: unknown): never => {
    const isAborted = call.isAborted(error);
    follower?.ended(isAborted ? "cancelled" : "failed");
    if (isAborted) span.cancel();
    else span.fail(error);
    // The network or the browser refused the call.
    if (url && url.origin !== "null" && error instanceof TypeError && isBrowser()) {
      settings.host?.warnOfCors(url, names, reporter);
    }
    throw error;
  };
  try {
    // Trace headers of a forwarded request belong to its sender, so they are always removed.
    const given = names.length > 0 || own ? call.withHeaders(headers, replaced, beside) : call.args;
    const answer: unknown = scope.within(span, () => (send ?? senderOf(options))(...given));
    const answered = (response: unknown): unknown => watchAnswer(span, call, response, follower);
    return (isPlainPromise(answer) ? answer.then(answered, failed) : answered(answer)) as Promise<Response>;
  } catch (error) {
    return failed(error);
  }
}

/** The follower of the first observer that takes the call. */
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

/** The arguments of one call, of any type. They are only read here; the platform interprets them. */
class Call {
  args: Parameters<TracedFetch>;
  readonly #request: Request | undefined;
  readonly method: string;
  /** `undefined` if the target is not a valid URL; the platform then throws its own error. */
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

  /** The arguments with these headers added to the host's. Other members are read from the host's objects on demand. */
  withHeaders(
    added: Record<string, string>,
    ...rules: [names: readonly string[], beside: (own: Incoming | undefined) => Record<string, string>]
  ): Parameters<TracedFetch> {
    const [input, init, ...rest] = this.args as unknown[];
    const request = this.#request;
    // A navigation request cannot be copied, and the platform rejects invalid arguments itself.
    if ((this.args as unknown[]).length === 0) return this.args;
    if (request?.mode === "navigate" || (init != null && typeof init !== "object" && typeof init !== "function")) {
      return this.args;
    }
    const headers = (own: unknown): unknown => addHeaders(own === undefined ? request?.headers : own, added, ...rules);
    if ("WebSocketPair" in globalThis) {
      try {
        // After a redirect, workerd resends a body only if it got the request itself.
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

  /**
   * The trace headers or the token among the host's headers, as in a forwarded request. Headers that can be read only once are
   * left to the platform.
   */
  callers(names: readonly string[]): Incoming | undefined {
    try {
      const headers = this.ownHeaders;
      const isReadOnce =
        Symbol.iterator in (headers as object) && !Array.isArray(headers) && !("get" in (headers as object));
      return isReadOnce ? undefined : readIncoming(headers, names);
    } catch {
      return undefined; // no headers, or a getter that throws
    }
  }

  #methodOf(init: RequestInit | null | undefined): string {
    try {
      return String(init?.method ?? this.#request?.method ?? "GET");
    } catch {
      return "GET"; // a getter that throws at the platform too
    }
  }

  /** `true` if the host aborted the call. The signal is checked too, because any error can be the reason of an abort. */
  isAborted(error?: unknown): boolean {
    try {
      const signal = this.args[1]?.signal ?? this.#request?.signal;
      return signal?.aborted === true || (error as { name?: unknown } | undefined)?.name === "AbortError";
    } catch {
      return false;
    }
  }
}

/** `true` if `init` sets no member that the platform reads. Then a page's request keeps its referrer. */
function isEmpty(init: unknown): boolean {
  try {
    const members = Object.entries(Object.getOwnPropertyDescriptors(init ?? {}));
    const isPlain = init == null || Object.getPrototypeOf(init) === Object.prototype;
    return isPlain && members.every(([name, { value, get }]) => name === "opik" || (value === undefined && !get));
  } catch {
    return false; // a proxy that refuses
  }
}

/** An init with members resets a request's referrer (Fetch standard, `new Request`), so both are set again. */
function referrerOf({ referrer, referrerPolicy }: Request): object {
  return { referrer, referrerPolicy };
}

/** A view of `init`, which may be of any class, with other headers and with the members of `kept`. */
function withMembers(init: object, headers: (own: unknown) => unknown, kept: object): object {
  const get = (name: PropertyKey): unknown => {
    if (name in kept) return (kept as Record<PropertyKey, unknown>)[name];
    const own: unknown = Reflect.get(init, name, init);
    return name === "headers" ? headers(own) : own;
  };
  const isOwn = (name: PropertyKey): boolean => name === "headers" || name in kept || Object.hasOwn(init, name);
  // Wrappers of the global `fetch` may spread the init.
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

/** Ends the span of a call. If its follower or its status has already settled the outcome, it ends without a further mark. */
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

/** `response`, watched so that the span ends at the end of its body. */
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
      span.endsWith(watched.body ?? watched, watched.body); // the reader of a body need not hold the response
      return watched;
    }
  } catch {
    // A stand-in for a response, or a runtime whose bodies cannot be watched.
  }
  span.finish();
  return response;
}
