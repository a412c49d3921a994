// Wraps a handler that takes a web `Request`: for `Deno.serve`, `Bun.serve`, a route of Next or SvelteKit.

import { hasWaitUntil } from "./background-work.js";
import {
  type FetchTrigger,
  type KnownConfig,
  type ServerConfig,
  type ServerConfigFor,
  serverInvocations,
} from "./invocation.js";
import { traceRequest } from "./trace-request.js";

/** A function that answers a request. A framework may pass further arguments. */
// biome-ignore lint/suspicious/noExplicitAny: a framework's own request, and whatever it hands beside it
export type RequestHandler = (request: any, ...rest: any[]) => unknown;

/**
 * Traces each request of `handler` in a span under the caller's, or in a new trace. The span ends with the response. Settings fall
 * back to OPIK_* variables. Invalid settings are reported once, and the handler runs untraced, as it does for a browser's
 * preflight.
 *
 * In Node, Deno and Bun the rows are sent in the background. Elsewhere they are sent before the runtime ends the request, through
 * the `waitUntil` of the handler's further arguments or of the platform.
 *
 * @example
 * ```ts
 * import { span } from "opik-edge";
 * import { withOpik } from "opik-edge/server";
 *
 * export default {
 *   fetch: withOpik(async (request: Request) => {
 *     const text = await span({ name: "greet" }, async () => `hello ${new URL(request.url).pathname}`);
 *     return new Response(text);
 *   }),
 * };
 * ```
 */
export function withOpik<H extends RequestHandler, C extends KnownConfig<C> = ServerConfig>(
  handler: H,
  config?: ServerConfigFor<undefined, FetchTrigger, C>,
): (this: ThisParameterType<H>, ...args: Parameters<H>) => ReturnType<H> | Promise<Awaited<ReturnType<H>>> {
  const open = serverInvocations(config);
  return new Proxy(handler, {
    apply(target, self, args: Parameters<H>) {
      const ctx = args.slice(1).find(hasWaitUntil);
      return traceRequest(
        args[0],
        () => open({ env: undefined, ctx }, { type: "fetch", request: args[0] }),
        () => Reflect.apply(target, self, args) as ReturnType<H>,
      );
    },
    // Deno passes only the declared parameters, so a wrapped handler must declare at least the request.
    get: (target, key) => (key === "length" ? Math.max(1, target.length) : Reflect.get(target, key)),
  }) as never;
}
