// Notices when a server's response has been sent, or when its client has hung up. The handler's bytes stay the same.

import type { OnEnd } from "../record/ending.js";
import {
  cancelReader,
  hasWatchableBody,
  lengthOf,
  type OnCancel,
  watchResponseBody,
  withBody,
} from "../record/stream.js";

/** A byte stream that only workerd provides. `FixedLengthStream` keeps the `Content-Length` header. */
type Pipe = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>;
interface Workerd {
  readonly IdentityTransformStream?: new () => Pipe;
  readonly FixedLengthStream?: new (length: number) => Pipe;
  readonly Cloudflare?: { readonly compatibilityFlags?: object };
}

/**
 * Returns `response` and calls `onEnd` when its body has been sent, its client has left, or the body has failed; at once if there
 * is nothing to wait for. The invocation must stay alive in the meantime.
 */
export function watchResponse<R>(
  response: R,
  method: string | undefined,
  onEnd: OnEnd,
  onCancel: OnCancel = () => {},
): R {
  try {
    if (method !== "HEAD" && response instanceof Response && hasWatchableBody(response)) {
      return watchBody(response, onEnd, onCancel) as R;
    }
  } catch {
    // This runtime cannot watch a body.
  }
  onEnd({ how: "done" });
  return response;
}

function watchBody(
  response: Response & { body: ReadableStream<Uint8Array> },
  onEnd: OnEnd,
  onCancel: OnCancel,
): Response {
  const { IdentityTransformStream, FixedLengthStream, Cloudflare } = globalThis as Workerd;
  const flags = Cloudflare?.compatibilityFlags ?? {};
  // Since the version that knows this flag (1.20261015), set or not, workerd cancels our streams.
  if (!IdentityTransformStream || !FixedLengthStream || "pipe_to_backward_propagation" in flags)
    return watchResponseBody(response, onEnd, onCancel);
  const length = lengthOf(response.body);
  const pipe = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const watched = withBody(response, pipe.readable);
  void pump(response.body.getReader(), pipe.writable.getWriter(), onEnd, onCancel);
  return watched;
}

/**
 * Copies chunk by chunk. If the client hangs up while an upstream is slow, workerd silently drops a stream that it pulls, whereas
 * our own write fails. Never rejects.
 */
async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  onEnd: OnEnd,
  onCancel: OnCancel,
): Promise<void> {
  writer.closed.catch(() => {}); // the failing write reports it
  for (;;) {
    let next: ReadableStreamReadResult<Uint8Array>;
    try {
      next = await reader.read();
    } catch (error) {
      onEnd({ how: "failed", error });
      await writer.abort(error).catch(() => {});
      return;
    }
    try {
      if (next.done) {
        await writer.close();
        onEnd({ how: "done" });
        return;
      }
      if (next.value.byteLength > 0) await writer.write(next.value);
    } catch (reason) {
      onCancel();
      await cancelReader(reader, reason, () => onEnd({ how: "cancelled" })).catch(() => {});
      return;
    }
  }
}
