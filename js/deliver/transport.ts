// Transports of uploads. The default is the platform's fetch; a service binding, a queue or a test's memory has the same
// single method.

import { builtin } from "../platform/env.js";
import { platformFetch } from "../platform/host-fetch.js";
import type { Transport } from "../settings.js";

/** `value` if it is a finite number, otherwise `preset`. A service binding returns a method for every property that is read. */
export function numberOr(value: unknown, preset: number): number {
  return Number.isFinite(value) ? (value as number) : preset;
}

/** The platform's fetch as a transport. */
export const fetchTransport: Transport = { fetch: (url, init) => platformFetch(url, init) };

/**
 * The shortest body worth compressing. Compressing a shorter one costs more time than its bytes are worth
 * (docs/adr/0010-what-is-compressed.md).
 */
const MIN_COMPRESSED_BYTES = 1024 * 1024;
/**
 * Level for zlib. Its default of 6 takes four times as long and saves only a seventh of the bytes
 * (docs/adr/0010-what-is-compressed.md).
 */
const LEVEL = 4;

interface Zlib {
  gzip(body: Uint8Array, options: { level: number }, done: (error: unknown, body: Uint8Array) => void): void;
}

/** `true` if `body` should be compressed where the destination takes gzip. */
export function isWorthCompressing(body: Uint8Array): boolean {
  return body.byteLength >= MIN_COMPRESSED_BYTES && typeof CompressionStream !== "undefined";
}

/** `body` compressed with gzip, or unchanged if the platform fails to compress it. */
export async function gzip(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const zlib = builtin<Zlib>("node:zlib");
    const compressed = zlib
      ? await new Promise<BlobPart>((resolve, reject) => {
          zlib.gzip(body, { level: LEVEL }, (error, found) => (error ? reject(error) : resolve(found as BlobPart)));
        })
      : new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(compressed).arrayBuffer());
  } catch {
    return body;
  }
}
