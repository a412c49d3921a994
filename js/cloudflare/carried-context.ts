// A context where there are no headers: in a member of a queue's message or a workflow's parameters, in a further argument of
// an RPC call.

import { currentFrame } from "../context.js";
import type { HeaderCarrier } from "../headers.js";
import type { Span } from "../span.js";

/** The member that holds it: the two official headers. */
const MEMBER = "opik-edge";

/** The context of `span`, or of the current one, as an object with one member; `undefined` when there is nothing to hand on. */
export function carriedContext(span: Span | undefined = currentFrame()?.span): object | undefined {
  const headers = span?.headers({ spelling: "underscore" }) ?? {};
  return Object.keys(headers).length > 0 ? { [MEMBER]: headers } : undefined;
}

/** `value` with the current context in it. What is no plain object goes as it is: a text, bytes, an array. */
export function withContext<T>(value: T): T {
  return isPlainObject(value) ? { ...value, ...carriedContext() } : value;
}

/** The caller's context in `value`, if there is one, and `value` without it. */
export function takeContext<T>(value: T): { readonly value: T; readonly caller: HeaderCarrier | undefined } {
  if (!isPlainObject(value) || !(MEMBER in value)) return { value, caller: undefined };
  const { [MEMBER]: caller, ...rest } = value as Record<string, unknown>;
  return { value: rest as T, caller: isPlainObject(caller) ? (caller as HeaderCarrier) : undefined };
}

/** The same for the last of the arguments of a call, which is then left out. */
export function takeContextArgument(args: readonly unknown[]): {
  readonly args: readonly unknown[];
  readonly caller: HeaderCarrier | undefined;
} {
  const last = args.at(-1);
  if (!isPlainObject(last) || Object.keys(last).join() !== MEMBER) return { args, caller: undefined };
  return { args: args.slice(0, -1), caller: takeContext(last).caller };
}

/** A property of an RPC stub as what stands for it has it. Of a method nothing is asked for, not even `bind`: that would be RPC. */
export function passedOn(stub: object, name: PropertyKey): unknown {
  const value: unknown = Reflect.get(stub, name, stub);
  if (typeof value !== "function") return value;
  return (...args: unknown[]) => (stub as Record<PropertyKey, (...given: unknown[]) => unknown>)[name]?.(...args);
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
