// Outgoing calls: a child span for the call, trace headers for the targets that are allowed them, and
// the response handed on as it came. Which headers is decided in headers.ts and src/headers.rs.

import { injectInto, spellingFor } from "./headers.js";
import { withoutQuery } from "./json.js";
import { endSpan } from "./settle.js";
import type { SpanHandle } from "./span.js";
import { hasWatchableBody, watchBytes, withBody } from "./stream.js";

/** `globalThis.fetch` under a child of `parent`. Rejects with what the platform's rejects with. */
export async function tracedFetch(
  parent: SpanHandle,
  input: RequestInfo | URL,
  init: RequestInit | undefined,
): Promise<Response> {
  if (!parent.id) return globalThis.fetch(input, init); // tracing is off and there is nothing to forward
  const request = input instanceof Request ? input : undefined;
  const method = (init?.method ?? request?.method ?? "GET").toUpperCase();
  const url = parseTarget(request ? request.url : String(input));
  const shown = url ? withoutQuery(url.href) : withoutQuery(String(input));
  const span = parent.span({
    name: url ? `${method} ${url.host}${url.pathname}` : `${method} ${shown}`,
    input: { method, url: shown },
  });
  let response: Response;
  try {
    const headers = new Headers(init?.headers ?? request?.headers);
    const spelling = url && spellingFor(url, parent.trace.scope.settings);
    const injected = spelling ? span.inject(headers, { spelling }) : injectInto(headers, []);
    response = await globalThis.fetch(input, { ...init, headers: injected });
  } catch (error) {
    span.fail(error);
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

/** The target as a URL; `undefined` where it is none, and the platform's `fetch` will say so. */
function parseTarget(text: string): URL | undefined {
  const { location } = globalThis as { location?: { href: string } };
  try {
    return new URL(text, location?.href);
  } catch {
    return undefined;
  }
}
