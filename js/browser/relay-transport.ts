// Sends a page's uploads to its relay (../relay/), as simple requests that need no preflight and may outlive the page.
// Learns the error of the page's clock from the answers.

import { selfContained } from "../deliver/upload.js";
import { now, TIMES } from "../platform/env.js";
import { platformFetch } from "../platform/host-fetch.js";
import type { RefusalCode } from "../relay/refusal.js";
import type { Transport, TransportRequest } from "../settings.js";

/**
 * Maximum size of the bodies that a page can send while it closes: browsers allow 64 KB in all with `keepalive` (Fetch
 * standard, "http-network-or-cache fetch").
 */
export const MAX_BODY_BYTES = 60_000;
/** Room for a token beside the body. */
const MAX_TOKEN_BYTES = 2500;

/** Total size of pending bodies that may outlive the page. */
let keptAliveBytes = 0;

/** A smaller difference between the clocks is ignored. */
const MIN_OFFSET_MS = 2000;

/** Refusals that a wrong clock causes, with their statuses. Only these and successful answers are read for the relay's time. */
const CLOCK_CODES: Partial<Record<RefusalCode, number>> = { clock_skew: 425, outside_token: 422 };

/** The transport to the relay at `url`. */
export function relayTransport(url: URL): Transport {
  let clockOffsetMs = 0;
  return {
    maxBodyBytes: MAX_BODY_BYTES,
    appendsOnly: true,
    get clockOffsetMs() {
      return clockOffsetMs;
    },
    async fetch(path: string, { body, signal, envelope }: TransportRequest): Promise<Response> {
      const { token, secret } = envelope ?? {};
      const enveloped = selfContained(path, body, { token, secret });
      const bytes = enveloped.byteLength;
      // Beyond the browser's quota a keepalive request fails at once, so this one ends with the page.
      const keepalive = keptAliveBytes + bytes <= MAX_BODY_BYTES + MAX_TOKEN_BYTES;
      if (keepalive) keptAliveBytes += bytes;
      const sentMs = now();
      let response: Response;
      try {
        response = await platformFetch(url, {
          method: "POST",
          headers: { "content-type": "text/plain;charset=UTF-8" },
          body: enveloped,
          signal,
          redirect: "manual",
          credentials: "same-origin",
          keepalive,
        });
      } finally {
        if (keepalive) keptAliveBytes -= bytes;
      }
      const relayMs = await readNow(response);
      // The relay's time is compared with the middle of the request.
      const offsetMs = relayMs === undefined ? clockOffsetMs : Math.round(relayMs - (sentMs + now()) / 2);
      clockOffsetMs = Math.abs(offsetMs) < MIN_OFFSET_MS ? 0 : offsetMs;
      return response;
    },
  };
}

/** The relay's time, if this is an answer of the relay with a plausible time. A proxy may answer anything. */
async function readNow(response: Response): Promise<number | undefined> {
  try {
    const { now: ms, code } = (await response.clone().json()) as { now?: unknown; code?: RefusalCode };
    const [least, most] = TIMES;
    const isRelays = response.status === (code ? CLOCK_CODES[code] : 200);
    return isRelays && typeof ms === "number" && ms >= least && ms <= most ? ms : undefined;
  } catch {
    return undefined; // not JSON
  }
}
