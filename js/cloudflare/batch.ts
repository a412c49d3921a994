// The trace of a queue's batch. It is written unless all of its messages are recorded elsewhere, in the traces of their senders,
// and it has nothing else to say.

import { runWith } from "../platform/context.js";
import { currentFrame } from "../record/frame.js";
import type { OpenScope, OpenTrace } from "../record/model.js";
import type { SpanHandle } from "../record/span.js";
import { type Call, runCall } from "../server/invocation.js";

/** What is current while a batch is handled: a `Frame` that knows whether anybody has asked for its span. */
class BatchFrame {
  readonly scope: OpenScope;
  /** `undefined` once it is known that it is not written: what begins later, in the background, begins a trace of its own. */
  trace: OpenTrace | undefined;
  readonly settled = new Set<unknown>();
  readonly #root: SpanHandle;
  #isUsed = false;

  constructor(root: SpanHandle) {
    this.#root = root;
    this.scope = root.trace.scope;
    this.trace = root.trace;
  }

  /** Asked for by whoever opens a span under it, changes it, or hands its ids on. */
  get span(): SpanHandle | undefined {
    this.#isUsed = true;
    return this.trace && this.#root;
  }

  /** Has the trace of a batch of `size` messages that was handled without an error written only if it says something. */
  leave(size: number | undefined): void {
    if (this.#isUsed || !size || this.settled.size < size) return;
    this.trace?.silence();
    this.trace = undefined;
  }
}

/** Notes that the current batch need not tell of `message`. */
export function settle(message: unknown): void {
  const frame: unknown = currentFrame();
  if (frame instanceof BatchFrame) frame.settled.add(message);
}

/** Runs the handler of a batch of `size` messages. */
export function runBatch(call: Call, size: number | undefined, handle: () => unknown): unknown {
  const frame = new BatchFrame(call.root);
  return runCall(
    call,
    () => runWith(frame, handle),
    (result, onEnd) => {
      frame.leave(size);
      onEnd({ how: "done" });
      return result;
    },
  );
}
