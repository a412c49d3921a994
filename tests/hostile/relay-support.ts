// A relay with hostile pages: requests to it, and the rows that it forwards.

import type { Transport } from "opik-edge";
import { type RelayConfig, relay } from "opik-edge/relay";

/** The origin that may write. */
export const ORIGIN = "https://app.test";
/** A time on which no test depends. */
export const NOW = Date.parse("2026-06-01T12:00:00.000Z");

/** A forwarded request. */
export interface Forwarded {
  readonly path: string;
  readonly body: string;
}

/** Keeps the forwarded requests. */
export class Upstream implements Transport {
  readonly compress = false;
  readonly requests: Forwarded[] = [];
  /** Status of the answers. */
  status = 204;

  async fetch(url: string, { body }: { readonly body: Uint8Array }): Promise<Response> {
    this.requests.push({ path: new URL(url).pathname, body: new TextDecoder().decode(body) });
    return new Response(null, { status: this.status });
  }
}

/** A relay in front of `upstream`, which reports nothing. */
export function relayTo(upstream: Transport, more: Partial<RelayConfig> = {}): (request: Request) => Promise<Response> {
  const config = { url: "http://opik.test/api", projectName: "pages", origins: [ORIGIN] };
  return relay({ ...config, transport: upstream, onError: () => {}, ...more });
}

/** A page's post. */
export function post(body: BodyInit, headers: Record<string, string> = {}): Request {
  const given = { origin: ORIGIN, "content-type": "text/plain", ...headers };
  return new Request("http://relay.test/opik", { method: "POST", headers: given, body });
}

let counter = 0;
/** A UUIDv7 of the given time. */
export function idOf(ms: number): string {
  const time = ms.toString(16).padStart(12, "0");
  counter += 1;
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${counter.toString(16).padStart(12, "0")}`;
}

/** A span as a page may write it. */
export function spanOf(ms: number, more: object = {}): Record<string, unknown> {
  const id = idOf(ms);
  return { id, trace_id: idOf(ms), name: "click", type: "general", start_time: new Date(ms).toISOString(), ...more };
}

/** A trace as a page may write it. */
export function traceOf(ms: number, more: object = {}): Record<string, unknown> {
  return { id: idOf(ms), name: "page", start_time: new Date(ms).toISOString(), ...more };
}
