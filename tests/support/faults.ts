// Makes a backend fail on purpose, in every known way, for tests of delivery.

import type { ServerResponse } from "node:http";
import type { Intercept, Upload } from "../../viewer/src/server/server.js";

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
export interface FaultyRequest extends Upload {
  /** Counts uploads from 1. */
  readonly number: number;
  /**
   * Counts uploads to its path from 1. Uploads of traces and of spans are counted apart, because they overtake each
   * other.
   */
  readonly ofPath: number;
}

/** One fault for every upload, or chosen for each; `undefined` answers it properly. */
export type Faults = Fault | ((request: FaultyRequest) => Fault | undefined);

/** Fails uploads as `faults` says. */
export function failing(faults: Faults): Intercept {
  let uploads = 0;
  const uploadsTo = new Map<string, number>();
  return (upload, response, keep) => {
    uploads += 1;
    const ofPath = (uploadsTo.get(upload.path) ?? 0) + 1;
    uploadsTo.set(upload.path, ofPath);
    const fault = typeof faults === "function" ? faults({ ...upload, number: uploads, ofPath }) : faults;
    if (!fault) return undefined;
    if (keepsRows(fault)) keep();
    answerFault(response, fault);
    if (typeof fault === "string") return 0;
    return "status" in fault ? fault.status : 307;
  };
}

/** `true` if a request that fails this way is kept nevertheless. */
function keepsRows(fault: Fault): boolean {
  return fault === "reset after keeping" || (typeof fault === "object" && "status" in fault && fault.status < 300);
}

/** Answers as `fault` says. */
function answerFault(response: ServerResponse, fault: Fault): void {
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
