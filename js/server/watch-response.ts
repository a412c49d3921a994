// Notices when a server's response has been sent, byte for byte as the handler made it, or when its client has
// hung up.

import { cancelReader, hasWatchableBody, lengthOf, type OnEnd, watchBytes, withBody } from "../stream.js";

/** A pipe of bytes that only workerd has. The fixed one keeps `Content-Length` on the wire. */
type Pipe = TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>;
interface WorkerdStreams {
  readonly IdentityTransformStream?: new () => Pipe;
  readonly FixedLengthStream?: new (length: number) => Pipe;
}

/**
 * `response`, with `onEnd` called when its body has been sent, when its client has gone, or when it has failed; at
 * once if there is nothing to wait for. The invocation has to be kept alive meanwhile.
 */
export function watchResponse<R>(response: R, method: string, onEnd: OnEnd): R {
  if (method === "HEAD" || !(response instanceof Response) || !hasWatchableBody(response)) {
    onEnd({ how: "done" });
    return response;
  }
  try {
    return watchBody(response, onEnd) as R;
  } catch {
    onEnd({ how: "done" }); // this runtime can not watch a body
    return response;
  }
}

function watchBody(response: Response & { body: ReadableStream<Uint8Array> }, onEnd: OnEnd): Response {
  const { IdentityTransformStream, FixedLengthStream } = globalThis as WorkerdStreams;
  if (!IdentityTransformStream || !FixedLengthStream) return withBody(response, watchBytes(response.body, onEnd));
  const length = lengthOf(response.body);
  const pipe = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const watched = withBody(response, pipe.readable);
  void pump(response.body.getReader(), pipe.writable.getWriter(), onEnd);
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
      await cancelReader(reader, reason, onEnd).catch(() => {});
      return;
    }
  }
}
