// The telemetry and the tracer have the types that each version of the AI SDK takes. Only compiled.

import { generateText, type LanguageModel, registerTelemetry, type Telemetry } from "ai";
import { generateText as generateText5, type LanguageModel as LanguageModel5 } from "ai-5";
import { generateText as generateText6, type LanguageModel as LanguageModel6 } from "ai-6";
import { opikTelemetry, opikTracer } from "opik-edge/ai-sdk";

declare const model: LanguageModel;
declare const model6: LanguageModel6;
declare const model5: LanguageModel5;

const telemetry: Telemetry = opikTelemetry();
registerTelemetry(telemetry, opikTelemetry({ parent: null }));
void generateText({ model, prompt: "Hi", telemetry: { integrations: [opikTelemetry()] } });

const experimental_telemetry = { isEnabled: true, tracer: opikTracer() };
void generateText6({ model: model6, prompt: "Hi", experimental_telemetry });
void generateText5({ model: model5, prompt: "Hi", experimental_telemetry });
