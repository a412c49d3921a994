// Wraps a Worker's handler, or the class of an entrypoint, a Durable Object or a workflow: each call from outside joins its
// caller's trace or begins one. What an invocation is is ../server/invocation.ts.

import { hasAsyncContext, prepareAsyncContext } from "../platform/context.js";
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
  type ServerConfig,
  type ServerConfigFor,
} from "../server/invocation.js";
import { traceRequest } from "../server/trace-request.js";
import { runBatch } from "./batch.js";
import { type DescribedCall, describeCall, describeMethod, isHandler, type OtherTrigger } from "./triggers.js";

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
 * are read from the Worker's `env`; what `config` says goes before them. An invalid configuration is
 * reported once and the handler runs untraced, as it does for a browser's preflight. Wrapping twice wraps once.
 *
 * What is given stays as it is, down to each function: what is returned stands for it, and is what the platform is to call. So
 * the class to wrap is the one that is exported; of a subclass only what it inherits is traced.
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
export function withOpik<H extends WorkerHandler | WorkerClass, C extends KnownConfig<C> = ServerConfig>(
  handler: H,
  config?: ServerConfigFor<EnvOf<H>, Trigger, C>,
): H {
  if ((handler as { [WRAPPED]?: unknown })[WRAPPED] === true) return handler;
  const open = invocations(config);
  return (typeof handler === "function" ? wrapClass(handler, open) : outsideOf(handler, handlerCall(open))) as H;
}

type Open = (trigger: Trigger) => Invocation | undefined;
type Method = (...args: unknown[]) => unknown;
/** Calls a method from outside. */
type Call = (name: PropertyKey, method: Method, self: unknown, args: unknown[]) => unknown;

/**
 * `inner` as it is called from outside: its methods go by way of `call`, and have `inner` as their `this`, which so never meets
 * what stands for it. Everything else is its own: a function in a field too, unless the platform calls it by that name.
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
      // The language shows what can not be changed as it is.
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
      (inner as Record<PropertyKey, unknown>)[name] = value; // which throws as it does without us
      return true;
    },
  });
  return outside;
}

/** What is looked like `object`: itself, unless it would have its members shown as they are. */
function alike<T extends object>(object: T): T {
  return Object.isFrozen(object) ? Object.assign(Object.create(Object.getPrototypeOf(object)), object) : object;
}

type Methods = WeakMap<object, unknown>;

/** `value`, if it is a method, as one whose calls go by way of `apply`: the same for the same, of `methods`. */
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

/** Calls of a handler, which is given `env` and `ctx` with each of them. */
function handlerCall(open: OpenInvocation<Trigger>): Call {
  return (name, method, self, args) => {
    const openFor: Open = (trigger) => open({ env: args[1], ctx: args[2] as WaitUntil }, trigger);
    return traceCall(name, method, self, args, openFor, describeCall);
  };
}

const callUntraced: Call = (_, method, self, args) => method.apply(self, args);

/** Calls of an object of a subclass, which is the same from outside and from inside. */
const callOf = new WeakMap<object, Call>();

function wrapClass(Class: WorkerClass, open: OpenInvocation<Trigger>): WorkerClass {
  // Early, so that an object's first call need not wait for it.
  void prepareAsyncContext();
  const className = Class.name || Object.getPrototypeOf(Class).name;
  const methods: Methods = new WeakMap();
  // Where a subclass goes on, and where a test runner takes methods from for what it has made. The class's own stays as it is.
  const prototype: object = new Proxy(Class.prototype, {
    get(target, name, receiver) {
      if (name !== WRAPPED && receiver[WRAPPED] === true) return receiver[name];
      const value = Reflect.get(target, name, receiver);
      // What calls from inside is told by what is current then, and without AsyncLocalStorage not at all.
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
  // Of a class itself no other `prototype` can be shown.
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
      // Done to both, so that they stay alike.
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
    else callOf.delete(made); // of the class that this one is a subclass of
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

/** A call that is no HTTP request. Sync in, sync out, as soon as it is known whether there is an AsyncLocalStorage. */
function traceDescribed(handle: Method, { root: options, tracedArgs, ...trigger }: DescribedCall, open: Open): unknown {
  const untraced = (): unknown => handle(...trigger.args);
  const trace = (): unknown => {
    const invocation = open(trigger);
    if (!invocation) return untraced();
    const call = beginCall(invocation, options);
    if (trigger.type === "queue") return runBatch(call, (options.input as { messages?: number })?.messages, untraced);
    return tracedArgs ? runCall(call, (root) => handle(...tracedArgs(root))) : runCall(call, untraced);
  };
  const prepared = prepareAsyncContext();
  // What is asked for before it is known whether there is an AsyncLocalStorage need not be told.
  if (trigger.type === "rpc" && prepared) return untraced();
  return prepared ? prepared.then(trace) : trace();
}
