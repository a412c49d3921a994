// `openai`, 6.

import type OpenAIClass from "openai";
import OpenAI from "openai-6";
import type { Sdk } from "../case.js";
import { openaiCases } from "./openai-cases.js";

export const openai6: Sdk = {
  spans: { provider: "openai" },
  cases: openaiCases(OpenAI as unknown as typeof OpenAIClass),
};
