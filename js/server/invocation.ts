// One call of a server: a root span under the caller's, and delivery when everything is done. On a platform that freezes between
// its requests that is a flush of the invocation's own, in `waitUntil`; a process that outlives them sends by itself.

import { isObject, type Listeners, ownOf, Reporter } from "../errors.js";
import { tellOff } from "../names.js";
import { hasAsyncContext } from "../platform/context.js";
import { isServer, now, within } from "../platform/env.js";
import type { Ending, OnEnd } from "../record/ending.js";
import { endSpan } from "../record/ending.js";
import { isPlain, type Masks } from "../record/json.js";
import type { SpanOptions } from "../record/model.js";
import { Scope } from "../record/scope.js";
import { SpanHandle } from "../record/span.js";
import { watchStream } from "../record/stream.js";
import { openTrace } from "../record/trace.js";
import { resolveConfig } from "../resolve-settings.js";
import type { HeaderCarrier, OpikConfig, Settings } from "../settings.js";
import { BackgroundWork, type WaitUntil } from "./background-work.js";
import { type Judge, resolveTrust, type TrustConfig } from "./trust.js";
import { watchResponse } from "./watch-response.js";

/** Settings of a client, and whom it believes. */
export interface ServerConfig extends OpikConfig, TrustConfig {}

/**
 * Settings, or what gives them for a call: `env` is the Worker's or Hono's, elsewhere `undefined`; `trigger` says what the call is.
 * In Node, Deno and Bun, where all calls share a client, a function is asked once, for the first of them.
 */
export type ServerConfigFor<Env, T, C = ServerConfig> = C | ((env: Env, trigger: T) => C);

/** Settings of type `C`, with no member that there is no setting for. */
export type KnownConfig<C> = ServerConfig &
  OnlyNames<C, ServerConfig> & {
    /** A text, an array and a function have one, and are no settings. */
    readonly length?: never;
  };

/**
 * `Given`, of which members that `Shape` has no name for are an error. The compiler looks for such members in an object that is
 * written down, and not in what a function returns.
 */
export type OnlyNames<Given, Shape> = {
  readonly [Name in keyof Given]: Name extends keyof Shape
    ? Name extends "limits" | "redact"
      ? OnlyNames<Given[Name], NonNullable<Shape[Name]>>
      : unknown
    : `${Name & string} is no setting of opik-edge`;
};

/** A request that a server answers. */
export interface FetchTrigger<R = Request> {
  /** As of a Worker's. */
  readonly type: "fetch";
  /** As the handler is given it; its body is the handler's to read. */
  readonly request: R;
}

/** What a call is given by its runtime, where that gives anything. */
export interface Surroundings {
  readonly env: unknown;
  readonly ctx: WaitUntil | undefined;
}

/** One invocation. */
export interface Invocation {
  /** Its own, or its process's. */
  readonly scope: Scope;
  readonly isOfProcess: boolean;
  readonly ctx: WaitUntil | undefined;
  /** Whether a caller's trace is joined; `undefined` where every caller's is. */
  readonly trusts: Judge | undefined;
}

/** Opens invocations of one handler or class. */
export type OpenInvocation<T> = (surroundings: Surroundings, trigger: T) => Invocation | undefined;

/**
 * What opens invocations with the settings that `config` gives for each: `undefined` when they are unusable, which is told once.
 * Never throws.
 */
export function invocations<Env, T>(config: ServerConfigFor<Env, T> | undefined): OpenInvocation<T> {
  const configure = configurer(config);
  const memory: Memory = { seen: new Set() };
  return ({ env, ctx }, trigger) => {
    const masks = new Map<object, string>();
    if (isObject(env)) masks.set(env, "[env]");
    if (isObject(ctx)) masks.set(ctx, "[ctx]");
    return openScope(() => configure(env as Env, trigger), env, memory, masks, ctx);
  };
}

/**
 * The same for a server of any platform. Where the process outlives its requests they share one scope, with the settings that
 * `config` gives for the first.
 */
export function serverInvocations<Env, T>(config: ServerConfigFor<Env, T> | undefined): OpenInvocation<T> {
  if (!isServer()) return invocations(config);
  const configure = configurer(config);
  const memory: Memory = { seen: new Set() };
  let first: { readonly opened: Invocation | undefined } | undefined;
  return ({ env }, trigger) => {
    first ??= { opened: openScope(() => configure(env as Env, trigger), env, memory) };
    return first.opened;
  };
}

function configurer<Env, T>(
  config: ServerConfigFor<Env, T> | undefined,
): (env: Env, trigger: T) => ServerConfig | undefined {
  return typeof config === "function" ? config : () => config;
}

/** What one handler or class remembers between its invocations. */
interface Memory {
  /** What was reported once. */
  readonly seen: Set<string>;
  /** The settings of the last invocation, and what they were made of. */
  last?: { readonly given: ServerConfig; readonly env: object; readonly settings: Settings };
}

function openScope(
  configure: () => ServerConfig | undefined,
  env: unknown,
  memory: Memory,
  masks?: Masks,
  ctx?: WaitUntil,
): Invocation | undefined {
  let listeners: Listeners = {};
  try {
    const given = ownOf(configure());
    listeners = { onError: functionOr(given.onError), onDrop: functionOr(given.onDrop) };
    const settings = settingsOf(given, env, memory);
    const scope = new Scope(settings, new Reporter(listeners, memory.seen), masks);
    return { scope, isOfProcess: !masks, ctx, trusts: resolveTrust(given, settings.projectName) };
  } catch (error) {
    tellOff(error, listeners.onError && new Reporter(listeners, memory.seen));
    return undefined;
  }
}

/** The settings that `given` and `env` make: most invocations have those of the one before. */
function settingsOf(given: ServerConfig, env: unknown, memory: Memory): Settings {
  const { last } = memory;
  if (last && last.env === env && isSame(last.given, given)) return last.settings;
  const settings = resolveConfig({ ...given, env: given.env ?? (isObject(env) ? env : undefined) });
  // Where there is no `env` of a Worker's, the process's variables count, which may change.
  if (isObject(env)) {
    memory.last = { given: { ...given }, env, settings };
    for (const { observeEnv } of settings.observe) observeEnv?.(env);
  }
  return settings;
}

/** Whether two configurations have the same settings: who is told of what goes wrong is none, nor is who is believed. */
function isSame(one: ServerConfig, other: ServerConfig): boolean {
  const left = { onError: 0, onDrop: 0, trust: 0, env: 0 };
  return one.env === other.env && isAlike({ ...one, ...left }, { ...other, ...left });
}

/** Whether two settings are the same: arrays and plain objects member by member, expressions by what they say. */
function isAlike(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (one instanceof RegExp) return other instanceof RegExp && `${one}` === `${other}`;
  if (!(Array.isArray(one) && Array.isArray(other)) && !(isPlain(one) && isPlain(other))) return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => isAlike(one[name as never], other[name as never]))
  );
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
export function beginCall({ scope, isOfProcess, ctx }: Invocation, { caller, ...root }: Root): Call {
  if (!hasAsyncContext()) {
    scope.reporter.once(
      "no_async_context",
      "without AsyncLocalStorage a span is current only until the first await: set compatibility_date to 2026-08-04 " +
        "or later, or the flag nodejs_als, or pass spans explicitly (getTrackContext() in the handler's first line)",
    );
  }
  const trace = openTrace(scope, caller, root.name);
  const span = new SpanHandle(trace, trace.parentId, root, !trace.joined);
  const { disabled, sampleRate } = scope.settings;
  if (disabled || isOfProcess) return { root: span, ended: () => {} };
  let ended = (): void => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let again = (): void => {};
  const hold = (): void => {
    const work = new BackgroundWork(ctx, scope);
    const finished = finish(scope, work, end);
    work.hold(finished);
    const heldMs = now();
    again = () => {
      if (now() - heldMs > HELD_MS) work.hold(finished);
    };
  };
  // Held before the handler returns: only then is a client that hangs up noticed. Where nothing is sampled there is mostly
  // nothing to deliver: then it is held as soon as the handler scores something, or follows somebody else's trace.
  if (trace.recording || sampleRate !== 0) hold();
  else scope.onFirstUse = hold;
  return {
    root: span,
    ended: () => {
      again();
      ended();
    },
  };
}

/**
 * Runs a handler: its span ends when it returns, when its promise settles, or when the stream or response that it gives has
 * been read, which `watch` looks on at. Sync in, sync out. What is awaited lazily, as a query builder is, goes as it is.
 */
export function runCall(
  { root, ended }: Call,
  handle: (root: SpanHandle) => unknown,
  watch: (result: unknown, onEnd: OnEnd) => unknown = watchResult,
): unknown {
  const end = (ending: Ending): void => {
    endSpan(root, ending);
    ended();
  };
  const done = (result: unknown): unknown => watch(result, end);
  const failed = (error: unknown): never => {
    end(isAborted(error) ? { how: "done" } : { how: "failed", error });
    throw error;
  };
  let result: unknown;
  try {
    result = root.run(() => handle(root));
  } catch (error) {
    return failed(error);
  }
  return result instanceof Promise ? result.then(done, failed) : done(result);
}

/** `result`, with `onEnd` called when it has come to its end. What RPC carries beside values are streams and responses. */
function watchResult(result: unknown, onEnd: OnEnd): unknown {
  if (result instanceof Response) return watchResponse(result, "", onEnd);
  try {
    if (result instanceof ReadableStream && !result.locked) return watchStream(result, onEnd);
  } catch {
    // This runtime can not watch it.
  }
  onEnd({ how: "done" });
  return result;
}

/** Whether a workflow's engine has broken a run off to go on with it later (`Aborting engine: …`): no failure of the handler. */
function isAborted(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Aborting engine:");
}

/** How long the runtime lets an invocation live after its response, less what is needed to end in good order. */
const MAX_AFTER_RESPONSE_MS = 28_000;
/** How long the last flush may take, even when there is not that much left. */
const MIN_FLUSH_MS = 2000;
/** A promise that was handed over longer ago the platform may have dropped since (Workers: after 30 s). */
const HELD_MS = 10_000;
/** How often what has ended is sent while something else goes on. */
const LATE_FLUSH_MS = 5000;

/**
 * Delivers the invocation's rows: when what was handed to `waitUntil` is done, and what is open has ended, for as long as the
 * runtime may wait for that. Never rejects.
 */
async function finish(scope: Scope, work: BackgroundWork, ended: Promise<void>): Promise<void> {
  await ended;
  const endedMs = now();
  const leftMs = (): number => MAX_AFTER_RESPONSE_MS - MIN_FLUSH_MS - (now() - endedMs);
  while (work.isPending || (scope.hasOpen && leftMs() > 0)) {
    const waitMs = work.isPending ? LATE_FLUSH_MS : Math.min(LATE_FLUSH_MS, leftMs());
    // What is open may be all that is left, and may never end: what has ended is not held up by it.
    if (!work.isPending) scope.flushSoon();
    await within(waitMs, work.isPending ? work.settled() : scope.closed());
    if (work.isPending) scope.flushSoon();
  }
  work.close();
  await scope.end(Math.max(MIN_FLUSH_MS, leftMs() + MIN_FLUSH_MS));
}

function functionOr<F>(value: F): F | undefined {
  return typeof value === "function" ? value : undefined;
}
