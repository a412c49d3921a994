// Wraps a Worker's handler: joins the caller's trace, opens the root span, and flushes in `waitUntil`
// once the response has been streamed and the handler's own background work is done.

import { type OpikConfig, resolveConfig } from "../config.js";
import { hasAsyncContext, prepareAsyncContext } from "../context.js";
import { isPreflight } from "../cors.js";
import { now } from "../env.js";
import { type Listeners, Reporter } from "../errors.js";
import { forwardableIds, readIncoming } from "../headers.js";
import { describeRequest } from "../json.js";
import { Scope } from "../scope.js";
import { endSpan } from "../settle.js";
import { SpanHandle } from "../span.js";
import { openTrace } from "../trace.js";
import { BackgroundWork, type WaitUntil } from "./background-work.js";
import { resolveTrust, type TrustConfig } from "./trust.js";
import { watchResponse } from "./watch-response.js";

/** A Worker's handler object. Only `fetch` is traced so far; the other triggers pass through. */
export interface WorkerHandler {
  // biome-ignore lint/suspicious/noExplicitAny: `env` is whatever the Worker's configuration binds
  fetch?(request: Request, env: any, ctx: any): Response | Promise<Response>;
}

/** A Worker was called by HTTP. */
export interface FetchTrigger {
  readonly type: "fetch";
  readonly request: Request;
}

/** What called the Worker. */
export type Trigger = FetchTrigger;

/** Settings of a client, and whom it believes. */
export interface WorkerConfig extends OpikConfig, TrustConfig {}

type EnvOf<H> = H extends { fetch?: (request: never, env: infer Env, ...rest: never[]) => unknown } ? Env : unknown;

const WRAPPED = Symbol.for("opik-edge/wrapped");

/**
 * `handler` with tracing: each call is a span under the caller's, or a trace of its own. OPIK_* variables
 * are read from the Worker's `env`; what `config` returns goes before them. An invalid configuration is
 * reported once and the handler runs untraced, as it does for a browser's preflight. Wrapping twice wraps once.
 */
export function withOpik<H extends WorkerHandler>(
  handler: H,
  config?: (env: EnvOf<H>, trigger: Trigger) => WorkerConfig,
): H {
  if ((handler as { [WRAPPED]?: true })[WRAPPED]) return handler;
  const seen = new Set<string>();
  const wrapped = Object.create(handler) as H;
  Object.defineProperty(wrapped, WRAPPED, { value: true });
  for (const name of triggersOf(handler)) {
    const original = handler[name as keyof H] as unknown as (...args: unknown[]) => unknown;
    // The handler keeps its own `this`: what it keeps in fields, private ones too, stays with it.
    const bound = (...args: unknown[]): unknown => original.apply(handler, args);
    const value =
      name === "fetch"
        ? (request: Request, env: EnvOf<H>, ctx: WaitUntil): Promise<Response> =>
            traceFetch(bound as () => Promise<Response>, request, env, ctx, (trigger) =>
              openInvocation(() => config?.(env, trigger) ?? {}, env, ctx, seen),
            )
        : bound;
    Object.defineProperty(wrapped, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return wrapped;
}

/** Names of the handler's functions, its class's too. */
function triggersOf(handler: object): Set<string> {
  const names = new Set<string>();
  for (let level = handler; level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    for (const name of Object.getOwnPropertyNames(level)) {
      if (name !== "constructor" && typeof (handler as Record<string, unknown>)[name] === "function") names.add(name);
    }
  }
  return names;
}

/** One invocation. */
interface Invocation {
  readonly scope: Scope;
  /** Whether the caller's trace is joined. May reject. */
  readonly trusts: (request: Request) => Promise<boolean>;
}

/** Opens one invocation; `undefined` when the configuration is unusable. Never throws. */
function openInvocation(
  config: () => WorkerConfig,
  env: unknown,
  ctx: unknown,
  seen: Set<string>,
): Invocation | undefined {
  let listeners: Listeners = {};
  try {
    const given = config();
    listeners = { onError: functionOr(given.onError), onDrop: functionOr(given.onDrop) };
    const settings = resolveConfig({ ...given, env: given.env ?? (isObject(env) ? env : undefined) });
    const masks = new Map<object, string>();
    if (isObject(env)) masks.set(env, "[env]");
    if (isObject(ctx)) masks.set(ctx, "[ctx]");
    return { scope: new Scope(settings, new Reporter(listeners, seen), masks), trusts: resolveTrust(given) };
  } catch (error) {
    new Reporter(listeners, seen).once("invalid_config", `tracing is off: ${messageOf(error)}`, error);
    return undefined;
  }
}

function functionOr<F>(value: F): F | undefined {
  return typeof value === "function" ? value : undefined;
}

async function traceFetch(
  handle: (request: Request, env: unknown, ctx: unknown) => Response | Promise<Response>,
  request: Request,
  env: unknown,
  ctx: WaitUntil,
  open: (trigger: Trigger) => Invocation | undefined,
): Promise<Response> {
  const invocation = isPreflight(request) ? undefined : open({ type: "fetch", request });
  if (!invocation) return handle(request, env, ctx);
  const { scope } = invocation;
  await prepareAsyncContext();
  if (!hasAsyncContext()) {
    scope.reporter.once(
      "no_async_context",
      "without AsyncLocalStorage a span is current only until the first await: set the compatibility flag " +
        "nodejs_als, or pass spans explicitly (getTrackContext() in the handler's first line)",
    );
  }
  const { method, pathname, input } = describe(request);
  const name = `${method} ${pathname}`;
  const incoming = readIncoming(request);
  // A function that throws, a token that is none: then it is not trusted.
  const isTrusted = !incoming || (await invocation.trusts(request).catch(() => false));
  const trace = openTrace(scope, isTrusted ? request : undefined, name);
  const metadata = isTrusted ? undefined : { opik_edge_untrusted: forwardableIds(incoming) ?? {} };
  const root = new SpanHandle(trace, trace.parentId, { name, input, metadata }, !trace.joined);
  // Where nothing can be recorded it only hands the caller's ids on. A trace that the handler begins is another matter.
  const { disabled, sampleRate } = scope.settings;
  if (!trace.recording && (disabled || sampleRate === 0)) return root.run(() => handle(request, env, ctx));
  const work = new BackgroundWork(ctx);
  // Held before the response is returned: only then is a client that hangs up noticed.
  let responded = (): void => {};
  work.hold(
    finish(
      scope,
      work,
      new Promise((resolve) => {
        responded = resolve;
      }),
    ),
  );
  try {
    const response = await root.run(() => handle(request, env, ctx));
    root.preset({ output: { status: response?.status } });
    if (!trace.recording) {
      responded(); // it has no span that would end with the response
      return response;
    }
    return watchResponse(response, method, (ending) => {
      endSpan(root, ending);
      responded();
    });
  } catch (error) {
    root.fail(error);
    responded();
    throw error;
  }
}

/** How long the runtime lets an invocation live after its response, less what is needed to end in good order. */
const MAX_AFTER_RESPONSE_MS = 28_000;
/** How long the last flush may take, even when there is not that much left. */
const MIN_FLUSH_MS = 2000;

/** Delivers the invocation's rows. Never rejects. */
async function finish(scope: Scope, work: BackgroundWork, responded: Promise<void>): Promise<void> {
  await responded;
  const respondedMs = now();
  await work.settledWithinBound();
  if (work.isPending) {
    void scope.flushEarly();
    await work.settled();
  }
  await scope.end(Math.max(MIN_FLUSH_MS, MAX_AFTER_RESPONSE_MS - (now() - respondedMs)));
}

function describe(request: Request): { method: string; pathname: string; input: object } {
  return { method: request.method, pathname: new URL(request.url).pathname, input: describeRequest(request) };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
