// As in ../../platform/wasm/edge-light.ts.

// @ts-expect-error -- TypeScript knows no WebAssembly modules; the bundler does
import wasm from "../llm_bg.wasm?module";

/** The compiled module. */
export function load(): WebAssembly.Module {
  return wasm as WebAssembly.Module;
}
