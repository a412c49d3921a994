// A context where there are no headers: in a member of a queue's message or of a workflow's parameters, in a further argument
// of an RPC call.

import { currentFrame } from "../record/frame.js";
import { readClaim, readIncoming } from "../record/headers.js";
import { isPlain } from "../record/json.js";
import type { Span } from "../record/model.js";
import type { HeaderCarrier } from "../settings.js";

/** The member that holds it: the two official headers. */
const MEMBER = "opik-edge";

/** The two official headers of `span`, by default of the current one; `undefined` when there is nothing to hand on. */
function contextOf(span: Span | undefined = currentFrame()?.span): Record<string, string> | undefined {
  const headers = span?.headers({ spelling: "underscore" }) ?? {};
  return Object.keys(headers).length > 0 ? headers : undefined;
}

/**
 * `value` with the current context in it, and with none that was in it before: a stranger's, as often as not. What is no plain
 * object goes as it is: a text, bytes, an array.
 *
 * @example
 * ```ts
 * import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
 * import { withContext, withOpik } from "opik-edge/cloudflare";
 *
 * interface Env {
 *   FLOW: Workflow;
 * }
 *
 * export const Flow = withOpik(
 *   class Flow extends WorkflowEntrypoint<Env, { order: number }> {
 *     override async run(event: WorkflowEvent<{ order: number }>, step: WorkflowStep): Promise<void> {
 *       await step.do("pay", async () => event.payload.order);
 *     }
 *   },
 * );
 *
 * export default withOpik({
 *   async fetch(_request: Request, env: Env): Promise<Response> {
 *     await env.FLOW.create({ params: withContext({ order: 7 }) });
 *     return new Response("begun");
 *   },
 * });
 * ```
 */
export function withContext<T>(value: T): T {
  const { value: own } = takeContext(value);
  const context = isPlain(own) && contextOf();
  return context ? { ...own, [MEMBER]: context } : own;
}

/** The caller's context in `value`, if there is one, and `value` without it. */
export function takeContext<T>(value: T): { readonly value: T; readonly caller: HeaderCarrier | undefined } {
  if (!isPlain(value) || !(MEMBER in value)) return { value, caller: undefined };
  const { [MEMBER]: caller, ...rest } = value;
  return { value: rest as T, caller: isPlain(caller) ? caller : undefined };
}

/** The context of a call as an argument: a `Map`, which no JSON of a user can be. */
export function contextArgument(span: Span): HeaderCarrier | undefined {
  const context = contextOf(span);
  return context && new Map(Object.entries(context));
}

/** The same out of the arguments of a call, where it is the last. */
export function takeContextArgument(args: readonly unknown[]): {
  readonly args: readonly unknown[];
  readonly caller: HeaderCarrier | undefined;
} {
  const last = args.at(-1);
  // Of any time: it is taken away whether or not it is joined.
  const isContext = last instanceof Map && last.size === 2 && readClaim(readIncoming(last), Infinity)?.spanId;
  return isContext ? { args: args.slice(0, -1), caller: last } : { args, caller: undefined };
}

/** A property of an RPC stub as what stands for it has it. Of a method nothing is asked for, not even `bind`: that would be RPC. */
export function passedOn(stub: object, name: PropertyKey): unknown {
  const value: unknown = Reflect.get(stub, name, stub);
  if (typeof value !== "function" || name === "constructor") return value;
  return (...args: unknown[]) => (stub as Record<PropertyKey, (...given: unknown[]) => unknown>)[name]?.(...args);
}
