// Runs each case with each version of the AI SDK, with telemetry and without. tests/models/ai-sdk.test.ts checks the recorded rows.

import { createOpenAI as createOpenAI7 } from "@ai-sdk/openai";
import * as ai7 from "ai";
import * as ai5 from "ai-5";
import { createOpenAI as createOpenAI5 } from "ai-5-openai";
import * as ai6 from "ai-6";
import { createOpenAI as createOpenAI6 } from "ai-6-openai";
import { getTrackContext, Opik, type OpikConfig, type Span, fetch as tracedFetch } from "opik-edge";
import { opikTelemetry, opikTracer } from "opik-edge/ai-sdk";
import { llm } from "opik-edge/llm";
import { KEY } from "../case.js";
import { shown } from "../harness.js";
import { type Job, MODES, type Mode, type Run, type Sdk, VERSIONS, type Version } from "./case.js";
import { CASES } from "./cases.js";

const SDKS = {
  7: { ai: ai7, createOpenAI: createOpenAI7 },
  6: { ai: ai6, createOpenAI: createOpenAI6 },
  5: { ai: ai5, createOpenAI: createOpenAI5 },
};

/** The platform's `fetch`. Bound, because workerd refuses calls to it as a method of another object. */
const untraced = globalThis.fetch.bind(globalThis);

/** The settings of the traced runs. */
export const settingsOf = (job: Job): OpikConfig => ({
  url: job.collector,
  projectName: "ai-sdk",
  observe: [llm()],
  onError({ code, message, cause }) {
    if (code !== "no_async_context") console.error(`opik-edge: ${code}: ${message}`, cause ?? "");
  },
});

/** Runs all cases. */
export async function runAll(job: Job): Promise<Run[]> {
  const opik = new Opik(settingsOf(job));
  // An invocation closes the spans that are left open in it.
  const invocation = getTrackContext()?.span;
  const runs: Run[] = [];
  for (const [title, it] of Object.entries(CASES)) {
    if (job.only && !job.only.includes(title)) continue;
    for (const version of VERSIONS) {
      for (const mode of MODES) {
        if (mode !== "plain" && (mode === "no context") !== job.hasNoContext) continue;
        const name = `${title} (${version}, ${mode})`;
        await tell(job, "begin", JSON.stringify(it.answers));
        const span = (invocation ?? opik).span({ name });
        const outcome = await outcomeOf((notes) => {
          const run = (): unknown => it.run(sdkOf(job, version, mode, span, notes));
          return mode === "no context" || mode === "plain" ? run() : runIn(opik, span, run);
        });
        await turns();
        span.end();
        runs.push({ name, case: title, version, mode, outcome, requests: JSON.parse(await tell(job, "end")) });
      }
    }
  }
  await opik.flush();
  return runs;
}

/** Runs with `span` current. */
function runIn(opik: Opik, span: Span, run: () => unknown): unknown {
  return opik.span({ name: "host", parent: span }, run);
}

function sdkOf({ models }: Job, version: Version, mode: Mode, span: Span, notes: Notes): Sdk {
  const { ai, createOpenAI } = SDKS[version];
  const isPlain = mode === "plain";
  const parent = mode === "no context" ? { parent: span } : {};
  const inner =
    mode === "observed" ? tracedFetch : mode === "by a span" || mode === "no context" ? span.fetch : untraced;
  let begun = (): void => {};
  const answered = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const fetch = async (...args: Parameters<typeof inner>): Promise<Response> => {
    const response = await inner(...args);
    begun();
    return response;
  };
  const provider = createOpenAI({ apiKey: KEY, baseURL: `${models}/v1`, fetch: fetch as typeof globalThis.fetch });
  const telemetry: Sdk["telemetry"] = (options) => {
    if (isPlain) return {};
    return version === "7"
      ? { telemetry: { integrations: [opikTelemetry(parent)], functionId: "ask", ...options } }
      : { experimental_telemetry: { isEnabled: true, tracer: opikTracer(parent), functionId: "ask", ...options } };
  };
  return {
    version,
    ai,
    chat: provider.chat("gpt-4.1-mini"),
    embedding: provider.textEmbeddingModel("text-embedding-3-small"),
    telemetry,
    context: (context, options) => {
      if (version !== "7") return telemetry({ metadata: context, ...options });
      const includeRuntimeContext = Object.fromEntries(Object.keys(context).map((name) => [name, true]));
      return { runtimeContext: context, ...telemetry({ includeRuntimeContext, ...options }) };
    },
    answered,
    ...notes,
  };
}

async function tell({ models }: Job, action: string, body = ""): Promise<string> {
  return (await untraced(`${models}/-/${action}`, { method: "POST", body })).text();
}

type Notes = Pick<Sdk, "saw" | "beside">;

async function outcomeOf(run: (notes: Notes) => unknown): Promise<unknown> {
  const saw: unknown[] = [];
  const beside: string[] = [];
  const notes: Notes = {
    saw: (what, value) => void saw.push(value === undefined ? what : { [what]: shown(value) }),
    beside: (what, value) => void beside.push(JSON.stringify([what, shown(value)])),
  };
  let outcome: object;
  try {
    outcome = { returned: shown(await run(notes)) };
  } catch (error) {
    outcome = { threw: shown(error) };
  }
  return { ...outcome, saw, beside: beside.sort() };
}

/** Lets pending promise callbacks run. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}
