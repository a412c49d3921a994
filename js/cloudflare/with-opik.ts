// Wraps a Worker's handler, or the class of an entrypoint, a Durable Object or a workflow: each call from outside joins its
// caller's trace or begins one. What an invocation is is ../server/invocation.ts.

import { currentFrame, hasAsyncContext, prepareAsyncContext } from "../context.js";
import type { Scope } from "../scope.js";
import type { WaitUntil } from "../server/background-work.js";
import {
  beginCall,
  type Invocation,
  invocations,
  type OpenInvocation,
  runCall,
  type ServerConfig,
  type Surroundings,
} from "../server/invocation.js";
import { traceRequest } from "../server/trace-request.js";
import { describeCall, describeMethod, type Face, type OtherTrigger } from "./faces.js";

/** A Worker was called by HTTP. */
export interface FetchTrigger {
  readonly type: "fetch";
  readonly request: Request;
}

/** What called the Worker. */
export type Trigger = FetchTrigger | OtherTrigger;

/** A Worker's handler object; each of its functions is traced. */
export interface WorkerHandler {
  // biome-ignore lint/suspicious/noExplicitAny: `env` is whatever the Worker's configuration binds
  fetch?(request: Request, env: any, ctx: any): Response | Promise<Response>;
}

/** The class of an entrypoint, a Durable Object or a workflow. */
// biome-ignore lint/suspicious/noExplicitAny: what it is given is its own affair
export type WorkerClass = new (ctx: any, env: any) => object;

type EnvOf<H> = H extends new (
  ctx: never,
  env: infer Env,
) => object
  ? Env
  : H extends { fetch?: (request: never, env: infer Env, ...rest: never[]) => unknown }
    ? Env
    : unknown;

const WRAPPED = Symbol.for("opik-edge/wrapped");

/**
 * `handler`, or a class, with tracing: each call is a span under the caller's, or a trace of its own. OPIK_* variables
 * are read from the Worker's `env`; what `config` returns goes before them. An invalid configuration is
 * reported once and the handler runs untraced, as it does for a browser's preflight. Wrapping twice wraps once.
 */
export function withOpik<H extends WorkerHandler | WorkerClass>(
  handler: H,
  config?: (env: EnvOf<H>, trigger: Trigger) => ServerConfig,
): H {
  if (Object.hasOwn(handler, WRAPPED)) return handler;
  const open = invocations(config);
  const wrapped = typeof handler === "function" ? wrapClass(handler, open) : wrapHandler(handler, open);
  Object.defineProperty(wrapped, WRAPPED, { value: true });
  return wrapped as H;
}

type Open = OpenInvocation<Trigger>;
type Method = (...args: unknown[]) => unknown;

function wrapHandler(handler: object, open: Open): object {
  const wrapped = Object.create(handler);
  for (const [name, method] of methodsOf(handler)) {
    // The handler keeps its own `this`: what it keeps in fields, private ones too, stays with it.
    const bound: Method = (...args) => method.apply(handler, args);
    const value = (...args: unknown[]): unknown => {
      const surroundings = { env: args[1], ctx: args[2] as WaitUntil };
      if (name === "fetch") return traceFetch(bound, args, () => open(surroundings, fetchTrigger(args)));
      const face = describeCall(name, args);
      return face ? traceFace(bound, face, (trigger) => open(surroundings, trigger)) : bound(...args);
    };
    Object.defineProperty(wrapped, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return wrapped;
}

/** What an object was made with. */
const surroundingsOf = new WeakMap<object, Surroundings>();
/** Whose call a scope belongs to. */
const ownerOf = new WeakMap<Scope, object>();

function wrapClass(Class: WorkerClass, open: Open): WorkerClass {
  // Early, so that an object's first call need not wait for it.
  void prepareAsyncContext();
  const Traced = class extends Class {
    // biome-ignore lint/suspicious/noExplicitAny: what a class mixes into has to be given whatever it takes
    constructor(...args: any[]) {
      super(args[0], args[1]);
      surroundingsOf.set(this, { ctx: args[0], env: args[1] });
    }
  };
  Object.defineProperty(Traced, "name", { value: Class.name });
  for (const [name, method] of methodsOf(Class.prototype)) {
    const value = function (this: object, ...args: unknown[]): unknown {
      const bound: Method = (...given) => method.apply(this, given);
      const surroundings = surroundingsOf.get(this);
      // What an object calls of itself, or while it is being made, does not come from outside.
      if (!surroundings || isOwnCall(this)) return bound(...args);
      const openOwned = (trigger: Trigger): Invocation | undefined => {
        const invocation = open(surroundings, trigger);
        if (invocation) ownerOf.set(invocation.scope, this);
        return invocation;
      };
      if (name === "fetch") return traceFetch(bound, args, () => openOwned(fetchTrigger(args)));
      return traceFace(bound, describeMethod(Class.name, name, args), openOwned);
    };
    Object.defineProperty(Traced.prototype, name, { value, configurable: true, writable: true });
  }
  return Traced;
}

function isOwnCall(object: object): boolean {
  const frame = currentFrame();
  return frame !== undefined && ownerOf.get(frame.scope) === object;
}

/** The functions of an object by their names, those of its class too. */
function methodsOf(object: object): Map<string, Method> {
  const methods = new Map<string, Method>();
  for (let level = object; level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (name !== "constructor" && typeof value === "function" && !methods.has(name)) methods.set(name, value);
    }
  }
  return methods;
}

function fetchTrigger([request]: unknown[]): FetchTrigger {
  return { type: "fetch", request: request as Request };
}

function traceFetch(handle: Method, args: unknown[], open: () => Invocation | undefined): Promise<unknown> {
  return traceRequest(args[0] as Request, open, () => handle(...args));
}

/** A call that is no HTTP request. Sync in, sync out, as soon as it is known whether there is an AsyncLocalStorage. */
function traceFace(
  handle: Method,
  { root, ...trigger }: Face,
  open: (trigger: Trigger) => Invocation | undefined,
): unknown {
  const run = (): unknown => handle(...trigger.args);
  const trace = (): unknown => {
    const invocation = open(trigger);
    return invocation ? runCall(beginCall(invocation, root), run) : run();
  };
  // Without one it is not known which calls come from outside.
  if (trigger.type === "rpc") return prepareAsyncContext() || !hasAsyncContext() ? run() : trace();
  const prepared = prepareAsyncContext();
  return prepared ? prepared.then(trace) : trace();
}
