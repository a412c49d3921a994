// Wraps a function so that each call is a span: Opik's `@track`.

import { readOption } from "../errors.js";
import type { OpenSpan, SpanOptions } from "./model.js";
import { scoped } from "./settle.js";

/** How a tracked function's spans look. */
export interface TrackOptions extends Pick<SpanOptions, "type" | "tags" | "metadata"> {
  /** By default the function's name. */
  readonly name?: string | undefined;
}

/** Any function, method or generator function. */
// biome-ignore lint/suspicious/noExplicitAny: only `any` accepts every parameter list
export type AnyFunction = (this: any, ...args: any[]) => any;

/** Opens the span of one call. */
export type Start = (options: SpanOptions) => OpenSpan;

/**
 * `fn` with a span around each call: input `{ arguments: […] }` when there are any, output the result
 * (what is not an object as `{ output: value }`), errors recorded and rethrown. `this`, the name, the signature and the
 * function's own properties stay. Streams, generators and async iterables end their span when consumed; they are not recorded.
 */
export function trackWith<F extends AnyFunction>(start: Start, fn: F, options?: TrackOptions): F {
  // Whatever is asked of it, but for a call, is asked of `fn`.
  return new Proxy(fn, {
    apply(_, self: unknown, args: unknown[]): unknown {
      const name = readOption(options, "name") ?? (fn.name || "anonymous");
      const span = start({ ...options, name, input: args.length > 0 ? { arguments: args } : undefined });
      const call = (): unknown => Reflect.apply(fn, self, args);
      return scoped(span, call, (output) => span.update({ output }), fn);
    },
  });
}
