// Wraps a Worker's handler, or the class of an entrypoint, a Durable Object or a workflow. Each call from outside joins its
// caller's trace or begins a new trace. ../server/invocation.ts defines an invocation.

import { hasAsyncContext, prepareAsyncContext } from "../platform/context.js";
import { prepareWaitUntil } from "../platform/wait-until.js";
import { currentFrame } from "../record/frame.js";
import type { WaitUntil } from "../server/background-work.js";
import {
  beginCall,
  type FetchTrigger,
  type Invocation,
  invocations,
  type KnownConfig,
  type OpenInvocation,
  runCall,
  type ServerConfigFor,
  untraced,
} from "../server/invocation.js";
import { traceRequest } from "../server/trace-request.js";
import { runBatch } from "./batch.js";
import { nativeScope, type WorkerConfig } from "./native.js";
import { type DescribedCall, describeCall, describeMethod, isHandler, type OtherTrigger } from "./triggers.js";

/** The call that started an invocation. */
export type Trigger = FetchTrigger | OtherTrigger;

/** A Worker's handler object. Each of these methods is traced. `env` has the Worker's bindings. */
// biome-ignore-start lint/suspicious/noExplicitAny: these types are the platform's, of whichever version
export interface WorkerHandler {
  /** An HTTP request, from outside or from another Worker. */
  fetch?(request: Request, env: any, ctx: any): Response | Promise<Response>;
  /** A cron trigger. */
  scheduled?(controller: any, env: any, ctx: any): unknown;
  /** A batch of a queue's messages. */
  queue?(batch: any, env: any, ctx: any): unknown;
  /** An email. */
  email?(message: any, env: any, ctx: any): unknown;
  /** Events that another Worker has logged. */
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
 * Wraps a handler object or a class so that each call is a span under the caller's, or begins a new trace. The OPIK_* variables
 * come from the Worker's `env`; `config` overrides them. Invalid settings are reported once and the handler runs untraced, as it
 * does for a browser's preflight. Wrapping twice has no further effect.
 *
 * `handler` itself is not changed: export the returned object or class. Of a subclass, only the inherited methods are traced.
 *
 * @example
 * ```ts
 * import { span } from "opik-edge";
 * import { withOpik } from "opik-edge/cloudflare";
 *
 * export default withOpik(
 *   {
 *     async fetch(request: Request): Promise<Response> {
 *       const text = await span({ name: "greet" }, async () => `hello ${new URL(request.url).pathname}`);
 *       return new Response(text);
 *     },
 *   },
 *   { projectName: "shop" },
 * );
 * ```
 */
export function withOpik<H extends WorkerHandler | WorkerClass, C extends KnownConfig<C, WorkerConfig> = WorkerConfig>(
  handler: H,
  config?: ServerConfigFor<EnvOf<H>, Trigger, C>,
): H {
  if ((handler as { [WRAPPED]?: unknown })[WRAPPED] === true) return handler;
  const open = invocations(config, nativeScope);
  return (typeof handler === "function" ? wrapClass(handler, open) : outsideOf(handler, handlerCall(open))) as H;
}

type Open = (trigger: Trigger) => Invocation | undefined;
type Method = (...args: unknown[]) => unknown;
/** Calls a method from outside. */
type Call = (name: PropertyKey, method: Method, self: unknown, args: unknown[]) => unknown;

/**
 * A proxy of `inner` for callers outside. Methods run through `call` with `inner` as their `this`, so the code inside never meets
 * the proxy. All other members are returned unchanged, including functions in fields, unless they have a handler's name.
 */
function outsideOf<T extends object>(inner: T, call: Call, target = alike(inner), traps?: ProxyHandler<T>): T {
  const methods: Methods = new WeakMap();
  const outside: T = new Proxy(target, {
    ...traps,
    get(_, name, receiver) {
      const isOutside = receiver === outside;
      if (name === WRAPPED) return isOutside;
      const value: unknown = Reflect.get(name === "prototype" ? target : inner, name, isOutside ? inner : receiver);
      const own = Reflect.getOwnPropertyDescriptor(target, name);
      // A proxy must show unchangeable members unchanged.
      if (own && ((own.enumerable && !isHandler(name)) || !(own.configurable || own.writable))) return value;
      return calledBy(
        (method, self, args) =>
          self === inner ? method.apply(self, args) : call(name, method, self === outside ? inner : self, args),
        name,
        value,
        methods,
      );
    },
    set(_, name, value, receiver) {
      if (receiver !== outside) return Reflect.set(inner, name, value, receiver);
      (inner as Record<PropertyKey, unknown>)[name] = value; // throws as it does without the proxy
      return true;
    },
  });
  return outside;
}

/** The target of the proxy: `object`, or a copy if it is frozen, since a proxy must show frozen members unchanged. */
function alike<T extends object>(object: T): T {
  return Object.isFrozen(object) ? Object.assign(Object.create(Object.getPrototypeOf(object)), object) : object;
}

type Methods = WeakMap<object, unknown>;

/** Wraps `value`, if it is a method, so that calls run through `apply`. `methods` keeps each wrapper. */
function calledBy(
  apply: (method: Method, self: object, args: unknown[]) => unknown,
  name: PropertyKey,
  value: unknown,
  methods: Methods,
): unknown {
  if (typeof value !== "function" || name === "constructor") return value;
  if (!methods.has(value)) methods.set(value, new Proxy(value as Method, { apply }));
  return methods.get(value);
}

/** Calls of a handler, whose arguments include `env` and `ctx`. */
function handlerCall(open: OpenInvocation<Trigger>): Call {
  return (name, method, self, args) => {
    const openFor: Open = (trigger) => open({ env: args[1], ctx: args[2] as WaitUntil }, trigger);
    return traceCall(name, method, self, args, openFor, describeCall);
  };
}

const callUntraced: Call = (_, method, self, args) => method.apply(self, args);

/** Traced calls of instances of subclasses, which have no proxy between outside and inside. */
const callOf = new WeakMap<object, Call>();

function wrapClass(Class: WorkerClass, open: OpenInvocation<Trigger>): WorkerClass {
  // Begun early, so that an object's first call need not wait for it.
  void prepareAsyncContext();
  void prepareWaitUntil(); // for objects, whose `ctx` has no `tracing`
  const className = Class.name || Object.getPrototypeOf(Class).name;
  const methods: Methods = new WeakMap();
  // For subclasses, and for test runners, which take methods from it for their objects. The class's own is unchanged.
  const prototype: object = new Proxy(Class.prototype, {
    get(target, name, receiver) {
      if (name !== WRAPPED && receiver[WRAPPED] === true) return receiver[name];
      const value = Reflect.get(target, name, receiver);
      // With a current frame, the call comes from inside. Without AsyncLocalStorage nobody knows: only handlers are traced.
      const isCalled = callOf.has(receiver) && !currentFrame() && (hasAsyncContext() || isHandler(name));
      if (!isCalled) return value;
      return calledBy(
        (method, self, args) => (callOf.get(self) ?? callUntraced)(name, method, self, args),
        name,
        value,
        methods,
      );
    },
    getPrototypeOf: (target) => target,
  });
  // A proxy of the class itself could not show another `prototype`.
  function Shown(): void {}
  Object.defineProperties(Shown, {
    ...Object.getOwnPropertyDescriptors(Class),
    prototype: { value: prototype, writable: false },
  } as PropertyDescriptorMap);
  Object.setPrototypeOf(Shown, Object.getPrototypeOf(Class));
  if (!Object.isExtensible(Class)) Object.preventExtensions(Shown);
  const traps: Record<string, Method> = {};
  for (const trap of Object.getOwnPropertyNames(Reflect)) {
    const reflect = Reflect[trap as keyof typeof Reflect] as Method;
    traps[trap] = (target, name, ...rest) => {
      // Applied to both, so that they stay alike.
      reflect(target, name, ...rest);
      return reflect(name === "prototype" ? target : Class, name, ...rest);
    };
  }
  traps["construct"] = (_, args, newTarget) => {
    const isSubclass = (newTarget as WorkerClass).prototype !== prototype;
    const made: object = Reflect.construct(Class, args as unknown[], isSubclass ? (newTarget as WorkerClass) : Class);
    const [ctx, env] = args as [WaitUntil, unknown];
    const describe = (name: string, given: unknown[]): DescribedCall => describeMethod(className, name, given);
    const openFor: Open = (trigger) => open({ ctx, env }, trigger);
    const call: Call = (name, method, self, given) => traceCall(name, method, self, given, openFor, describe);
    if (isSubclass) callOf.set(made, call);
    else callOf.delete(made); // set by the wrapped superclass of this class
    return isSubclass ? made : outsideOf(made, call);
  };
  return outsideOf(Class, callUntraced, Shown as unknown as WorkerClass, traps);
}

function traceCall(
  name: PropertyKey,
  method: Method,
  self: unknown,
  args: unknown[],
  open: Open,
  describe: (name: string, args: unknown[]) => DescribedCall | undefined,
): unknown {
  if (name === "fetch") {
    const request = args[0] as Request;
    return traceRequest(
      request,
      () => open({ type: "fetch", request }),
      () => method.apply(self, args),
    );
  }
  const call = typeof name === "string" && describe(name, args);
  return call ? traceDescribed((...given) => method.apply(self, given), call, open) : method.apply(self, args);
}

/** A call other than an HTTP request. A sync handler stays sync once the search for AsyncLocalStorage is over. */
function traceDescribed(handle: Method, { root: options, tracedArgs, ...trigger }: DescribedCall, open: Open): unknown {
  const run = (): unknown => handle(...trigger.args);
  const trace = (): unknown => {
    const invocation = open(trigger);
    if (!invocation) return untraced(run);
    const call = beginCall(invocation, options);
    if (trigger.type === "queue") return runBatch(call, (options.input as { messages?: number })?.messages, run);
    return tracedArgs ? runCall(call, (root) => handle(...tracedArgs(root))) : runCall(call, run);
  };
  const prepared = prepareAsyncContext();
  // An RPC call that comes before the search for AsyncLocalStorage is over runs untraced.
  if (trigger.type === "rpc" && prepared) return untraced(run);
  return prepared ? prepared.then(trace) : trace();
}
