// The public surface of `opik-edge/cloudflare`.

export type { WaitUntil } from "./background-work.js";
export { deliverQueue, type QueueBatch, type QueueMessage, type QueueProducer, queueTransport } from "./queue.js";
export type { Trust, TrustConfig } from "./trust.js";
export { type FetchTrigger, type Trigger, type WorkerConfig, type WorkerHandler, withOpik } from "./with-opik.js";
