// Receives every contender's uploads: a `fetch` in the same process. It takes the body as bytes, as the platform's
// would, and answers at once: the measurement is of the tracer, not of the network.

import type { Received } from "./contender.js";

/** The received uploads. */
export interface Sink {
  requests: number;
  bytes: number;
  /** The bodies, while they are wanted. */
  kept: Received[] | undefined;
}

const encoder = new TextEncoder();
/** LangSmith asks for this first; no other contender reads an answer's body. */
const INFO = { batch_ingest_config: { use_multipart_endpoint: true }, instance_flags: {} };

/** Replaces the platform's fetch. */
export function openSink(): Sink {
  const sink: Sink = { requests: 0, bytes: 0, kept: undefined };
  // One answer for all: to make one costs more than many a contender.
  let accepted: Response | undefined;
  globalThis.fetch = async (input, init) => {
    const url = typeof input === "string" ? input : input instanceof URL ? input.href : input.url;
    if (url.endsWith("/info")) return Response.json(INFO);
    const body = await bytesOf(init?.body ?? (input instanceof Request ? input.body : null));
    sink.requests += 1;
    sink.bytes += body.byteLength;
    if (sink.kept) sink.kept.push({ url, ...(await readable(body, init, input)) });
    accepted ??= new Response(null, { status: 200 });
    return accepted;
  };
  return sink;
}

async function bytesOf(body: BodyInit | null | undefined): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof body === "string") return encoder.encode(body);
  if (body instanceof Uint8Array) return body as Uint8Array<ArrayBuffer>;
  return new Uint8Array(await new Response(body ?? null).arrayBuffer());
}

/** A copy of the body, not compressed. */
async function readable(body: Uint8Array<ArrayBuffer>, init: RequestInit | undefined, input: RequestInfo | URL) {
  const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : {}));
  const encoding = headers.get("content-encoding");
  const plain = encoding
    ? new Blob([body]).stream().pipeThrough(new DecompressionStream(encoding as CompressionFormat))
    : body.slice();
  return {
    type: headers.get("content-type") ?? "",
    body: new Uint8Array(await new Response(plain).arrayBuffer()),
  };
}
