// Everywhere else the module travels as text, which scripts/text-of-wasm.mjs writes. Importing this decodes and compiles
// nothing.

import { CORE_TEXT, DECODER } from "../../core_text.js";

let compiled: WebAssembly.Module | undefined;

/** The compiled module, made at the first call. Throws where that is refused, with the remedy. */
export function load(): WebAssembly.Module {
  compiled ??= compile(CORE_TEXT);
  return compiled;
}

/** The module of a text. */
export function compile(text: string): WebAssembly.Module {
  try {
    return new WebAssembly.Module(decode(text));
  } catch (cause) {
    // A bundle for Workers has this file when its bundler knows none of the conditions in package.json.
    const remedy =
      "WebSocketPair" in globalThis
        ? 'serverExternalPackages: ["opik-edge"] in Next, ssr: { external: ["opik-edge"] } in Vite, experimental: { wasm: true } in Nitro'
        : "script-src needs 'wasm-unsafe-eval'";
    throw new Error(remedy, { cause });
  }
}

/** The bytes of a module's text. By a module too: a loop in JavaScript, which runs for the first time here, takes 6 ms more. */
function decode(text: string): Uint8Array<ArrayBuffer> {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(DECODER)));
  const { memory, decode } = exports as { memory: WebAssembly.Memory; decode: (length: number) => number };
  const bytes = new Uint8Array(memory.buffer as ArrayBuffer);
  return bytes.subarray(0, decode(new TextEncoder().encodeInto(text, bytes).written));
}
