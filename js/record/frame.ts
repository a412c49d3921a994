// The current context: an invocation's scope, the trace, and the innermost open span. ../platform/context.ts stores it.

import { currentStore } from "../platform/context.js";
import type { OpenScope, Span, Trace } from "./model.js";

/** The current context. */
export interface Frame {
  readonly scope: OpenScope;
  readonly trace: Trace;
  readonly span: Span | undefined;
}

/** The current context here, or `undefined`. */
export function currentFrame(): Frame | undefined {
  const store = currentStore() as Partial<Frame> | undefined;
  return store?.scope && (store as Frame);
}
