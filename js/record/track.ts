// Wraps a function so that each call is a span: Opik's `@track`.

import { invalid, type Reporter, readOption } from "../errors.js";
import { ofNobody } from "../names.js";
import type { OpenSpan, SpanOptions } from "./model.js";
import { scoped } from "./settle.js";

/** Options of a tracked function's spans. */
export interface TrackOptions extends Pick<SpanOptions, "type" | "tags" | "metadata"> {
  /** Default: the function's name, or `anonymous`, since a function does not know the variable that it is assigned to. */
  readonly name?: string | undefined;
}

/** Any function, method or generator function. */
// biome-ignore lint/suspicious/noExplicitAny: only `any` accepts every parameter list
export type AnyFunction = (this: any, ...args: any[]) => any;

/** Opens the span of one call. */
export type Start = (options: SpanOptions) => OpenSpan;

/**
 * Tracks the argument that is a function. Without a function it returns the second argument, or else the first, and reports
 * the error once: to `reporter`, or with `console.warn`.
 */
export function trackEither<F extends AnyFunction>(
  start: Start,
  first: F | TrackOptions,
  second: TrackOptions | F | undefined,
  reporter?: Reporter,
): F {
  if (typeof first === "function") return trackWith(start, first, second as TrackOptions);
  if (typeof second === "function") return trackWith(start, second, first);
  const wrong: unknown = second ?? first;
  (reporter ?? ofNobody()).tellOnce(invalid("track", "a function", wrong), "track");
  return wrong as F;
}

/**
 * `fn` with a span around each call. Its input is `{ arguments: […] }` if there are any, and its output is the result, as
 * `{ output: value }` if it is not an object. Errors are recorded and rethrown. `this`, the name, the signature and the
 * function's own properties stay. Streams, generators and async iterables end their span when they are consumed; their
 * content is not recorded.
 */
function trackWith<F extends AnyFunction>(start: Start, fn: F, options?: TrackOptions): F {
  // The proxy forwards everything except a call to `fn`.
  return new Proxy(fn, {
    apply(_, self: unknown, args: unknown[]): unknown {
      const name = readOption(options, "name") ?? (fn.name || "anonymous");
      const span = start({ ...options, name, input: args.length > 0 ? { arguments: args } : undefined });
      const call = (): unknown => Reflect.apply(fn, self, args);
      return scoped(span, call, (output) => span.update({ output }), fn);
    },
  });
}
