// A relay that puts the rows of pages into a queue, and the consumer that delivers them.

import { deliverQueue, type QueueBatch, type QueueProducer, queueTransport } from "opik-edge/cloudflare";
import { relay } from "opik-edge/relay";

interface Env {
  ROWS: QueueProducer;
  OPIK_URL_OVERRIDE: string;
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const origins = ["https://app.test"];
    return relay({ url: "https://www.comet.com/opik/api", transport: queueTransport(env.ROWS), origins })(request);
  },
  async queue(batch: QueueBatch, env: Env): Promise<void> {
    await deliverQueue(batch, { env, apiKey: "the consumer's key", onError: () => {} });
  },
};
