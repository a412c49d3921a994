// Ids as a page makes them, but with Node's SHA-256: for tests that post rows to a relay.

import { createHash, randomBytes } from "node:crypto";

/** A page, as a relay sees it. */
export interface PageIds {
  /** The page's secret, sent in the envelope of its uploads. */
  readonly secret: string;
  /** A new UUIDv7 for a time in ms since 1970 (default: now). */
  id(ms?: number): string;
}

/** A page with its own secret. */
export function pageIds(bytes: Uint8Array = randomBytes(32)): PageIds {
  let counter = 0;
  return {
    secret: Buffer.from(bytes).toString("base64url"),
    id(ms = Date.now()) {
      counter = (counter + 1) % 4096;
      const time = ms.toString(16).padStart(12, "0");
      return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, "0")}-${tail(bytes, counter)}`;
    },
  };
}

/** The last characters of an id with this secret and counter. */
export function tail(secret: Uint8Array, counter: number): string {
  const hash = createHash("sha256")
    .update(secret)
    .update(Buffer.from([counter >> 8, counter & 255]))
    .digest();
  const bits = (hash.readBigUInt64BE() >> 2n) | (1n << 63n);
  const text = bits.toString(16);
  return `${text.slice(0, 4)}-${text.slice(4)}`;
}
