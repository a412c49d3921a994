// `openai`, 7.

import OpenAI from "openai";
import type { Cases } from "./case.js";
import { openaiCases } from "./openai-cases.js";

export const cases: Cases = openaiCases(OpenAI);
