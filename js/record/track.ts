// Wraps a function so that each call is a span: Opik's `@track`.

import { invalid, type Reporter, readOption } from "../errors.js";
import { ofNobody } from "../names.js";
import type { OpenSpan, SpanOptions } from "./model.js";
import { scoped } from "./settle.js";

/** How a tracked function's spans look. */
export interface TrackOptions extends Pick<SpanOptions, "type" | "tags" | "metadata"> {
  /** By default the function's name; of one that has none `anonymous`, since it does not learn what it is assigned to. */
  readonly name?: string | undefined;
}

/** Any function, method or generator function. */
// biome-ignore lint/suspicious/noExplicitAny: only `any` accepts every parameter list
export type AnyFunction = (this: any, ...args: any[]) => any;

/** Opens the span of one call. */
export type Start = (options: SpanOptions) => OpenSpan;

/**
 * Tracks whichever of the two is a function. Where none is, gives back what should be, and says so once: without a `reporter` by
 * `console.warn`.
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
 * `fn` with a span around each call: input `{ arguments: […] }` when there are any, output the result
 * (what is not an object as `{ output: value }`), errors recorded and rethrown. `this`, the name, the signature and the
 * function's own properties stay. Streams, generators and async iterables end their span when consumed; they are not recorded.
 */
function trackWith<F extends AnyFunction>(start: Start, fn: F, options?: TrackOptions): F {
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
