// One call of a Worker: a root span under the caller's, and a flush in `waitUntil` when everything is done. What calls there
// are is with-opik.ts.

import { type OpikConfig, resolveConfig } from "../config.js";
import { hasAsyncContext } from "../context.js";
import { now } from "../env.js";
import { type Listeners, Reporter } from "../errors.js";
import type { HeaderCarrier } from "../headers.js";
import { Scope } from "../scope.js";
import { SpanHandle, type SpanOptions } from "../span.js";
import { isThenable } from "../stream.js";
import { openTrace } from "../trace.js";
import { BackgroundWork, type WaitUntil } from "./background-work.js";
import { resolveTrust, type TrustConfig } from "./trust.js";

/** Settings of a client, and whom it believes. */
export interface WorkerConfig extends OpikConfig, TrustConfig {}

/** What a Worker or an object is given by its runtime. */
export interface Surroundings {
  readonly env: unknown;
  readonly ctx: WaitUntil;
}

/** One invocation. */
export interface Invocation {
  readonly scope: Scope;
  readonly ctx: WaitUntil;
  /** Whether the caller's trace is joined. May reject. */
  readonly trusts: (request: Request) => Promise<boolean>;
}

/** Opens invocations of one handler or class. */
export type OpenInvocation<T> = (surroundings: Surroundings, trigger: T) => Invocation | undefined;

/**
 * What opens invocations with the settings that `config` gives for each: `undefined` when they are unusable, which is told once.
 * Never throws.
 */
export function invocations<Env, T>(config: ((env: Env, trigger: T) => WorkerConfig) | undefined): OpenInvocation<T> {
  const seen = new Set<string>();
  return ({ env, ctx }, trigger) => {
    let listeners: Listeners = {};
    try {
      const given = config?.(env as Env, trigger) ?? {};
      listeners = { onError: functionOr(given.onError), onDrop: functionOr(given.onDrop) };
      const settings = resolveConfig({ ...given, env: given.env ?? (isObject(env) ? env : undefined) });
      const masks = new Map<object, string>();
      if (isObject(env)) masks.set(env, "[env]");
      if (isObject(ctx)) masks.set(ctx, "[ctx]");
      return { scope: new Scope(settings, new Reporter(listeners, seen), masks), ctx, trusts: resolveTrust(given) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      new Reporter(listeners, seen).once("invalid_config", `tracing is off: ${message}`, error);
      return undefined;
    }
  };
}

/** The root span of a call, and whose trace it joins. */
export interface Root extends Omit<SpanOptions, "parent"> {
  readonly name: string;
  readonly caller?: HeaderCarrier | undefined;
}

/** A call that has begun. */
export interface Call {
  readonly root: SpanHandle;
  /** To be called once, when what the call has begun has come to its end: then its rows are delivered. */
  readonly ended: () => void;
}

/** Begins a call; `prepareAsyncContext` comes first. Never throws. */
export function beginCall({ scope, ctx }: Invocation, { caller, ...fields }: Root): Call {
  if (!hasAsyncContext()) {
    scope.reporter.once(
      "no_async_context",
      "without AsyncLocalStorage a span is current only until the first await: set the compatibility flag " +
        "nodejs_als, or pass spans explicitly (getTrackContext() in the handler's first line)",
    );
  }
  const trace = openTrace(scope, caller, fields.name);
  const root = new SpanHandle(trace, trace.parentId, fields, !trace.joined);
  const { disabled, sampleRate } = scope.settings;
  if (disabled) return { root, ended: () => {} };
  let ended = (): void => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const hold = (): void => {
    const work = new BackgroundWork(ctx);
    work.hold(finish(scope, work, end));
  };
  // Held before the handler returns: only then is a client that hangs up noticed. Where nothing is sampled there is mostly
  // nothing to deliver: then it is held as soon as the handler scores something, or follows somebody else's trace.
  if (trace.recording || sampleRate !== 0) hold();
  else scope.onFirstUse = hold;
  return { root, ended };
}

/** Runs a handler whose result says nothing more: its span ends when it returns, or has settled. Sync in, sync out. */
export function runCall({ root, ended }: Call, handle: () => unknown): unknown {
  const done = (result: unknown): unknown => {
    root.finish();
    ended();
    return result;
  };
  const failed = (error: unknown): never => {
    root.fail(error);
    ended();
    throw error;
  };
  let result: unknown;
  try {
    result = root.run(handle);
  } catch (error) {
    return failed(error);
  }
  return isThenable(result) ? result.then(done, failed) : done(result);
}

/** How long the runtime lets an invocation live after its response, less what is needed to end in good order. */
const MAX_AFTER_RESPONSE_MS = 28_000;
/** How long the last flush may take, even when there is not that much left. */
const MIN_FLUSH_MS = 2000;

/** Delivers the invocation's rows. Never rejects. */
async function finish(scope: Scope, work: BackgroundWork, ended: Promise<void>): Promise<void> {
  await ended;
  const endedMs = now();
  await work.settledWithinBound();
  if (work.isPending) {
    void scope.flushEarly();
    await work.settled();
  }
  work.close();
  await scope.end(Math.max(MIN_FLUSH_MS, MAX_AFTER_RESPONSE_MS - (now() - endedMs)));
}

function functionOr<F>(value: F): F | undefined {
  return typeof value === "function" ? value : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
