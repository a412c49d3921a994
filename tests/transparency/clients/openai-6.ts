// `openai`, 6.

import type OpenAIClass from "openai";
import OpenAI from "openai-6";
import type { Cases } from "./case.js";
import { openaiCases } from "./openai-cases.js";

export const cases: Cases = openaiCases(OpenAI as unknown as typeof OpenAIClass);
