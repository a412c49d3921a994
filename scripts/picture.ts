// The pictures behind scripts/picture.

import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { startUpstream } from "../examples/cloudflare-worker/upstream.js";
import { startCollector } from "../tests/support/collector.js";
import { startExample } from "../tests/support/example.js";
import { PYTHON, QUIET, startPython } from "../tests/support/python.js";
import { ROOT } from "../tests/support/worker.js";
import { startChromium } from "../tests/viewer/browser.js";
import { pageOf } from "./demo-process.js";

const SPANS = 9;
const PICTURES = join(ROOT, "docs/pictures");

const collector = await startCollector();
const upstream = await startUpstream();
const python = await startPython(collector.url, { mode: "track" });
const worker = await startExample(collector.url, upstream, {
  bindings: { RETRIEVER_URL: python.url, OPIK_SERVICE: "chat" },
});
const browser = await startChromium();
try {
  const env = {
    ...process.env,
    ...QUIET,
    OPIK_URL_OVERRIDE: collector.url,
    TARGET_URL: `${worker.url}/chat`,
    STREAM: "1",
  };
  await promisify(execFile)(PYTHON, ["client.py"], { cwd: join(ROOT, "tests/interop"), env });
  await collector.until(() => collector.store.list({ minSpans: SPANS, isDone: true }).traces.length > 0);
  const [trace] = collector.store.list({ minSpans: SPANS }).traces;
  const llm = collector.store.ofTrace(trace!.id).findLast(({ row }) => row["type"] === "llm")!;
  await mkdir(PICTURES, { recursive: true });
  for (const colorScheme of ["light", "dark"] as const) {
    const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 560 } });
    const page = await context.newPage();
    await page.goto(`${pageOf(collector)}#/trace/${trace!.id}/${encodeURIComponent(llm.key)}`);
    await page.locator(".bubble").first().waitFor();
    await page.screenshot({ path: join(PICTURES, `viewer-${colorScheme}.png`) });
  }
} finally {
  await browser.close();
  await worker.close();
  await python.close();
  await upstream.close();
  await collector.close();
}
