// The public surface of `opik-edge/cloudflare`.

export { type FetchTrigger, type Trigger, type WaitUntil, type WorkerHandler, withOpik } from "./with-opik.js";
