// `opik-edge/llm` records model calls automatically. Importing it does nothing; its module is loaded with the first model call.

import { type Names, tellUnknown } from "../names.js";
import { callObserver } from "../record/observed.js";
import type { CallObserver, ObservedCall } from "../settings.js";
import { followModelCall, isNamed, resolveOptions, targetOf } from "./model-call.js";
import type { LlmOptions } from "./options.js";
import { GATEWAY_HOST, PATH_PARTS, PATH_SUFFIXES } from "./paths.js";
import { bindingsIn, observeAi } from "./workers-ai.js";

export type { LlmOptions } from "./options.js";
export { type AiBinding, observeAi } from "./workers-ai.js";

const OPTIONS: Names<LlmOptions> = { providers: 0, includeUsage: 0 };

const made = new Map<string, CallObserver>();

/**
 * An observer of model calls, for the setting `observe`. It records a model call through a traced `fetch` as a span of type `llm`
 * with model, provider, messages, answer, usage, time to the first token and error. Under `withOpik` it also records calls of a
 * Workers AI binding. The same options give the same object, so you can call it wherever you build the settings.
 *
 * @example
 * ```ts
 * import { Opik } from "opik-edge";
 * import { llm } from "opik-edge/llm";
 *
 * const opik = new Opik({ observe: [llm()] });
 *
 * export async function ask(question: string) {
 *   const response = await opik.fetch("https://api.openai.com/v1/chat/completions", {
 *     method: "POST",
 *     headers: { authorization: `Bearer ${process.env["OPENAI_API_KEY"]}`, "content-type": "application/json" },
 *     body: JSON.stringify({ model: "gpt-4.1-mini", messages: [{ role: "user", content: question }] }),
 *   });
 *   return response.json();
 * }
 * ```
 */
export function llm(options: LlmOptions = {}): CallObserver {
  tellUnknown(undefined, options, "option of llm", OPTIONS);
  const resolved = resolveOptions(options);
  const key = JSON.stringify(resolved);
  let observer = made.get(key);
  if (!observer) {
    observer = {
      ...callObserver((call) => (mayBeModel(call, resolved.hosts) ? followModelCall(call, resolved) : undefined)),
      observeEnv: (env) => bindingsIn(env).forEach(observeAi),
    };
    made.set(key, observer);
  }
  return observer;
}

/** `true` if the call may be a model call. Cheap, so that a Worker without model calls never loads the reader. */
function mayBeModel({ method, url }: ObservedCall, hosts: readonly string[]): boolean {
  if (method !== "POST") return false;
  const { host, path } = targetOf(url);
  return (
    host === GATEWAY_HOST ||
    isNamed(host, hosts) ||
    PATH_SUFFIXES.some((suffix) => path.endsWith(suffix)) ||
    PATH_PARTS.some((part) => path.includes(part))
  );
}
