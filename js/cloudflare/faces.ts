// The ways in which the platform calls a Worker, a class or an object, other than by HTTP: how each is named and described.
// What a call carries is not recorded: messages, mails and arguments are the user's to record.

import { currentFrame } from "../context.js";
import type { Root } from "../server/invocation.js";
import { passedOn, takeContext, takeContextArgument } from "./carried-context.js";

/** A call that is no HTTP request. */
export interface OtherTrigger {
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
export interface Face extends OtherTrigger {
  readonly root: Root;
}

/** A call of `handler`; `undefined` where the platform has no such handler. */
export function describeCall(handler: string, args: readonly unknown[]): Face | undefined {
  if (!Object.hasOwn(ROOTS, handler)) return undefined;
  const type = handler as Handler;
  let root: Root;
  try {
    root = (ROOTS[type] as (...given: readonly unknown[]) => Root)(...args);
  } catch {
    root = { name: handler }; // it is called in another way than the platform's
  }
  return { type, name: root.name, args, root };
}

/** A call of a class's method: as the platform does, a workflow's `run`, or RPC, whose last argument may hold a context. */
export function describeMethod(className: string, method: string, given: readonly unknown[]): Face {
  const { args, caller } = takeContextArgument(given);
  const known = describeCall(method, args);
  if (known) return { ...known, root: { ...known.root, caller } };
  const name = `${className}.${method}`;
  const [event, step] = args as [WorkflowEvent?, WorkflowStep?];
  if (method === "run" && typeof step?.do === "function") {
    const { value: payload, caller: creator } = takeContext(event?.payload);
    const input = { instanceId: event?.instanceId };
    const run = [{ ...event, payload }, traceSteps(step)];
    return { type: "workflow", name, args: run, root: { name, input, caller: creator } };
  }
  return { type: "rpc", name, args, root: { name, caller } };
}

/** What is needed of a workflow's event. */
interface WorkflowEvent {
  readonly payload: unknown;
  readonly instanceId: string;
}

/** What is needed of a workflow's steps. */
interface WorkflowStep {
  do(name: string, ...rest: unknown[]): unknown;
}

/** `step`, whose steps are spans while they run; what is replayed after a pause is not. */
function traceSteps(step: WorkflowStep): WorkflowStep {
  const traced = (name: string, ...rest: unknown[]): unknown => {
    const callback = rest.pop() as (...args: unknown[]) => unknown;
    // The platform calls back by RPC, where nothing is current.
    const current = currentFrame()?.span;
    const run = (...args: unknown[]): unknown =>
      current ? current.span({ name }, () => callback(...args)) : callback(...args);
    return step.do(name, ...rest, run);
  };
  // A stub, on which every other property is a method of the other side, `bind` too.
  return new Proxy(step, { get: (target, name) => (name === "do" ? traced : passedOn(target, name)) });
}
