// What carries an upload: by default the platform's fetch; a service binding, a queue or a test's memory
// have the same one method.

/** Carries requests to Opik, as a service binding does (Cloudflare's `Fetcher`). */
export interface Transport {
  /** Answers like `fetch`: 2xx means that the rows are kept, every other status what it means in HTTP. */
  fetch(url: string, init: TransportRequest): Promise<Response>;
  /** The longest body that it takes, in bytes; at least 32768, by default 4 MB. Rows are cut to fit. */
  readonly maxBodyBytes?: number | undefined;
  /** Whether bodies of 1 MB and more are compressed (default: in Node, Deno and Bun, whose CPU time nobody counts). */
  readonly compress?: boolean | undefined;
  /** How far this clock is behind the receiver's, in ms, where that is known: traces begin at the receiver's time. */
  readonly clockOffsetMs?: number | undefined;
}

/** An upload as a request. */
export interface TransportRequest {
  /** `PUT` for scores. */
  readonly method: "POST" | "PUT";
  /** With the key in `authorization`. */
  readonly headers: [name: string, value: string][];
  /** `{"spans":[…]}`, `{"traces":[…]}` or `{"scores":[…]}`, gzip-compressed when the headers say so. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** For a page's relay: the token that the rows were recorded with. */
  readonly token?: string | undefined;
  /** A redirect is never followed: some runtimes carry `authorization` to another origin. */
  readonly redirect: "manual";
  /** Aborted when the attempt has taken too long. */
  readonly signal: AbortSignal;
}

/** `value` if it is a number: a service binding has every property one asks it for, as a method to be called. */
export function numberOr(value: unknown, preset: number): number {
  return typeof value === "number" ? value : preset;
}

/** Where a traced `fetch` keeps the one that it stands for. */
const ORIGINAL = Symbol.for("opik-edge/original-fetch");
type Fetch = typeof globalThis.fetch;

/** The `fetch` that `fetch` stands for: itself, where it is none of ours. */
export function originalOf(fetch: Fetch): Fetch {
  return (fetch as { [ORIGINAL]?: Fetch })[ORIGINAL] ?? fetch;
}

/** Notes that `traced` stands for `original`. */
export function markOriginal(traced: Fetch, original: Fetch): void {
  Object.defineProperty(traced, ORIGINAL, { value: original });
}

/** The platform's own `fetch`, also while a page's is traced. */
export const platformFetch: Fetch = (input, init) => {
  const fetch = originalOf(globalThis.fetch);
  return fetch(input, init);
};

/** The platform's fetch as a transport. */
export const fetchTransport: Transport = { fetch: (url, init) => platformFetch(url, init) };

/** The shortest body worth compressing: for less, time costs more than bytes (docs/adr/0010-what-is-compressed.md). */
const MIN_COMPRESSED_BYTES = 1024 * 1024;

/** Whether a body is compressed where that is wanted. */
export function isWorthCompressing(body: Uint8Array): boolean {
  return body.byteLength >= MIN_COMPRESSED_BYTES && typeof CompressionStream !== "undefined";
}

/** `body` in gzip, or as it is where the platform fails to. */
export async function gzip(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const stream = new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    return body;
  }
}
