// Every client of a process, so that one flush can be of all of them: a server has its own, and so may each library in it. Nobody is
// kept by being here.

import type { Flushable } from "./model.js";
import { addCounts, emptyReport, type FlushReport } from "./report.js";

type Options = Parameters<Flushable["flush"]>[0];

const known = new Set<WeakRef<Flushable>>();
/** Made with the first. */
let gone: FinalizationRegistry<WeakRef<Flushable>> | undefined;

/** Has `client` be flushed with the others. */
export function addClient(client: object): void {
  const ref = new WeakRef(client as Flushable);
  known.add(ref);
  gone ??= new FinalizationRegistry((lost) => known.delete(lost));
  gone.register(client, ref);
}

/** Flushes all of them, and `own`; gives the sum of their reports, `undefined` where there is none of them. Never rejects. */
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
