// The public surface of `opik-edge/cloudflare`.

export type { WaitUntil } from "../server/background-work.js";
export type { FetchTrigger, KnownConfig, OnlyNames, ServerConfig, ServerConfigFor } from "../server/invocation.js";
export type { Trust, TrustConfig } from "../server/trust.js";
export { withContext } from "./carried-context.js";
export type { WorkerConfig } from "./native.js";
export { deliverQueue, type QueueBatch, type QueueMessage, type QueueProducer, queueTransport } from "./queue.js";
export { type ReceivedMessage, type TracedRpc, tracedQueue, tracedRpc, traceMessage } from "./traced-bindings.js";
export type { OtherTrigger } from "./triggers.js";
export { type Trigger, type WorkerClass, type WorkerHandler, withOpik } from "./with-opik.js";
