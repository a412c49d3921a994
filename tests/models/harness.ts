// Runs the cases of each SDK, with tracing and without, and returns the host's and the server's view. models.test.ts
// checks the recorded rows.

import { instrumentFetch, Opik, type OpikConfig, fetch as tracedFetch } from "opik-edge";
import { llm } from "opik-edge/llm";
import { type Case, type Host, type Job, type Mode, modesOf, type Run, type Told } from "./case.js";
import { SDKS } from "./cases/index.js";

/** The platform's `fetch`. Bound, because workerd refuses calls to it as a method of another object. */
const untraced = globalThis.fetch.bind(globalThis);

/** The settings of the traced runs. */
export const settingsOf = (job: Job): OpikConfig => ({
  url: job.collector,
  projectName: "models",
  observe: [llm({ providers: { "llm.internal": "openai" } })],
  onError: (error) => console.error(`opik-edge: ${error.code}: ${error.message}`, error.cause ?? ""),
});

/** Runs all cases. */
export async function runAll(job: Job): Promise<Told> {
  const opik = new Opik(settingsOf(job));
  const runs: Run[] = [];
  for (const [sdk, { cases, ...entry }] of Object.entries(SDKS)) {
    for (const [title, it] of Object.entries(cases)) {
      if (job.only && !job.only.includes(`${sdk}: ${title}`)) continue;
      for (const mode of modesOf(entry)) {
        const name = `${sdk}: ${title} (${mode})`;
        await tell(job, "begin", JSON.stringify(it.answers));
        const outcome = await inMode(opik, mode, name, (given) => outcomeOf(it, { ...given, own: job.models }));
        await turns();
        const requests = JSON.parse(await tell(job, "end"));
        runs.push({ name, sdk, case: title, mode, outcome, requests });
      }
    }
  }
  await opik.flush();
  return { sdks: JSON.parse(JSON.stringify(SDKS)), runs };
}

async function tell({ models }: Job, action: string, body = ""): Promise<string> {
  return (await untraced(`${models}/-/${action}`, { method: "POST", body })).text();
}

/** Runs a host in a span with this name, or untraced in the mode `plain`. */
async function inMode(
  opik: Opik,
  mode: Mode,
  name: string,
  run: (given: Pick<Host, "given">) => Promise<unknown>,
): Promise<unknown> {
  if (mode === "plain") return run({ given: {} });
  if (mode === "fetch")
    return opik.span({ name }, () => run({ given: { fetch: tracedFetch as typeof globalThis.fetch } }));
  const stop = instrumentFetch();
  try {
    return await opik.span({ name }, () => run({ given: {} }));
  } finally {
    stop();
  }
}

/** Limit for one case, so that a hanging host does not use up the time of the others. */
const HUNG_MS = 30_000;

async function outcomeOf(it: Case, host: Omit<Host, "saw">): Promise<unknown> {
  const saw: unknown[] = [];
  const noted: Host["saw"] = (what, value) => void saw.push(value === undefined ? what : { [what]: shown(value) });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hung = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), HUNG_MS);
  });
  try {
    const returned = await Promise.race([(async () => it.run({ ...host, saw: noted }))(), hung]);
    return { returned: shown(returned), saw };
  } catch (error) {
    return { threw: shown(error), saw };
  } finally {
    clearTimeout(timer);
  }
}

/** Lets pending promise callbacks run. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}

/** Members that SDKs put on their errors. Clients, requests and answers are left out. */
const TOLD = ["status", "statusCode", "code", "type", "param", "error", "cause"];

/** A host's view of a value, as JSON. */
export function shown(value: unknown, depth = 0): unknown {
  if (typeof value === "function") return `[function ${value.name}]`;
  if (typeof value === "bigint" || typeof value === "symbol") return `[${String(value)}]`;
  if (value === undefined) return "[undefined]";
  if (typeof value !== "object" || value === null) return value;
  if (depth > 10) return "[deep]";
  if (value instanceof Date) return "[date]";
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map((item) => shown(item, depth + 1));
  if (value instanceof Error) {
    const { name, message } = value;
    const more = TOLD.filter((key) => key in value).map((key) => [key, shown(Reflect.get(value, key), depth + 1)]);
    return { class: value.constructor.name, name, message, ...Object.fromEntries(more) };
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shown(member, depth + 1)]));
}
