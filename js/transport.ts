// What carries an upload: by default the platform's fetch; a service binding, a queue or a test's memory
// have the same one method.

/** Carries requests to Opik, as a service binding does (Cloudflare's `Fetcher`). */
export interface Transport {
  /** Answers like `fetch`: 2xx means that the rows are kept, every other status what it means in HTTP. */
  fetch(url: string, init: TransportRequest): Promise<Response>;
  /** The longest body that it takes, in bytes; at least 65536, by default 4 MB. Rows are cut to fit. */
  readonly maxBodyBytes?: number | undefined;
  /** `false` where bodies should stay readable: they are then not compressed. */
  readonly compress?: boolean | undefined;
}

/** An upload as a request. */
export interface TransportRequest {
  readonly method: "POST";
  /** With the key in `authorization`. */
  readonly headers: [name: string, value: string][];
  /** `{"spans":[…]}` or `{"traces":[…]}`, gzip-compressed when the headers say so. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** A redirect is never followed: some runtimes carry `authorization` to another origin. */
  readonly redirect: "manual";
  /** Aborted when the attempt has taken too long. */
  readonly signal: AbortSignal;
}

/** The platform's fetch. */
export const fetchTransport: Transport = { fetch: (url, init) => globalThis.fetch(url, init) };

/** The shortest body worth compressing: what fits into one packet gains nothing. */
const MIN_COMPRESSED_BYTES = 1400;

/** `body` in gzip; `undefined` where it is too short, or the platform can not. */
export async function gzip(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body.byteLength < MIN_COMPRESSED_BYTES || typeof CompressionStream === "undefined") return undefined;
  try {
    const stream = new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    return undefined;
  }
}
