// The second Worker: it asks the model by AI SDK 7, then by AI SDK 6.

import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import { generateText as generateText6 } from "ai-6";
import { createOpenAI as createOpenAI6 } from "ai-6-openai";
import { fetch } from "opik-edge";
import { opikTelemetry, opikTracer } from "opik-edge/ai-sdk";
import { withOpik } from "opik-edge/cloudflare";

interface Env {
  MODEL_URL: string;
}

export default withOpik(
  {
    async fetch(request: Request, env: Env, _ctx: unknown): Promise<Response> {
      const prompt = await request.text();
      const settings = { apiKey: "sk-test", baseURL: env.MODEL_URL, fetch: fetch as typeof globalThis.fetch };
      const by7 = await generateText({
        model: createOpenAI(settings).chat("demo-model"),
        prompt,
        telemetry: { integrations: [opikTelemetry()], functionId: "by AI SDK 7" },
      });
      const by6 = await generateText6({
        model: createOpenAI6(settings).chat("demo-model"),
        prompt,
        experimental_telemetry: { isEnabled: true, tracer: opikTracer(), functionId: "by AI SDK 6" },
      });
      return Response.json([by7.text, by6.text]);
    },
  },
  () => ({ projectName: "joined", service: "writer", propagation: ["opik", "w3c"] }),
);
