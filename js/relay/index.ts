// The public surface of `opik-edge/relay`.

export type { RefusalCode } from "./refusal.js";
export { type RateLimiter, type RelayConfig, relay } from "./relay.js";
export { signed } from "./signed.js";
export { type MintOptions, mintToken, type TokenSecret, type Tokens } from "./token.js";
