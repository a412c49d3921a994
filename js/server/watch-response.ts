// Notices when a server's response has been sent, byte for byte as the handler made it, or when its client has hung up.

import type { OnEnd } from "../record/ending.js";
import {
  cancelReader,
  hasWatchableBody,
  lengthOf,
  type OnCancel,
  watchResponseBody,
  withBody,
} from "../record/stream.js";

/** A pipe of bytes that only workerd has. The fixed one keeps `Content-Length` on the wire. */
type Pipe = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>;
interface Workerd {
  readonly IdentityTransformStream?: new () => Pipe;
  readonly FixedLengthStream?: new (length: number) => Pipe;
  readonly Cloudflare?: { readonly compatibilityFlags?: object };
}

/**
 * `response`, with `onEnd` called when its body has been sent, when its client has gone, or when it has failed; at once if there
 * is nothing to wait for. The invocation has to be kept alive meanwhile.
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
    // This runtime can not watch a body.
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
  // workerd cancels a stream of ours since the version that knows this flag, whether it is set or not (1.20261015).
  if (!IdentityTransformStream || !FixedLengthStream || "pipe_to_backward_propagation" in flags)
    return watchResponseBody(response, onEnd, onCancel);
  const length = lengthOf(response.body);
  const pipe = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const watched = withBody(response, pipe.readable);
  void pump(response.body.getReader(), pipe.writable.getWriter(), onEnd, onCancel);
  return watched;
}

/**
 * Moves chunk by chunk. A stream that workerd pulls for the response is dropped without a word when the client
 * hangs up while it waits for an upstream; a write of our own fails. Never rejects.
 */
async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  onEnd: OnEnd,
  onCancel: OnCancel,
): Promise<void> {
  writer.closed.catch(() => {}); // told by the write that fails
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
