// A page, two Workers, a Node service with OpenTelemetry, two Python services and a model, each with its own way of tracing. For
// scripts/demo and the tests.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { closeAll } from "./closing.js";
import type { Collector } from "./collector.js";
import { startInstrumented, startPython } from "./python.js";
import { ROOT, startWorker } from "./worker.js";

const HERE = join(ROOT, "tests/models/joined");

/** Everything, running. */
export interface Joined {
  /** URL of the page. Its function `ask` asks a question, and resolves to the id of the trace. */
  readonly url: string;
  readonly hosts: { readonly worker: string; readonly node: string; readonly python: string; readonly model: string };
  /** The collector of the Node service. */
  readonly elsewhere: OtlpCollector;
  readonly model: Upstream;
  close(): Promise<void>;
}

/** The number of spans that a question causes. */
const SPANS = 17;

/** Asks in the page. Returns the page, the id of its trace once everything has arrived, and the headers of its call. */
export async function askInPage(
  browser: Browser,
  { url }: Joined,
  collector: Collector,
): Promise<{ page: Page; trace: string; headers: Record<string, string> }> {
  const before = collector.spans().length;
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  let headers: Record<string, string> = {};
  page.on("request", (request) => {
    if (request.url() === `${url}/chat`) headers = request.headers();
  });
  await page.goto(url);
  const trace = await page.evaluate(() =>
    (globalThis as unknown as { ask(question: string): Promise<string> }).ask("What is a trace?"),
  );
  await collector.until(() => {
    const rows = [...collector.spans(), ...collector.traces()];
    const isWhole = collector.spans().length === before + SPANS && rows.some(({ id }) => id === trace);
    return isWhole && rows.every((row) => row["end_time"]);
  });
  return { page, trace, headers };
}

/** Starts everything, to send to the Opik at `opikUrl`. */
export async function startJoined(opikUrl: string): Promise<Joined> {
  const opened: ({ close(): unknown } | undefined)[] = [];
  const opening = <T extends { close(): unknown }>(one: T): T => {
    opened.unshift(one);
    return one;
  };
  const close = (): Promise<void> => closeAll(...opened);
  try {
    const elsewhere = opening(await startOtlpCollector());
    const model = opening(await startUpstream());
    // With several workers, the SDK's row of a begun span may arrive after that of the ended span, and replace it.
    const env = { OPIK_PROJECT_NAME: "joined", OPIK_BACKGROUND_WORKERS: "1" };
    const tracked = opening(await startPython(opikUrl, { env }));
    const instrumented = opening(await startInstrumented(opikUrl, "joined"));
    const bindings = { OPIK_URL_OVERRIDE: opikUrl };
    const worker2 = opening(
      await startWorker("tests/models/joined/worker-2.ts", {
        bindings: { ...bindings, MODEL_URL: `${model.url}/v1` },
        compatibilityFlags: ["nodejs_compat"],
      }),
    );
    const node = opening(
      await startNode({
        RANK_URL: `${instrumented.url}/rank`,
        ANSWER_URL: worker2.url,
        OTEL_EXPORTER_OTLP_ENDPOINT: elsewhere.url,
      }),
    );
    const worker = opening(
      await startWorker("tests/models/joined/worker.ts", {
        bindings: {
          ...bindings,
          PAGE_JS: await bundlePage(),
          NODE_URL: node.url,
          RETRIEVER_URL: tracked.url,
        },
      }),
    );
    const [host, nodeHost, python, modelHost] = [worker, node, tracked, model].map(({ url }) => new URL(url).host);
    const hosts = { worker: host!, node: nodeHost!, python: python!, model: modelHost! };
    return { url: worker.url, hosts, elsewhere, model, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A running Node service. */
interface NodeService {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the Node service with OpenTelemetry. */
async function startNode(env: Record<string, string>): Promise<NodeService> {
  const child: ChildProcess = spawn(process.execPath, ["--import", "./telemetry.mjs", "service.mjs"], {
    cwd: HERE,
    env: {
      ...process.env,
      ...env,
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_METRICS_EXPORTER: "none",
      OTEL_LOGS_EXPORTER: "none",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_SERVICE_NAME: "answers",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const port = once(child.stdout!, "data").then(([line]) => Number(line));
  const failed = ended.then(([code]) => Promise.reject(new Error(`the Node service has ended with ${code}`)));
  failed.catch(() => {});
  return {
    url: `http://127.0.0.1:${await Promise.race([port, failed])}`,
    close: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** A span in OTLP/JSON. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

/** A collector that is not Opik's. */
export interface OtlpCollector {
  readonly url: string;
  readonly spans: readonly OtlpSpan[];
  /** Resolves once `condition` holds. */
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** Starts a collector of OTLP/JSON. */
async function startOtlpCollector(): Promise<OtlpCollector> {
  const spans: OtlpSpan[] = [];
  const watchers = new Watchers();
  const server = createServer(async (request, response) => {
    const { resourceSpans } = (await json(request)) as {
      resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[];
    };
    for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
    response.setHeader("content-type", "application/json").end("{}");
    watchers.notify();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    until: (condition) => watchers.until(condition, () => JSON.stringify(spans)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bundlePage(): Promise<string> {
  const result = await build({
    entryPoints: [join(HERE, "page.ts")],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // The package under test.
    alias: { "opik-edge": join(ROOT, "pkg/index.js") },
  });
  return result.outputFiles[0]!.text;
}
