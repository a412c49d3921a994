// Vercel's edge runtime and Nitro (`unwasm`) compile WebAssembly at build time: importing `?module` returns a Module.

// @ts-expect-error -- TypeScript knows no WebAssembly modules; the bundler does
import wasm from "../../core_bg.wasm?module";

/** The compiled module. */
export function load(): WebAssembly.Module {
  return wasm as WebAssembly.Module;
}
