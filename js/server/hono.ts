// The public surface of `opik-edge/hono`: middleware for every platform that Hono runs on.

import type { Span } from "../record/model.js";
import type { WaitUntil } from "./background-work.js";
import {
  type FetchTrigger,
  type KnownConfig,
  type ServerConfig,
  type ServerConfigFor,
  serverInvocations,
} from "./invocation.js";
import { traceRequest } from "./trace-request.js";

export type { FetchTrigger, KnownConfig, OnlyNames, ServerConfig, ServerConfigFor } from "./invocation.js";
export type { Trust, TrustConfig } from "./trust.js";

/** The used part of Hono's `Context`. */
interface Context {
  readonly req: { readonly raw: Request };
  readonly env: unknown;
  readonly executionCtx: WaitUntil;
  readonly error: Error | undefined;
  readonly finalized: boolean;
  res: Response;
  set(key: "opik", value: Span): void;
}

/** The middleware's variables: `new Hono<{ Variables: OpikVariables }>()`. */
export interface OpikVariables {
  /** The request's root span, for runtimes where nothing is current after an `await`; `undefined` when tracing is off. */
  readonly opik: Span | undefined;
}

/**
 * Middleware that traces each request in a span under the caller's, or in a new trace. The span ends with the response. The
 * OPIK_* variables come from Hono's `env`; `config` overrides them. Invalid settings are reported once, and requests run
 * untraced.
 *
 * @example
 * ```ts
 * import { Hono } from "hono";
 * import { span } from "opik-edge";
 * import { opikMiddleware } from "opik-edge/hono";
 *
 * export const app = new Hono();
 * app.use(opikMiddleware());
 * app.get("/items", async (c) => c.json(await span({ name: "load" }, async () => ["pen"])));
 * ```
 */
export function opikMiddleware<Env = unknown, C extends KnownConfig<C> = ServerConfig>(
  config?: ServerConfigFor<Env, FetchTrigger, C>,
  // biome-ignore lint/suspicious/noExplicitAny: Hono's own context, whose type would make Hono a dependency
): (c: any, next: () => Promise<void>) => Promise<void> {
  const open = serverInvocations(config);
  return async (c: Context, next) => {
    const response = await traceRequest(
      c.req.raw,
      () => open({ env: c.env, ctx: executionCtxOf(c) }, { type: "fetch", request: c.req.raw }),
      async (root) => {
        if (root) c.set("opik", root);
        await next();
        // Hono has already answered an error that a handler threw.
        if (root && c.error) root.update({ error: c.error });
        // Reading `c.res` of an unanswered request would create a response.
        return c.finalized ? c.res : undefined;
      },
    );
    if (!response || response === c.res) return;
    // Cleared first, because Hono merges the headers of the previous response into a new one.
    c.res = undefined as unknown as Response;
    c.res = response;
  };
}

/** A Worker's `ctx`. On other platforms Hono throws. */
function executionCtxOf(c: Context): WaitUntil | undefined {
  try {
    return c.executionCtx;
  } catch {
    return undefined;
  }
}
