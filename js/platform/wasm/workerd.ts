// Cloudflare Workers compile WebAssembly at deployment: the import returns a Module. wrangler recognises it by the file
// extension.

// @ts-expect-error -- TypeScript knows no WebAssembly modules; the bundler does
import wasm from "../../core_bg.wasm";

/** The compiled module. */
export function load(): WebAssembly.Module {
  return wasm as WebAssembly.Module;
}
