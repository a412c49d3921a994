// LangSmith, as its documentation shows it: `traceable` functions under the caller's run, and a client that is flushed by
// hand, which it names for serverless. Its functions are wrapped once.

import { Client, RunTree } from "langsmith";
import { getCurrentRunTree, traceable, withRunTree } from "langsmith/traceable";
import { type Contender, type Delivered, type Received, SINK_URL } from "../contender.js";
import { HEADERS, type Shape, type Work } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";

const client = new Client({ apiUrl: SINK_URL, apiKey: "key", manualFlushMode: true });
const settings = { client, project_name: "bench", tracingEnabled: true };
const TYPES = { general: "chain", tool: "tool", llm: "llm" };

type Step<T> = (input: object) => T;
const steps = new Map<Work | Shape, Step<unknown>>();

function stepOf<T>(key: Work | Shape, work: Work, run: Step<T>): Step<T> {
  let step = steps.get(key);
  if (!step) {
    // Of a generator it would otherwise record what it gave, as a list.
    const whole = work.chunks && { aggregator: () => work.output as never };
    step = traceable(run, { ...settings, name: work.name, run_type: TYPES[work.type], ...whole }) as Step<unknown>;
    steps.set(key, step);
  }
  return step as Step<T>;
}

export const contender: Contender = {
  async request(shape) {
    const { root, children } = shape;
    const caller = RunTree.fromHeaders(HEADERS, settings)!;
    const handle = stepOf(shape, root, async () => {
      for (const work of children) {
        if (work.chunks) {
          const step = stepOf(work, work, async function* () {
            if (work.calls) getCurrentRunTree().toHeaders();
            yield* streamOf(work, () => {});
          });
          await readAll(step(work.input));
        } else {
          const step = stepOf(work, work, async () => {
            if (work.calls) getCurrentRunTree().toHeaders();
            return done(work);
          });
          await step(work.input);
        }
      }
      return done(root);
    });
    await withRunTree(caller, () => handle(root.input));
    await client.flush();
  },
  headers() {
    return RunTree.fromHeaders(HEADERS, settings)!.createChild({ name: "hop" }).toHeaders();
  },
  read,
};

/** Reads its multipart bodies: a run in one part, its inputs and outputs in others. */
async function read(received: readonly Received[]): Promise<Delivered[]> {
  const runs = new Map<string, Record<string, unknown>>();
  for (const { body, type } of received) {
    const form = await new Response(body, { headers: { "content-type": type } }).formData();
    for (const [key, part] of form) {
      const [, id = "", field] = key.split(".");
      const value = JSON.parse(typeof part === "string" ? part : await part.text());
      const run = runs.get(id) ?? {};
      runs.set(id, Object.assign(run, field === undefined ? value : { [field]: value }));
    }
  }
  return [...runs].map(([id, { trace_id, parent_run_id, name, inputs, outputs }]) => ({
    id,
    traceId: trace_id as string,
    parentId: parent_run_id as string | undefined,
    name: name as string,
    input: inputs,
    output: outputs,
  }));
}
