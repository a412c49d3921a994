// Everywhere else the module travels as text, which scripts/text-of-wasm.mjs writes. Importing this decodes and compiles
// nothing.

import { CORE_BYTES, CORE_TEXT } from "../../core_text.js";

/** Bytes below this are one character, the others two. */
const DIRECT = 90;

let module: WebAssembly.Module | undefined;

/** The compiled module, made at the first call. */
export function load(): WebAssembly.Module {
  module ??= new WebAssembly.Module(decode());
  return module;
}

function decode(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CORE_BYTES);
  let next = 0;
  for (let at = 0; at < CORE_BYTES; at += 1) {
    const value = valueAt(next++);
    bytes[at] = value < DIRECT ? value : DIRECT + (value - DIRECT) * DIRECT + valueAt(next++);
  }
  return bytes;
}

/** The alphabet is what ASCII prints, without `"`, `<` and `\`. */
function valueAt(index: number): number {
  const code = CORE_TEXT.charCodeAt(index);
  return code - 0x20 - Number(code > 0x22) - Number(code > 0x3c) - Number(code > 0x5c);
}
