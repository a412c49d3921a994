// Makes a backend fail on purpose, in every known way, for tests of delivery.

import type { IncomingHttpHeaders, ServerResponse } from "node:http";

/** One way to fail an upload. */
export type Fault =
  /** Answers so, `afterMs` later. With a 2xx status the rows are kept. */
  | {
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
      readonly afterMs?: number;
      /** Sends the head and the beginning of a body, or nothing of it, and then no more; or breaks off. */
      readonly next?: "endless" | "silent" | "reset";
    }
  /** Sends the client elsewhere. */
  | { readonly redirect: string }
  /** Never answers. */
  | "hang"
  /** Breaks the connection off before it answers. */
  | "reset"
  /** The same, after it has kept the rows. The client cannot tell the two apart. */
  | "reset after keeping";

/** An upload, as a fault may look at it. */
export interface FaultyRequest {
  /** Counts uploads from 1. */
  readonly number: number;
  readonly path: string;
  /**
   * Counts uploads to its path from 1. Uploads of traces and of spans are counted apart, because they overtake each
   * other.
   */
  readonly ofPath: number;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of the body as it came. */
  readonly bytes: number;
  /** The decoded body. */
  readonly body: string;
}

/** One fault for every upload, or chosen for each; `undefined` answers it properly. */
export type Faults = Fault | ((request: FaultyRequest) => Fault | undefined);

/** `true` if a request that fails this way is kept nevertheless. */
export function keepsRows(fault: Fault): boolean {
  return fault === "reset after keeping" || (typeof fault === "object" && "status" in fault && fault.status < 300);
}

/** Answers as `fault` says. */
export function answerFault(response: ServerResponse, fault: Fault): void {
  if (fault === "hang") return;
  if (typeof fault === "string") {
    response.socket?.resetAndDestroy();
    return;
  }
  if ("redirect" in fault) {
    response.writeHead(307, { location: fault.redirect }).end();
    return;
  }
  const { status, headers, body, afterMs = 0, next } = fault;
  setTimeout(() => {
    if (next === undefined) {
      response.writeHead(status, headers).end(status === 204 ? undefined : (body ?? '{"message":"as asked for"}'));
      return;
    }
    response.writeHead(status, { ...headers, "content-length": "1000000" });
    if (next === "silent") response.flushHeaders();
    else response.write("{");
    if (next === "reset") setImmediate(() => response.socket?.resetAndDestroy());
  }, afterMs);
}
