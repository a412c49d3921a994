// Carries a context where there are no headers: in a member of a queue's message or of a workflow's parameters, or in an extra
// argument of an RPC call.

import { currentFrame } from "../record/frame.js";
import { opikHeaders, readClaim, readIncoming } from "../record/headers.js";
import { isPlain } from "../record/json.js";
import type { Span } from "../record/model.js";
import type { HeaderCarrier } from "../settings.js";

/** The member that holds the context: the two official headers. */
const MEMBER = "opik-edge";

/** The two official headers of `span`, by default of the current span; `undefined` without a context. */
function contextOf(span: Span | undefined = currentFrame()?.span): Record<string, string> | undefined {
  return opikHeaders(span, "underscore");
}

/**
 * `value` with the current context in place of any earlier one, which may be a stranger's. Only plain objects can carry a
 * context: strings, bytes and arrays are returned unchanged.
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

/** The caller's context in `value`, if any, and `value` without it. */
export function takeContext<T>(value: T): { readonly value: T; readonly caller: HeaderCarrier | undefined } {
  if (!isPlain(value) || !(MEMBER in value)) return { value, caller: undefined };
  const { [MEMBER]: caller, ...rest } = value;
  return { value: rest as T, caller: isPlain(caller) ? caller : undefined };
}

/** The context of a call as an argument: a `Map`, which no user's JSON can be. */
export function contextArgument(span: Span): HeaderCarrier | undefined {
  const context = contextOf(span);
  return context && new Map(Object.entries(context));
}

/** Removes a `contextArgument` from the end of the arguments of a call. */
export function takeContextArgument(args: readonly unknown[]): {
  readonly args: readonly unknown[];
  readonly caller: HeaderCarrier | undefined;
} {
  const last = args.at(-1);
  // Of any time: it is removed even if its trace cannot be joined.
  const isContext = last instanceof Map && last.size === 2 && readClaim(readIncoming(last), Infinity)?.spanId;
  return isContext ? { args: args.slice(0, -1), caller: last } : { args, caller: undefined };
}

/** A property of an RPC stub for its proxy. Methods are not inspected: even reading `bind` would be an RPC call. */
export function passedOn(stub: object, name: PropertyKey): unknown {
  const value: unknown = Reflect.get(stub, name, stub);
  if (typeof value !== "function" || name === "constructor") return value;
  return (...args: unknown[]) => (stub as Record<PropertyKey, (...given: unknown[]) => unknown>)[name]?.(...args);
}
