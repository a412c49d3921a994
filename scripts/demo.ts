// The demo behind scripts/demo: sends four kinds of request to a Worker, and prints their traces.

import { startUpstream } from "../examples/cloudflare-worker/upstream.js";
import { type Collector, startCollector } from "../tests/support/collector.js";
import { startExample } from "../tests/support/example.js";
import { pageOf, stayUp, variables } from "./demo-process.js";

const once = process.argv.includes("--once");
const real = process.env["OPIK_URL_OVERRIDE"];

const collector = real ? undefined : await startCollector(once ? {} : { port: 5173 }).catch(() => startCollector());
const opikUrl = real ?? collector!.url;
const upstream = await startUpstream();
const worker = await startExample(opikUrl, upstream, {
  port: once ? 0 : 8787,
  bindings: variables(),
  onLog: (line) => process.stderr.write(`${line}\n`),
});
console.log(`Opik      ${opikUrl}`);
console.log(`upstream  ${upstream.url}`);
console.log(`Worker    ${worker.url}\n`);

await show("a plain answer", async () => (await ask({ message: "What is a trace?", thread: "demo-1" })).text());
await show("a streamed answer", async () =>
  (await ask({ message: "What is a span?", thread: "demo-1", stream: true })).text(),
);
await show("a model that fails", async () => `HTTP ${(await ask({ message: "Please fail." })).status}`);
await show("a client that hangs up", async () => {
  const abort = new AbortController();
  const response = await ask({ message: "Talk forever.", stream: true }, abort.signal);
  await response.body!.getReader().read();
  abort.abort();
  return "(read one chunk, then closed the connection)";
});

if (once) {
  await stop();
  process.exit(0);
} else {
  console.log(`Ask it yourself:\n  curl -N ${worker.url}/chat -d '{"message":"What is a trace?","stream":true}'`);
  if (collector) console.log(`See all traces:\n  ${pageOf(collector)}\nCtrl-C ends it.`);
  stayUp(stop);
}

async function show(what: string, run: () => Promise<string>): Promise<void> {
  const before = new Set(collector?.traces().map(({ id }) => id));
  console.log(`── ${what}`);
  console.log((await run()).trimEnd());
  if (collector) console.log(`${await arrived(collector, before)}\n`);
}

/** The tree of the new trace. */
async function arrived(collector: Collector, before: ReadonlySet<string>): Promise<string> {
  const isNew = ({ id }: { id: string }) => !before.has(id);
  const hasSpans = (id: string) => collector.spans().some((span) => span.trace_id === id);
  await collector.until(() => collector.traces().some((trace) => isNew(trace) && hasSpans(trace.id)));
  return collector.tree(collector.traces().find(isNew)!.id);
}

function ask(body: { message: string; thread?: string; stream?: boolean }, signal?: AbortSignal): Promise<Response> {
  return fetch(`${worker.url}/chat`, { method: "POST", body: JSON.stringify(body), ...(signal && { signal }) });
}

async function stop(): Promise<void> {
  await worker.close();
  await upstream.close();
  await collector?.close();
}
