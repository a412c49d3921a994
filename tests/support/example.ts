// The example Worker with all it needs, for scripts/demo and the tests.

import type { Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { type RunningWorker, startWorker, type WorkerOptions, wranglerOptions } from "./worker.js";

/** Starts it: its model is `upstream`, and its retriever too unless `options.bindings` name another. */
export async function startExample(
  opikUrl: string,
  upstream: Upstream,
  options: WorkerOptions = {},
): Promise<RunningWorker> {
  return startWorker("examples/cloudflare-worker/src/index.ts", {
    ...(await wranglerOptions("examples/cloudflare-worker")),
    ...options,
    bindings: {
      LLM_URL: `${upstream.url}/v1`,
      LLM_API_KEY: "do-not-record-me",
      LLM_MODEL: "demo-model",
      RETRIEVER_URL: upstream.url,
      OPIK_URL_OVERRIDE: opikUrl,
      ...options.bindings,
    },
  });
}
