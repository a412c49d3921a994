// As in ../../platform/wasm/inline.ts.

import { decode } from "../../platform/wasm/inline.js";
import { LLM_TEXT } from "../llm_text.js";

let compiled: WebAssembly.Module | undefined;

/** The compiled module, made at the first call. */
export function load(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(decode(LLM_TEXT));
  return compiled;
}
