// As in ../../platform/wasm/inline.ts.

import { compile } from "../../platform/wasm/inline.js";
import { LLM_TEXT } from "../llm_text.js";

let compiled: WebAssembly.Module | undefined;

/** The compiled module, made at the first call. Throws where that is refused, with the remedy. */
export function load(): WebAssembly.Module {
  compiled ??= compile(LLM_TEXT);
  return compiled;
}
