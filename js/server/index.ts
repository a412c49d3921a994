// The public surface of `opik-edge/server`.

export type { FetchTrigger, KnownConfig, OnlyNames, ServerConfig, ServerConfigFor } from "./invocation.js";
export type { Trust, TrustConfig } from "./trust.js";
export { type RequestHandler, withOpik } from "./with-opik.js";
