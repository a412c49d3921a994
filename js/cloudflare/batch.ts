// The trace of a queue's batch. It is left out if every message is recorded in its sender's trace and nothing else was recorded
// in the batch.

import { runWith } from "../platform/context.js";
import { currentFrame } from "../record/frame.js";
import type { OpenScope, OpenTrace } from "../record/model.js";
import type { SpanHandle } from "../record/span.js";
import { type Call, runCall } from "../server/invocation.js";

/** The current frame while a batch is handled. It notes if anything has used the batch's span. */
class BatchFrame {
  readonly scope: OpenScope;
  /** `undefined` once the batch is known to be left out. Background work that begins later then begins its own trace. */
  trace: OpenTrace | undefined;
  readonly settled = new Set<unknown>();
  readonly #root: SpanHandle;
  #isUsed = false;

  constructor(root: SpanHandle) {
    this.#root = root;
    this.scope = root.trace.scope;
    this.trace = root.trace;
  }

  /** Read by everything that opens a span under it, changes it, or passes its ids on. */
  get span(): SpanHandle | undefined {
    this.#isUsed = true;
    return this.trace && this.#root;
  }

  /** Drops the trace of a batch of `size` messages that ended without an error, if nothing was recorded in it. */
  leave(size: number | undefined): void {
    if (this.#isUsed || !size || this.settled.size < size) return;
    this.trace?.silence();
    this.trace = undefined;
  }
}

/** Marks `message` as recorded elsewhere, so that the current batch need not record it. */
export function settle(message: unknown): void {
  const frame: unknown = currentFrame();
  if (frame instanceof BatchFrame) frame.settled.add(message);
}

/** Runs the handler of a batch of `size` messages. */
export function runBatch(call: Call, size: number | undefined, handle: () => unknown): unknown {
  const frame = new BatchFrame(call.root);
  return runCall(
    call,
    () => frame.scope.within(call.root, () => runWith(frame, handle), frame),
    (result, onEnd) => {
      frame.leave(size);
      onEnd({ how: "done" });
      return result;
    },
  );
}
