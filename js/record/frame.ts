// What is current: an invocation's scope, the trace, and the innermost span if one is open. Where it is kept is
// ../platform/context.ts.

import { currentStore } from "../platform/context.js";
import type { OpenScope, Span, Trace } from "./model.js";

/** What is current. */
export interface Frame {
  readonly scope: OpenScope;
  readonly trace: Trace;
  readonly span: Span | undefined;
}

/** What is current here, if anything. */
export function currentFrame(): Frame | undefined {
  const store = currentStore() as Partial<Frame> | undefined;
  return store?.scope && (store as Frame);
}
