// All SDKs, by name.

import type { Sdk } from "../case.js";
import { aiSdk } from "./ai.js";
import { anthropic } from "./anthropic.js";
import { bedrock } from "./bedrock.js";
import { byFetch } from "./fetch.js";
import { aiGateway } from "./gateway.js";
import { google } from "./google.js";
import { groq } from "./groq.js";
import { mistral } from "./mistral.js";
import { ollama } from "./ollama.js";
import { openai } from "./openai.js";
import { openai6 } from "./openai-6.js";
import { openrouter } from "./openrouter.js";

export const SDKS: Readonly<Record<string, Sdk>> = {
  openai,
  "openai 6": openai6,
  "@anthropic-ai/sdk": anthropic,
  "@google/genai": google,
  "@mistralai/mistralai": mistral,
  "groq-sdk": groq,
  ollama,
  "@openrouter/sdk": openrouter,
  "@aws-sdk/client-bedrock-runtime": bedrock,
  ai: aiSdk,
  "ai-gateway-provider": aiGateway,
  fetch: byFetch,
};
