// The public surface of `opik-edge/cloudflare`.

export type { WaitUntil } from "./background-work.js";
export { withContext } from "./carried-context.js";
export type { OtherTrigger } from "./faces.js";
export type { WorkerConfig } from "./invocation.js";
export { deliverQueue, type QueueBatch, type QueueMessage, type QueueProducer, queueTransport } from "./queue.js";
export { type ReceivedMessage, tracedQueue, tracedRpc, traceMessage } from "./traced-bindings.js";
export type { Trust, TrustConfig } from "./trust.js";
export { type FetchTrigger, type Trigger, type WorkerClass, type WorkerHandler, withOpik } from "./with-opik.js";
