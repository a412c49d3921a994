// Wraps a Worker's handler, or the class of an entrypoint, a Durable Object or a workflow: each call from outside joins its
// caller's trace or begins one. What an invocation is is ../server/invocation.ts.

import { currentFrame, hasAsyncContext, isDetached, prepareAsyncContext, runDetached } from "../context.js";
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
import { describeCall, describeMethod, type Face, isHandler, type OtherTrigger } from "./faces.js";

/** A Worker was called by HTTP. */
export interface FetchTrigger {
  /** Tells it from the other triggers. */
  readonly type: "fetch";
  /** The request as the handler is given it; its body is the handler's to read. */
  readonly request: Request;
}

/** What called the Worker. */
export type Trigger = FetchTrigger | OtherTrigger;

/** A Worker's handler object: each of these is traced. `env` is whatever the Worker's configuration binds. */
// biome-ignore-start lint/suspicious/noExplicitAny: these types are the platform's, of whichever version
export interface WorkerHandler {
  /** HTTP, also from another Worker. */
  fetch?(request: Request, env: any, ctx: any): Response | Promise<Response>;
  /** A cron trigger. */
  scheduled?(controller: any, env: any, ctx: any): unknown;
  /** A batch of a queue's messages. */
  queue?(batch: any, env: any, ctx: any): unknown;
  /** A mail. */
  email?(message: any, env: any, ctx: any): unknown;
  /** What another Worker has logged. */
  tail?(events: any, env: any, ctx: any): unknown;
}
// biome-ignore-end lint/suspicious/noExplicitAny: the same

/** The class of an entrypoint, a Durable Object or a workflow. */
// biome-ignore lint/suspicious/noExplicitAny: what it is given is its own affair
export type WorkerClass = new (ctx: any, env: any) => object;

type EnvOf<H> = H extends new (
  ctx: never,
  env: infer Env,
) => object
  ? Env
  : Exclude<H[keyof H & keyof WorkerHandler], undefined> extends (
        event: never,
        env: infer Env,
        ...rest: never[]
      ) => unknown
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
  for (const [name, { get, value }] of membersOf(handler)) {
    const method: unknown = get ? Reflect.get(handler, name) : value;
    if (typeof method === "function" && (name === "fetch" || isHandler(name))) {
      const traced = traceHandler(handler, name, method as Method, open);
      Object.defineProperty(wrapped, name, { value: traced, enumerable: true, configurable: true, writable: true });
    } else if (get) {
      // What it keeps in private fields is to be had from the handler alone.
      Object.defineProperty(wrapped, name, { get: () => Reflect.get(handler, name), configurable: true });
    }
  }
  return wrapped;
}

/** The handler keeps its own `this`: what it keeps in fields, private ones too, stays with it. */
function traceHandler(handler: object, name: string, method: Method, open: Open): Method {
  const bound: Method = (...args) => method.apply(handler, args);
  return (...args) => {
    const surroundings = { env: args[1], ctx: args[2] as WaitUntil };
    if (name === "fetch") return traceFetch(bound, args, () => open(surroundings, fetchTrigger(args)));
    const face = describeCall(name, args) as Face;
    return traceFace(bound, face, (trigger) => open(surroundings, trigger));
  };
}

/** What an object was made with. */
const surroundingsOf = new WeakMap<object, Surroundings>();
/** Whose call a scope belongs to. */
const ownerOf = new WeakMap<Scope, object>();

function wrapClass(Class: WorkerClass, open: Open): WorkerClass {
  // Early, so that an object's first call need not wait for it.
  void prepareAsyncContext();
  const Traced = class extends Class {
    // biome-ignore-start lint/correctness: `super` in a function inside is what TypeScript would not have
    // @ts-expect-error the same as `super(...args)`
    constructor(...args: [ctx: WaitUntil, env: unknown]) {
      // What it calls of itself while it is made, and what goes on from there, does not come from outside.
      const made = runDetached(() => Reflect.construct(Class, args, new.target));
      surroundingsOf.set(made, { ctx: args[0], env: args[1] });
      return made;
    }
    // biome-ignore-end lint/correctness: the same
  };
  const className = Class.name || Object.getPrototypeOf(Class).name;
  Object.defineProperty(Traced, "name", { value: Class.name });
  for (const [name, { value: method }] of membersOf(Class.prototype)) {
    if (name === "constructor" || typeof method !== "function") continue;
    const value = function (this: object, ...args: unknown[]): unknown {
      const surroundings = surroundingsOf.get(this);
      if (!surroundings || isOwnCall(this)) return method.apply(this, args);
      const bound: Method = (...given) => method.apply(this, given);
      const openOwned = (trigger: Trigger): Invocation | undefined => {
        const invocation = open(surroundings, trigger);
        if (invocation) ownerOf.set(invocation.scope, this);
        return invocation;
      };
      if (name === "fetch") return traceFetch(bound, args, () => openOwned(fetchTrigger(args)));
      return traceFace(bound, describeMethod(className, name, args), openOwned);
    };
    Object.defineProperty(Traced.prototype, name, { value, configurable: true, writable: true });
  }
  return Traced;
}

function isOwnCall(object: object): boolean {
  const frame = currentFrame();
  return frame ? ownerOf.get(frame.scope) === object : isDetached();
}

/** What an object has, by its name, of its class too. */
function membersOf(object: object): Map<string, PropertyDescriptor> {
  const members = new Map<string, PropertyDescriptor>();
  for (let level = object; level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    for (const [name, member] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (!members.has(name)) members.set(name, member);
    }
  }
  return members;
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
  { root: options, tracedArgs, ...trigger }: Face,
  open: (trigger: Trigger) => Invocation | undefined,
): unknown {
  const untraced = (): unknown => handle(...trigger.args);
  const trace = (): unknown => {
    const invocation = open(trigger);
    if (!invocation) return untraced();
    const call = beginCall(invocation, options);
    return tracedArgs ? runCall(call, (root) => handle(...tracedArgs(root))) : runCall(call, untraced);
  };
  const prepared = prepareAsyncContext();
  // Without one it is not known which calls come from outside; what is asked for meanwhile need not be told.
  if (trigger.type === "rpc" && (prepared || !hasAsyncContext())) return untraced();
  return prepared ? prepared.then(trace) : trace();
}
