// One call of a server: a root span under the caller's, and delivery when everything is done. On a platform that freezes between
// requests, each invocation flushes its own rows in `waitUntil`. A process that outlives its requests sends them automatically.

import { isObject, type Listeners, ownOf, Reporter } from "../errors.js";
import { tellOff } from "../names.js";
import { hasAsyncContext, runWith } from "../platform/context.js";
import { isServer, now, within } from "../platform/env.js";
import type { Ending, OnEnd } from "../record/ending.js";
import { endSpan } from "../record/ending.js";
import { isPlain, type Masks } from "../record/json.js";
import type { SpanOptions } from "../record/model.js";
import { Scope } from "../record/scope.js";
import { SpanHandle } from "../record/span.js";
import { watchStream } from "../record/stream.js";
import { openTrace } from "../record/trace.js";
import { offSettings, resolveConfig } from "../resolve-settings.js";
import type { HeaderCarrier, OpikConfig, Settings } from "../settings.js";
import { BackgroundWork, type WaitUntil } from "./background-work.js";
import { type Judge, resolveTrust, type TrustConfig } from "./trust.js";
import { watchResponse } from "./watch-response.js";

/** Settings of a client, and the callers that the server trusts. */
export interface ServerConfig extends OpikConfig, TrustConfig {}

/**
 * Settings, or a function that returns them for a call. `env` is a Worker's or Hono's, elsewhere `undefined`; `trigger` describes
 * the call. In Node, Deno and Bun all calls share a client, so the function is called once, for the first of them.
 */
export type ServerConfigFor<Env, T, C = ServerConfig> = C | ((env: Env, trigger: T) => C);

/** Settings of type `C`, with members refused that `Shape` lacks. */
export type KnownConfig<C, Shape = ServerConfig> = Shape &
  OnlyNames<C, Shape> & {
    /** Refuses strings, arrays and functions, which have a length. */
    readonly length?: never;
  };

/**
 * `Given`, with an error for each member that `Shape` lacks. TypeScript alone finds such members in object literals, but not in the
 * result of a function.
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
  /** The trigger's type, as in a Worker. */
  readonly type: "fetch";
  /** The request that the handler receives. Its body is for the handler to read. */
  readonly request: R;
}

/** The values that a runtime passes with a call, if any. */
export interface Surroundings {
  readonly env: unknown;
  readonly ctx: WaitUntil | undefined;
}

/** One invocation. */
export interface Invocation {
  /** The scope of this invocation, or of its process. */
  readonly scope: Scope;
  readonly isOfProcess: boolean;
  readonly ctx: WaitUntil | undefined;
  /** Decides about joining a caller's trace; `undefined` if all traces are joined. */
  readonly trusts: Judge | undefined;
}

/** Makes the scope of an invocation, with the settings as they were given and as they were validated. */
export type MakeScope = (
  settings: Settings,
  reporter: Reporter,
  masks: Masks | undefined,
  given: ServerConfig,
  ctx: WaitUntil | undefined,
) => Scope;

const makeScope: MakeScope = (settings, reporter, masks) => new Scope(settings, reporter, masks);

/** Opens invocations of one handler or class. */
export type OpenInvocation<T> = (surroundings: Surroundings, trigger: T) => Invocation | undefined;

/**
 * Opens invocations with the settings that `config` returns for each. If these are unusable, they are reported once and the
 * invocation is `undefined`. Never throws.
 */
export function invocations<Env, T>(
  config: ServerConfigFor<Env, T> | undefined,
  make: MakeScope = makeScope,
): OpenInvocation<T> {
  const configure = configurer(config);
  const memory: Memory = { seen: new Set() };
  return ({ env, ctx }, trigger) => {
    const masks = new Map<object, string>();
    if (isObject(env)) masks.set(env, "[env]");
    if (isObject(ctx)) masks.set(ctx, "[ctx]");
    return openScope(() => configure(env as Env, trigger), env, memory, make, masks, ctx);
  };
}

/**
 * Opens invocations for a server on any platform. Where the process outlives its requests, they share one scope, with the
 * settings that `config` returns for the first.
 */
export function serverInvocations<Env, T>(config: ServerConfigFor<Env, T> | undefined): OpenInvocation<T> {
  if (!isServer()) return invocations(config);
  const configure = configurer(config);
  const memory: Memory = { seen: new Set() };
  let first: { readonly opened: Invocation | undefined } | undefined;
  return ({ env }, trigger) => {
    first ??= { opened: openScope(() => configure(env as Env, trigger), env, memory, makeScope) };
    return first.opened;
  };
}

function configurer<Env, T>(
  config: ServerConfigFor<Env, T> | undefined,
): (env: Env, trigger: T) => ServerConfig | undefined {
  return typeof config === "function" ? config : () => config;
}

/** State that a handler or class keeps between its invocations. */
interface Memory {
  /** The causes that were reported already. */
  readonly seen: Set<string>;
  /** The settings of the last invocation, and the input that they were made from. */
  last?: { readonly given: ServerConfig; readonly env: object; readonly settings: Settings };
}

function openScope(
  configure: () => ServerConfig | undefined,
  env: unknown,
  memory: Memory,
  make: MakeScope,
  masks?: Masks,
  ctx?: WaitUntil,
): Invocation | undefined {
  let listeners: Listeners = {};
  try {
    const given = ownOf(configure());
    listeners = { onError: functionOr(given.onError), onDrop: functionOr(given.onDrop) };
    const settings = settingsOf(given, env, memory);
    const scope = make(settings, new Reporter(listeners, memory.seen), masks, given, ctx);
    return { scope, isOfProcess: !masks, ctx, trusts: resolveTrust(given, settings.projectName) };
  } catch (error) {
    tellOff(error, listeners.onError && new Reporter(listeners, memory.seen));
    return undefined;
  }
}

let off: Scope | undefined;

/**
 * Runs `fn`, a call without an invocation. Its spans are not recorded: the client of the process, which they would go to, lacks the
 * settings that say what must not be recorded.
 */
export function untraced<T>(fn: () => T): T {
  off ??= new Scope(offSettings(), new Reporter());
  return runWith({ scope: off }, fn); // without a span, so that `getTrackContext` gives nothing
}

/** The settings from `given` and `env`. Most invocations reuse the settings of the previous one. */
function settingsOf(given: ServerConfig, env: unknown, memory: Memory): Settings {
  const { last } = memory;
  if (last && last.env === env && isSame(last.given, given)) return last.settings;
  const settings = resolveConfig({ ...given, env: given.env ?? (isObject(env) ? env : undefined) });
  // Without a Worker's `env` the process's variables apply, and they may change.
  if (isObject(env)) {
    memory.last = { given: { ...given }, env, settings };
    for (const { observeEnv } of settings.observe) observeEnv?.(env);
  }
  return settings;
}

/** `true` if two configurations yield the same settings. `onError`, `onDrop` and `trust` do not count: they are read separately. */
function isSame(one: ServerConfig, other: ServerConfig): boolean {
  const left = { onError: 0, onDrop: 0, trust: 0, env: 0 };
  return one.env === other.env && isAlike({ ...one, ...left }, { ...other, ...left });
}

/** Compares two settings: arrays and plain objects by member, regular expressions by source and flags. */
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

/** The root span of a call, and the caller whose trace it joins. */
export interface Root extends Omit<SpanOptions, "parent"> {
  readonly name: string;
  readonly caller?: HeaderCarrier | undefined;
}

/** A call in progress. */
export interface Call {
  readonly root: SpanHandle;
  /** Call this once, when everything that the call has begun is over: its rows are then delivered. */
  readonly ended: () => void;
}

/** Begins a call. Call `prepareAsyncContext` first. Never throws. */
export function beginCall({ scope, isOfProcess, ctx }: Invocation, { caller, ...root }: Root): Call {
  if (!hasAsyncContext() && !scope.keepsContext) {
    scope.reporter.once(
      "no_async_context",
      "without AsyncLocalStorage a span is current only until the first await: set compatibility_date to 2026-08-04 " +
        "or later, the flag nodejs_als, or native: true, or pass spans explicitly",
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
  // Held before the handler returns, because only then does a client's hang-up get noticed. When nothing is sampled there is
  // rarely anything to deliver: then it is held once the handler adds a score or joins another trace.
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
 * Runs a handler. Its span ends when the handler returns, when its promise settles, or when the returned stream or response has
 * been read, which `watch` observes. A sync handler stays sync. Lazy thenables, such as query builders, are returned untouched.
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

/** Returns `result` and calls `onEnd` at its end. Besides plain values, RPC carries streams and responses. */
function watchResult(result: unknown, onEnd: OnEnd): unknown {
  if (result instanceof Response) return watchResponse(result, "", onEnd);
  try {
    if (result instanceof ReadableStream && !result.locked) return watchStream(result, onEnd);
  } catch {
    // This runtime cannot watch a stream.
  }
  onEnd({ how: "done" });
  return result;
}

/** `true` if a workflow's engine has stopped a run to continue it later (`Aborting engine: …`), which is not a failure. */
function isAborted(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Aborting engine:");
}

/** Life of an invocation after its response, minus a margin for an orderly end. */
const MAX_AFTER_RESPONSE_MS = 28_000;
/** Time for the last flush, even if less than that is left. */
const MIN_FLUSH_MS = 2000;
/** Age from which a promise is handed to `waitUntil` again, since the platform may have dropped it (Workers: after 30 s). */
const HELD_MS = 10_000;
/** Interval of flushes while the call's other work goes on. */
const LATE_FLUSH_MS = 5000;

/**
 * Delivers the invocation's rows once the `waitUntil` work is done and all spans have ended, or when the runtime allows no more
 * waiting. It does not wait for a call whose answer nobody reads. Never rejects.
 */
async function finish(scope: Scope, work: BackgroundWork, ended: Promise<void>): Promise<void> {
  await ended;
  const endedMs = now();
  const leftMs = (): number => MAX_AFTER_RESPONSE_MS - MIN_FLUSH_MS - (now() - endedMs);
  const isWaiting = (): boolean => {
    if (work.isPending) return true;
    scope.closeLeft();
    return scope.hasOpen && leftMs() > 0;
  };
  while (isWaiting()) {
    const waitMs = work.isPending ? LATE_FLUSH_MS : Math.min(LATE_FLUSH_MS, leftMs());
    // A span that never ends must not delay the ended rows.
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
