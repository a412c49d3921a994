// The example Worker with everything it needs, for scripts/demo and the tests.

import type { Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { type RunningWorker, startWorker, type WorkerOptions, wranglerOptions } from "./worker.js";

/** Starts the example. Its model is `upstream`, and so is its retriever unless `options.bindings` names another. */
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
