// Makes a failing allocation trap at once. The standard library first formats a message with a number, for a panic handler that
// reads no message (src/lib.rs). That is 0.3 KB of the module, and stable Rust has no other way to leave it out. Nothing else in
// the core formats anything (clippy.toml); any code that did would trap in every test.
// Usage: trap-on-alloc-error.mjs <in.wasm> <out.wasm>

import { readFileSync, writeFileSync } from "node:fs";
import binaryen from "binaryen";

const TRAPPING = ["__rdl_alloc_error_handler", "::fmt::Display>::fmt", "raw_vec::handle_error"];
/** Texts of messages: beside them, where in the standard library an allocation failed. */
const TEXTS = /\/rustc\/\w+\/[\w./-]+\.rs|memory allocation of | bytes failed|capacity overflow/g;

const [input, output] = process.argv.slice(2);
const bytes = readFileSync(input);
for (const { 0: text, index } of bytes.toString("latin1").matchAll(TEXTS)) bytes.fill(0, index, index + text.length);
const module = binaryen.readBinary(bytes);
for (const name of TRAPPING) {
  const found = Array.from({ length: module.getNumFunctions() }, (_, index) => module.getFunctionByIndex(index)).filter(
    (fn) => binaryen.getFunctionInfo(fn).name.endsWith(name),
  );
  if (found.length !== 1) throw new Error(`${input} has ${found.length} functions ${name}, not 1`);
  binaryen.Function.setBody(found[0], module.unreachable());
}
writeFileSync(output, module.emitBinary());
