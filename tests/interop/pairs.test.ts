// Pairs of caller and callee: what each makes of one request. They are the pairs of docs/guides/what-joins-what.md that no other
// test has.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Opik } from "opik-edge";
import { withOpik } from "opik-edge/node";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { PYTHON, type PythonServer, QUIET, startInstrumented, startPython } from "../support/python.js";
import { namesIn } from "../support/trees.js";
import { startTestUpstream } from "../support/upstream.js";
import { ROOT, startModules } from "../support/worker.js";

const HERE = join(ROOT, "tests/interop");

let collector: Collector;
/** With Opik's SDK. */
let tracked: PythonServer;
/** With OpenTelemetry and Opik's span processor. */
let instrumented: PythonServer;
/** With Opik's TypeScript SDK. */
let npm: { readonly url: string; close(): Promise<void> };
/** With opik-edge. */
let edge: Server;
/** A client of opik-edge. */
let opik: Opik;
before(async () => {
  collector = await startCollector();
  tracked = await startPython(collector.url);
  instrumented = await startInstrumented(collector.url, "Default Project");
  npm = await startNpm();
  const settings = { url: collector.url, propagation: ["opik", "w3c", "baggage"] as const };
  edge = createServer(withOpik((_request, response) => response.end("served"), settings));
  await new Promise<void>((resolve) => edge.listen(0, "127.0.0.1", resolve));
  opik = new Opik(settings);
});
after(() => closeAll(edge, npm, instrumented, tracked, collector));

const edgeUrl = (): string => `http://127.0.0.1:${(edge.address() as AddressInfo).port}/`;
const viaInstrumented = (next: string): string => `${instrumented.url}/ask?${new URLSearchParams({ next })}`;

const OF_OPIK = {
  "Opik's Python SDK": [PYTHON, "client.py"],
  "Opik's TypeScript SDK": [process.execPath, "client-npm.ts"],
};

for (const [name, [program, file]] of Object.entries(OF_OPIK)) {
  const ask = (url: () => string) => async () => {
    const env = { ...process.env, ...QUIET, OPIK_URL_OVERRIDE: collector.url, TARGET_URL: url() };
    const args = file!.endsWith(".ts") ? ["--import", "tsx", file!] : [file!];
    await promisify(execFile)(program!, args, { cwd: HERE, env });
  };

  joins(
    `${name} → Opik's Python SDK: one tree`,
    ask(() => `${tracked.url}/retrieve`),
    [["ask", "└─ ask", "   └─ search", "      └─ embed"]],
  );

  joins(
    `${name} → OpikSpanProcessor: one tree, where the callee calls attach_to_parent`,
    ask(() => `${instrumented.url}/attached`),
    [["ask", "└─ ask", "   └─ POST /attached", "      └─ rank documents"]],
  );

  joins(
    `${name} → OpikSpanProcessor: two traces without attach_to_parent`,
    ask(() => `${instrumented.url}/rank`),
    [
      ["POST /rank", "└─ POST /rank", "   └─ rank documents"],
      ["ask", "└─ ask"],
    ],
  );
}

/** Calls a URL in our own span. */
const askOurs =
  (url: () => string, client = () => opik) =>
  () =>
    client().span({ name: "ours" }, async (span) => {
      const response = await span.fetch(url(), { method: "POST", body: JSON.stringify({ query: "?" }) });
      assert.equal(response.status, 200, await response.text());
    });

const byDefault = (): Opik => new Opik({ url: collector.url });

joins(
  "opik-edge by default → OpikSpanProcessor: one tree, where the callee calls attach_to_parent",
  askOurs(() => `${instrumented.url}/attached`, byDefault),
  [["ours", "└─ ours", "   └─ POST HOST/attached", "      └─ POST /attached", "         └─ rank documents"]],
);

joins(
  "opik-edge by default → OpikSpanProcessor: two traces without attach_to_parent",
  askOurs(() => `${instrumented.url}/rank`, byDefault),
  [
    ["POST /rank", "└─ POST /rank", "   └─ rank documents"],
    ["ours", "└─ ours", "   └─ POST HOST/rank"],
  ],
);

joins(
  "opik-edge → Opik's TypeScript SDK: two traces, as it reads no headers",
  askOurs(() => npm.url),
  [
    ["ours", "└─ ours", "   └─ POST HOST/"],
    ["serve", "└─ serve"],
  ],
);

joins(
  "opik-edge → OpikSpanProcessor → opik-edge: one tree, both callees under the call",
  askOurs(() => viaInstrumented(edgeUrl())),
  [["ours", "└─ ours", "   └─ POST HOST/ask", "      ├─ POST /ask", "      │  └─ POST", "      └─ POST /"]],
);

joins(
  "opik-edge → OpikSpanProcessor → OpikSpanProcessor: one tree, both callees under the call",
  askOurs(() => viaInstrumented(`${instrumented.url}/rank`)),
  [
    [
      "ours",
      "└─ ours",
      "   └─ POST HOST/ask",
      "      ├─ POST /ask",
      "      │  └─ POST",
      "      └─ POST /rank",
      "         └─ rank documents",
    ],
  ],
);

joins(
  "opik-edge → OpenTelemetry → Opik's Python SDK: two traces, as it reads no W3C headers",
  askOurs(() => viaInstrumented(`${tracked.url}/retrieve`)),
  [
    ["ours", "└─ ours", "   └─ POST HOST/ask", "      └─ POST /ask", "         └─ POST"],
    ["search", "└─ search", "   └─ embed"],
  ],
);

joins(
  "opik-edge → Opik's Python SDK that is given the baggage: one tree",
  askOurs(() => `${instrumented.url}/tracked`),
  [["ours", "└─ ours", "   └─ POST HOST/tracked", "      ├─ POST /tracked", "      └─ recall"]],
);

test("a Worker without tracing passes no header of a trace on", async () => {
  const upstream = await startTestUpstream();
  const contents = "export default { fetch: (request, { NEXT }) => fetch(NEXT) };";
  const worker = await startModules([{ type: "ESModule", path: "/worker.js", contents }], {
    bindings: { NEXT: `${upstream.url}/echo` },
  });
  try {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const sent = {
      traceparent,
      tracestate: "a=b",
      baggage: "c=d",
      opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
    };
    const { headers } = (await (await fetch(worker.url, { headers: sent })).json()) as { headers: object };
    assert.deepEqual(
      Object.keys(sent).filter((name) => name in headers),
      [],
    );
  } finally {
    await closeAll(worker, upstream);
  }
});

const post = (url: () => string) => async () => {
  assert.equal((await fetch(url(), { method: "POST", body: "?" })).status, 200);
};

joins(
  "OpikSpanProcessor, where the trace begins → OpikSpanProcessor: one tree",
  post(() => viaInstrumented(`${instrumented.url}/rank`)),
  [["POST /ask", "└─ POST /ask", "   └─ POST", "      └─ POST /rank", "         └─ rank documents"]],
);

joins(
  "OpikSpanProcessor, where the trace begins → opik-edge: two traces",
  post(() => viaInstrumented(edgeUrl())),
  [
    ["POST /", "└─ POST /"],
    ["POST /ask", "└─ POST /ask", "   └─ POST"],
  ],
);

/** Declares a test: the traces that `run` causes, sorted. Hosts are HOST. */
function joins(title: string, run: () => Promise<void>, expected: readonly string[][]): void {
  test(title, async () => {
    const before = new Set(collector.traces().map(({ id }) => id));
    await run();
    const found = (): string[][] =>
      collector
        .traces()
        .filter(({ id }) => !before.has(id))
        .map(({ id }) => namesIn(collector.tree(id)).map((line) => line.replace(/127\.0\.0\.1:\d+/, "HOST")))
        .sort();
    const lines = expected.flat().length;
    await collector
      .until(() => found().length >= expected.length && found().flat().length >= lines, 30_000)
      .catch(() => {});
    assert.deepEqual(found(), expected);
  });
}

/** Starts the server with Opik's TypeScript SDK. */
async function startNpm(): Promise<{ url: string; close(): Promise<void> }> {
  const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", "server-npm.ts"], {
    cwd: HERE,
    env: { ...process.env, ...QUIET, OPIK_URL_OVERRIDE: collector.url },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout!, "data");
  return {
    url: `http://127.0.0.1:${Number(line)}/`,
    close: async () => {
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}
