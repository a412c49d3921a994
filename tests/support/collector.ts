// The collector as the tests use it: it keeps every request, and may fail on purpose.

import * as viewer from "../../viewer/src/server/server.js";
import { type Faults, failing } from "./faults.js";

export type { Collector, SeenRequest } from "../../viewer/src/server/server.js";
export type { StoredRow, StoredScore } from "../../viewer/src/server/store.js";

/** How to run it. */
export interface CollectorOptions extends viewer.CollectorOptions {
  /** Fails uploads, all or some of them. */
  readonly fault?: Faults;
}

/** Starts it. */
export function startCollector({ fault, ...options }: CollectorOptions = {}): Promise<viewer.Collector> {
  return viewer.startCollector({ keepsRequests: true, ...options, ...(fault && { intercept: failing(fault) }) });
}
