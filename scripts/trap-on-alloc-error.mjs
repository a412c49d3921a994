// Makes an allocation that fails trap at once. The standard library writes a message first, with a number in it, for a panic handler
// that reads none (src/lib.rs): 0.3 KB of the module, which stable Rust has no other way to leave out. Nothing else in the core
// formats anything (clippy.toml), and what does would trap in every test.
// Usage: trap-on-alloc-error.mjs <in.wasm> <out.wasm>

import { readFileSync, writeFileSync } from "node:fs";
import binaryen from "binaryen";

const TRAPPING = ["__rdl_alloc_error_handler", "::fmt::Display>::fmt"];

const [input, output] = process.argv.slice(2);
const module = binaryen.readBinary(readFileSync(input));
for (const name of TRAPPING) {
  const found = Array.from({ length: module.getNumFunctions() }, (_, index) => module.getFunctionByIndex(index)).filter(
    (fn) => binaryen.getFunctionInfo(fn).name.endsWith(name),
  );
  if (found.length !== 1) throw new Error(`${input} has ${found.length} functions ${name}, not 1`);
  binaryen.Function.setBody(found[0], module.unreachable());
}
writeFileSync(output, module.emitBinary());
