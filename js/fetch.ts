// Outgoing calls: a span for the call, trace headers for the targets that are allowed them, and the response handed on
// as it came. Which headers is decided in headers.ts and src/headers.rs.

import {
  type HeaderCarrier,
  type HeaderSpelling,
  injectInto,
  type Propagation,
  resolveUrl,
  spellingFor,
} from "./headers.js";
import { withoutQuery } from "./json.js";
import { page } from "./page.js";
import { endSpan } from "./settle.js";
import type { Span, SpanHandle, SpanOptions } from "./span.js";
import { hasWatchableBody, watchBytes, withBody } from "./stream.js";
import type { Trace } from "./trace.js";
import { platformFetch } from "./transport.js";

/** What a traced `fetch` takes beside the platform's own. */
export interface TracedRequestInit extends RequestInit {
  /** How this call is traced; the platform does not see it. */
  readonly opik?: FetchOptions | undefined;
}

/** How one call is traced. */
export interface FetchOptions {
  /** Under what its span opens (default the span whose `fetch` it is, else the current one). */
  readonly parent?: Span | Trace | HeaderCarrier | null | undefined;
  /** The name of its span (default method, host and path). */
  readonly name?: string | undefined;
  /** What makes the call: a service binding, a Durable Object's stub (default the platform's `fetch`). */
  readonly via?:
    | {
        /** Called as the platform's. */
        fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
      }
    | undefined;
  /** Whether its target is given headers, and in which spelling; instead of `propagateTo`. */
  readonly propagate?: boolean | HeaderSpelling | undefined;
}

/** Opens the span of a call. */
export type StartCall = (options: SpanOptions) => SpanHandle;

/** The call itself, by the platform's `fetch` or by what it is to be made with. */
export function untracedFetch(
  input: string | URL | Request,
  { opik, ...init }: TracedRequestInit = {},
): Promise<Response> {
  return opik?.via ? opik.via.fetch(input, init) : platformFetch(input, init);
}

/** The same in a span. Rejects with what the platform's rejects with. */
export async function tracedFetch(
  start: StartCall,
  propagation: Propagation,
  input: string | URL | Request,
  { opik = {}, ...init }: TracedRequestInit = {},
): Promise<Response> {
  const request = input instanceof Request ? input : undefined;
  const method = (init.method ?? request?.method ?? "GET").toUpperCase();
  // Where it is none, the platform's `fetch` will say so.
  const url = resolveUrl(request ? request.url : String(input));
  const shown = withoutQuery(url ?? String(input));
  const span = start({
    name: opik.name ?? (url ? `${method} ${url.host}${url.pathname}` : `${method} ${shown}`),
    input: { method, url: shown },
    ...("parent" in opik && { parent: opik.parent }),
  });
  let response: Response;
  let map: Record<string, string> = {};
  try {
    const headers = new Headers(init.headers ?? request?.headers);
    const spelling = url && spellingOf(url, opik.propagate, propagation);
    if (spelling) map = span.headers({ spelling });
    const injected = injectInto(headers, map);
    response = await untracedFetch(input, { ...init, headers: injected, opik });
  } catch (error) {
    span.fail(error);
    // What the network, or the browser, refused; not what the caller broke off.
    if (url && error instanceof TypeError) page()?.warnOfCors(url, Object.keys(map), span.trace.scope.reporter);
    throw error;
  }
  span.update({ output: { status: response.status } });
  if (method === "HEAD" || !hasWatchableBody(response)) {
    span.finish();
    return response;
  }
  try {
    return withBody(
      response,
      watchBytes(response.body, (ending) => endSpan(span, ending)),
    );
  } catch {
    span.finish(); // this runtime can not watch a body
    return response;
  }
}

function spellingOf(url: URL, own: FetchOptions["propagate"], propagation: Propagation): HeaderSpelling | undefined {
  if (own === undefined) return spellingFor(url, propagation);
  if (typeof own === "string") return own;
  return own ? "both" : undefined;
}
