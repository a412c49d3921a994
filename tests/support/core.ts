// Internal parts that no entry exports. They come from the package in pkg/, so that its clients see changes that a test
// makes to them. pkg/core.js has no type declarations, so the types come from the compiled modules.

import type * as core from "../../target/tsc/platform/core.js";
import type * as env from "../../target/tsc/platform/env.js";
import type * as json from "../../target/tsc/record/json.js";

type Shared = Pick<typeof env, "environment"> & Pick<typeof core, "replaceCore"> & Pick<typeof json, "JsonText">;

export const { environment, JsonText, replaceCore }: Shared = await import(
  new URL("../../pkg/core.js", import.meta.url).href
);

/** Runs `fn` where WebAssembly is blocked and no core is left. */
export async function withoutCore(fn: () => Promise<void>): Promise<void> {
  replaceCore();
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class {
    constructor() {
      throw new WebAssembly.CompileError("blocked");
    }
  } as never;
  try {
    await fn();
  } finally {
    WebAssembly.Instance = Instance;
  }
}
