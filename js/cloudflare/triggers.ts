// The calls of a Worker, a class or an object other than HTTP: their names and descriptions. Messages, mails and arguments are
// not recorded; the application may record them itself.

import { currentFrame } from "../record/frame.js";
import { openSpan, type SpanHandle } from "../record/span.js";
import type { Root } from "../server/invocation.js";
import { passedOn, takeContext, takeContextArgument } from "./carried-context.js";

/** A call other than an HTTP request. */
export interface OtherTrigger {
  /** The handler that the platform has called; `rpc` for any other method of a class, `workflow` for its `run`. */
  readonly type: Handler | "rpc" | "workflow";
  /** The name of the root span. */
  readonly name: string;
  /** The arguments of the handler, without the caller's context. */
  readonly args: readonly unknown[];
}

/** Handlers that the platform calls by name. */
type Handler =
  | "scheduled"
  | "queue"
  | "email"
  | "tail"
  | "alarm"
  | "webSocketMessage"
  | "webSocketClose"
  | "webSocketError";

/** Root span of each handler. */
const ROOTS: Record<Handler, (...args: never[]) => Root> = {
  scheduled: ({ cron, scheduledTime }: { cron: string; scheduledTime: number }) => ({
    name: `scheduled ${cron}`,
    input: { cron, scheduledTime },
  }),
  queue: ({ queue, messages }: { queue: string; messages: readonly unknown[] }) => ({
    name: `queue ${queue}`,
    input: { queue, messages: messages.length },
  }),
  email: ({ rawSize }: { rawSize: number }) => ({ name: "email", input: { rawSize } }),
  tail: (events: readonly unknown[]) => ({ name: "tail", input: { events: events.length } }),
  alarm: (info?: { isRetry: boolean; retryCount: number }) => ({
    name: "alarm",
    input: info && { isRetry: info.isRetry, retryCount: info.retryCount },
  }),
  webSocketMessage: (_socket: unknown, message: string | ArrayBuffer) => ({
    name: "webSocketMessage",
    input: typeof message === "string" ? { characters: message.length } : { bytes: message.byteLength },
  }),
  webSocketClose: (_socket: unknown, code: number, _reason: string, wasClean: boolean) => ({
    name: "webSocketClose",
    input: { code, wasClean },
  }),
  webSocketError: () => ({ name: "webSocketError" }),
};

/** A call and its root span. */
export interface DescribedCall extends OtherTrigger {
  readonly root: Root;
  /** The arguments of a traced handler, instead of `args`. */
  readonly tracedArgs?: (root: SpanHandle) => readonly unknown[];
}

/** Describes a call of `handler`; `undefined` if the platform has no such handler. */
export function describeCall(handler: string, args: readonly unknown[]): DescribedCall | undefined {
  if (!Object.hasOwn(ROOTS, handler)) return undefined;
  let root: Root;
  try {
    root = (ROOTS[handler as Handler] as (...given: readonly unknown[]) => Root)(...args);
  } catch {
    root = { name: handler }; // the arguments are not the platform's
  }
  return { type: handler as Handler, name: root.name, args, root };
}

/** `true` if the platform calls a handler of this name. */
export function isHandler(name: PropertyKey): boolean {
  return name === "fetch" || Object.hasOwn(ROOTS, name);
}

/** Describes a method call: a handler, the `run` of a workflow, or RPC, whose last argument may hold a context. */
export function describeMethod(className: string, method: string, given: readonly unknown[]): DescribedCall {
  const { args, caller } = takeContextArgument(given);
  const known = describeCall(method, args);
  if (known) return { ...known, root: { ...known.root, caller } };
  const name = `${className}.${method}`;
  const [event, step] = args as [unknown, WorkflowStep];
  if (method === "run" && isWorkflowEvent(event)) {
    const { value: payload, caller: creator } = takeContext(event.payload);
    const taken = { ...event, payload };
    const root = { name, input: { instanceId: event.instanceId }, caller: creator };
    return { type: "workflow", name, args: [taken, step], root, tracedArgs: (span) => [taken, traceSteps(step, span)] };
  }
  return { type: "rpc", name, args, root: { name, caller } };
}

/** The used part of a workflow's event. */
interface WorkflowEvent {
  readonly payload: unknown;
  readonly instanceId: string;
  readonly timestamp: object;
}

/** Decided by the event: `step` is a stub, which seems to have every method. */
function isWorkflowEvent(event: unknown): event is WorkflowEvent {
  const { instanceId, timestamp } = (event ?? {}) as Partial<WorkflowEvent>;
  return typeof instanceId === "string" && typeof timestamp === "object";
}

/** The used part of a workflow's `step`. */
interface WorkflowStep {
  do(name: string, ...rest: unknown[]): unknown;
}

/**
 * Wraps `step` so that its steps are spans under `root` while they run. Each is sent when it ends, since a run may be interrupted
 * and continue elsewhere. Replayed steps are not spans again.
 */
function traceSteps(step: WorkflowStep, root: SpanHandle): WorkflowStep {
  const { scope } = root.trace;
  const traced = (name: string, ...rest: unknown[]): unknown => {
    const at = rest.findIndex((value) => typeof value === "function");
    const callback = rest[at] as (...args: unknown[]) => unknown;
    // The platform calls back over RPC, which loses the current span.
    const above = (currentFrame()?.span as SpanHandle | undefined) ?? root;
    const run = async (...args: unknown[]): Promise<unknown> => {
      try {
        return await openSpan(above.trace, above.id, { name }, () => callback(...args));
      } finally {
        scope.flushSoon();
      }
    };
    return step.do(name, ...(at < 0 ? rest : rest.with(at, run)));
  };
  // A stub: every other property is a method of the other side, even `bind`.
  return new Proxy(step, { get: (target, name) => (name === "do" ? traced : passedOn(target, name)) });
}
