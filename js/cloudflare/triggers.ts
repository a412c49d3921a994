// The ways in which the platform calls a Worker, a class or an object, other than by HTTP: how each is named and described.
// What a call carries is not recorded: messages, mails and arguments are the user's to record.

import { currentFrame } from "../record/frame.js";
import { openSpan, type SpanHandle } from "../record/span.js";
import type { Root } from "../server/invocation.js";
import { passedOn, takeContext, takeContextArgument } from "./carried-context.js";

/** A call that is no HTTP request. */
export interface OtherTrigger {
  /** The handler that the platform has called; `rpc` for any other method of a class, `workflow` for its `run`. */
  readonly type: Handler | "rpc" | "workflow";
  /** The name of the root span. */
  readonly name: string;
  /** What the handler is given, the caller's context left out. */
  readonly args: readonly unknown[];
}

/** What the platform calls by name. */
type Handler =
  | "scheduled"
  | "queue"
  | "email"
  | "tail"
  | "alarm"
  | "webSocketMessage"
  | "webSocketClose"
  | "webSocketError";

/** What is recorded of each. */
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
  /** What the handler is given instead of `args` where it is traced. */
  readonly tracedArgs?: (root: SpanHandle) => readonly unknown[];
}

/** A call of `handler`; `undefined` where the platform has no such handler. */
export function describeCall(handler: string, args: readonly unknown[]): DescribedCall | undefined {
  if (!Object.hasOwn(ROOTS, handler)) return undefined;
  let root: Root;
  try {
    root = (ROOTS[handler as Handler] as (...given: readonly unknown[]) => Root)(...args);
  } catch {
    root = { name: handler }; // it is called in another way than the platform's
  }
  return { type: handler as Handler, name: root.name, args, root };
}

/** Whether the platform calls it by this name. */
export function isHandler(name: PropertyKey): boolean {
  return name === "fetch" || Object.hasOwn(ROOTS, name);
}

/** A call of a class's method: as the platform does, a workflow's `run`, or RPC, whose last argument may hold a context. */
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

/** What is needed of a workflow's event. */
interface WorkflowEvent {
  readonly payload: unknown;
  readonly instanceId: string;
  readonly timestamp: object;
}

/** Told by the event: `step` is a stub, on which everything is a method. */
function isWorkflowEvent(event: unknown): event is WorkflowEvent {
  const { instanceId, timestamp } = (event ?? {}) as Partial<WorkflowEvent>;
  return typeof instanceId === "string" && typeof timestamp === "object";
}

/** What is needed of a workflow's steps. */
interface WorkflowStep {
  do(name: string, ...rest: unknown[]): unknown;
}

/**
 * `step`, whose steps are spans under `root` while they run, each sent as soon as it has ended, since a run may be broken off
 * and go on elsewhere. What is replayed then is no span again.
 */
function traceSteps(step: WorkflowStep, root: SpanHandle): WorkflowStep {
  const { scope } = root.trace;
  const traced = (name: string, ...rest: unknown[]): unknown => {
    const at = rest.findIndex((value) => typeof value === "function");
    const callback = rest[at] as (...args: unknown[]) => unknown;
    // The platform calls back by RPC, where nothing is current.
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
  // A stub, on which every other property is a method of the other side, `bind` too.
  return new Proxy(step, { get: (target, name) => (name === "do" ? traced : passedOn(target, name)) });
}
