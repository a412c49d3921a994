// Sends spans to a viewer whose file lies in FOLDER until the disk is full, makes room, and sends one more. Prints the
// statuses of the answers, and the number of kept spans.

import { unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startCollector } from "../support/collector.js";
import { idAt, send } from "./sample.js";

const [folder = ""] = process.argv.slice(2);
const ballast = join(folder, "ballast");
await writeFile(ballast, new Uint8Array(700_000));
const collector = await startCollector({ file: join(folder, "traces.db") });
const start = Date.now();
const sendOne = (n: number) => {
  const id = idAt(start, n);
  const times = { start_time: new Date(start).toISOString(), end_time: new Date(start).toISOString() };
  const input = { text: "x".repeat(100_000) };
  return send(collector, "node", "spans/batch", { spans: [{ id, trace_id: id, name: `span ${n}`, input, ...times }] });
};
const kept: number[] = [];
const refused: number[] = [];
for (let n = 1; refused.length < 3; n += 1) {
  const status = await sendOne(n);
  if (status === 204) kept.push(n);
  else refused.push(status);
}
const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "00f067aa0ba902b7", name: "x".repeat(100_000) };
const { status: otlp } = await fetch(`${collector.url}/v1/private/otel/v1/traces`, {
  method: "POST",
  body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ ...span, startTimeUnixNano: start * 1e6 }] }] }] }),
  headers: { "content-type": "application/json" },
});
const { spans } = collector.store.held();
const found = collector.spans().length;
const { refusals } = (await (await fetch(`${collector.url}/viewer/refusals`)).json()) as {
  refusals: { fix: string }[];
};
await unlink(ballast);
const afterwards = await sendOne(kept.length + 10);
console.log(JSON.stringify({ kept: kept.length, spans, found, refused, otlp, fix: refusals[0]!.fix, afterwards }));
await collector.close();
