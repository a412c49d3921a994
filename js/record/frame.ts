// The current context: an invocation's scope, the trace, and the innermost open span. ../platform/context.ts stores it.

import { currentStore } from "../platform/context.js";
import type { OpenScope, Span, Trace } from "./model.js";

/** The current context. */
export interface Frame {
  readonly scope: OpenScope;
  readonly trace: Trace;
  readonly span: Span | undefined;
}

let inside: ((frame: Frame | undefined) => Frame | undefined) | undefined;

/** Has `find` look for the span of another tracer that is current inside our current context: otel/. */
export function lookInside(find: (frame: Frame | undefined) => Frame | undefined): void {
  inside = find;
}

/** The current context here, or `undefined`. */
export function currentFrame(): Frame | undefined {
  const frame = ownFrame();
  return inside ? inside(frame) : frame;
}

/** The same without the spans of other tracers. */
export function ownFrame(): Frame | undefined {
  const store = currentStore() as Partial<Frame> | undefined;
  return store?.scope && (store as Frame);
}
