// What carries an upload: by default the platform's fetch; a service binding, a queue or a test's memory
// have the same one method.

import { builtin } from "../platform/env.js";
import { platformFetch } from "../platform/host-fetch.js";
import type { Transport } from "../settings.js";

/** `value` if it is a finite number: a service binding has every property one asks it for, as a method to be called. */
export function numberOr(value: unknown, preset: number): number {
  return Number.isFinite(value) ? (value as number) : preset;
}

/** The platform's fetch as a transport. */
export const fetchTransport: Transport = { fetch: (url, init) => platformFetch(url, init) };

/** The shortest body worth compressing: for less, time costs more than bytes (docs/adr/0010-what-is-compressed.md). */
const MIN_COMPRESSED_BYTES = 1024 * 1024;
/** Of zlib, whose default of 6 takes four times as long for a seventh fewer bytes (docs/adr/0010-what-is-compressed.md). */
const LEVEL = 4;

interface Zlib {
  gzip(body: Uint8Array, options: { level: number }, done: (error: unknown, body: Uint8Array) => void): void;
}

/** Whether a body is compressed where that is wanted. */
export function isWorthCompressing(body: Uint8Array): boolean {
  return body.byteLength >= MIN_COMPRESSED_BYTES && typeof CompressionStream !== "undefined";
}

/** `body` in gzip, or as it is where the platform fails to. */
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
