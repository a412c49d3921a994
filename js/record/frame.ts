// What is current: an invocation's scope, the trace, and the innermost span if one is open. Where it is kept is
// ../platform/context.ts.

import { currentStore } from "../platform/context.js";
import type { Span, Trace } from "./model.js";
import type { Scope } from "./scope.js";

/** What is current. */
export interface Frame {
  readonly scope: Scope;
  readonly trace: Trace;
  readonly span: Span | undefined;
}

/** What is current here, if anything. */
export function currentFrame(): Frame | undefined {
  const store = currentStore() as Partial<Frame> | undefined;
  return store?.scope && (store as Frame);
}
