// Notices when a Worker's response has been sent, byte for byte as the handler made it.

import { hasWatchableBody, type OnEnd, watchBytes, withBody } from "../stream.js";

/** Workers only: a stream of a length known beforehand, which keeps `Content-Length` on the wire. */
type FixedLengthStream = new (length: number) => TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>;

/** `response`, with `onEnd` called when its body has been read, cancelled or has failed; at once without one. */
export function watchResponse(response: Response, method: string, onEnd: OnEnd): Response {
  if (method === "HEAD" || !hasWatchableBody(response)) {
    onEnd({ how: "done" });
    return response;
  }
  const length = bodyLength(response.body);
  // A length that no header states is that of a string or a buffer: nothing of the handler's runs any more.
  if (length !== undefined && !response.headers.has("content-length")) {
    onEnd({ how: "done" });
    return response;
  }
  const body = watchBytes(response.body, onEnd);
  const { FixedLengthStream } = globalThis as { FixedLengthStream?: FixedLengthStream };
  if (length === undefined || !FixedLengthStream) return withBody(response, body);
  return withBody(response, body.pipeThrough(new FixedLengthStream(length)));
}

/** The length of a body as workerd shows it to `util.inspect`, under a symbol; `undefined` where it is not known. */
function bodyLength(body: ReadableStream<Uint8Array>): number | undefined {
  const symbol = Object.getOwnPropertySymbols(ReadableStream.prototype).find((s) => s.description === "length");
  const length = symbol && (body as unknown as Record<symbol, unknown>)[symbol];
  return typeof length === "bigint" || typeof length === "number" ? Number(length) : undefined;
}
