// The same, recorded by `opik-edge/llm`.

import { llm } from "opik-edge/llm";
import { modelContender } from "./model-passed.js";

export const contender = modelContender([llm()]);
