// All other platforms get the module as text, which scripts/text-of-wasm.mjs writes. Importing this file does not decode or
// compile it.

import { CORE_TEXT, DECODER } from "../../core_text.js";

let compiled: WebAssembly.Module | undefined;

/** The compiled module, created by the first call. If compiling is refused, throws an error whose message is the remedy. */
export function load(): WebAssembly.Module {
  compiled ??= compile(CORE_TEXT);
  return compiled;
}

/** Compiles a module's text. */
export function compile(text: string): WebAssembly.Module {
  try {
    return new WebAssembly.Module(decode(text));
  } catch (cause) {
    // A Worker's bundle contains this file if its bundler knows none of the conditions in package.json.
    const remedy =
      "WebSocketPair" in globalThis
        ? 'serverExternalPackages: ["opik-edge"] and next build --webpack in Next, ssr: { external: ["opik-edge"] } in Vite, experimental: { wasm: true } in Nitro'
        : "script-src needs 'wasm-unsafe-eval'";
    throw new Error(remedy, { cause });
  }
}

/** Decodes a module's text. The decoder is a WebAssembly module too: a cold JavaScript loop would take 6 ms longer. */
function decode(text: string): Uint8Array<ArrayBuffer> {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(DECODER)));
  const { memory, decode } = exports as { memory: WebAssembly.Memory; decode: (length: number) => number };
  const bytes = new Uint8Array(memory.buffer as ArrayBuffer);
  return bytes.subarray(0, decode(new TextEncoder().encodeInto(text, bytes).written));
}
