// The public surface of `opik-edge/relay`.

export type { RefusalCode } from "./refusal.js";
export { type RateLimiter, type RelayConfig, type RelayTokens, relay } from "./relay.js";
export { type MintOptions, mintToken, type TokenSecret } from "./token.js";
