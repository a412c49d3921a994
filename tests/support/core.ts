// Parts of the package that no entry gives. They are those of the package in pkg/, so that its clients see what a test does with
// them; nothing declares the types of that file, which are those of the compiled ones.

import type * as core from "../../target/tsc/platform/core.js";
import type * as env from "../../target/tsc/platform/env.js";
import type * as json from "../../target/tsc/record/json.js";

type Shared = Pick<typeof env, "environment"> & Pick<typeof core, "replaceCore"> & Pick<typeof json, "JsonText">;

export const { environment, JsonText, replaceCore }: Shared = await import(
  new URL("../../pkg/core.js", import.meta.url).href
);
