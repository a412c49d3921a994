// One HTTP request as a web platform has it: a root span around its handler, which ends with the response.

import { prepareAsyncContext } from "../context.js";
import { isPreflight } from "../cors.js";
import { forwardableIds, readIncoming } from "../headers.js";
import { withoutQuery } from "../json.js";
import { endSpan } from "../settle.js";
import type { SpanHandle } from "../span.js";
import { beginCall, type Call, type Invocation } from "./invocation.js";
import { watchResponse } from "./watch-response.js";

/** Whether the trace that `request` names is joined; `true` where it names none. Does not reject. */
export function isTrusted({ trusts }: Invocation, request: Request): boolean | Promise<boolean> {
  if (!trusts || !readIncoming(request)) return true;
  return trusts(request).catch(() => false); // a function that throws, a token that is none
}

/** The root span of a request, whose caller's trace is joined if it is trusted; `prepareAsyncContext` comes first. */
export function beginRequest(invocation: Invocation, request: Request, trusted: boolean): Call {
  const { method } = request;
  const url = urlOf(request);
  return beginCall(invocation, {
    name: `${method} ${url.slice(url.indexOf("/", url.indexOf("//") + 2))}`,
    input: { method, url },
    metadata: trusted ? undefined : { opik_edge_untrusted: forwardableIds(readIncoming(request)) ?? {} },
    caller: trusted ? request : undefined,
  });
}

/** A request's URL without its query. It is absolute and normalised; only one with credentials has to be taken apart. */
function urlOf({ url }: Request): string {
  if (url.includes("@")) return withoutQuery(url);
  const end = url.search(/[?#]/);
  return end < 0 ? url : url.slice(0, end);
}

/**
 * The response of `handle`, which is given the root span. Where `open` gives no invocation, and for a browser's preflight, it runs
 * untraced. What is no `Response` goes as it is.
 */
export async function traceRequest<R>(
  request: Request,
  open: () => Invocation | undefined,
  handle: (root: SpanHandle | undefined) => R,
): Promise<Awaited<R>> {
  const invocation = isPreflight(request) ? undefined : open();
  if (!invocation) return await handle(undefined);
  const prepared = prepareAsyncContext();
  if (prepared) await prepared;
  const { root, ended } = beginRequest(invocation, request, await isTrusted(invocation, request));
  try {
    const response = await root.run(() => handle(root));
    const { status } = (response ?? {}) as { status?: unknown };
    if (typeof status === "number") root.preset({ output: { status } });
    if (!root.trace.recording) {
      ended(); // it has no span that would end with the response
      return response;
    }
    return watchResponse(response, request.method, (ending) => {
      endSpan(root, ending);
      ended();
    });
  } catch (error) {
    root.fail(error);
    ended();
    throw error;
  }
}
