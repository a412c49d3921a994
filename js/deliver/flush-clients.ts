// Every client of a process, so that one flush can include them all: a server has its own, and each library in it may have
// another. The list holds clients only weakly.

import type { Flushable } from "./model.js";
import { addCounts, emptyReport, type FlushReport } from "./report.js";

type Options = Parameters<Flushable["flush"]>[0];

const known = new Set<WeakRef<Flushable>>();
/** Created with the first client. */
let gone: FinalizationRegistry<WeakRef<Flushable>> | undefined;

/** Adds `client` to the clients that are flushed together. */
export function addClient(client: object): void {
  const ref = new WeakRef(client as Flushable);
  known.add(ref);
  gone ??= new FinalizationRegistry((lost) => known.delete(lost));
  gone.register(client, ref);
}

/** Flushes all clients and `own`. Returns the sum of their reports, or `undefined` if there is no client. Never rejects. */
export function flushClients(options?: Options, own?: Flushable): Promise<FlushReport> | undefined {
  const clients = new Set([own, ...[...known].map((ref) => ref.deref())]);
  clients.delete(undefined);
  return clients.size > 0 ? flushEach(clients as Set<Flushable>, options) : undefined;
}

async function flushEach(clients: Set<Flushable>, options: Options): Promise<FlushReport> {
  const sum = emptyReport();
  for (const report of await Promise.all([...clients].map((client) => client.flush(options)))) {
    for (const name of ["sent", "kept", "open", "retried", "checkpoints", "requests", "bytes"] as const) {
      sum[name] += report[name];
    }
    addCounts(sum.dropped, report.dropped);
    sum.errors.push(...report.errors);
  }
  return sum;
}
