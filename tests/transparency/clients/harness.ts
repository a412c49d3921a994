// Runs what a host does with a client several times in one process, without tracing and with it in each of its ways, and tells
// what the host saw. What the server saw and what was recorded is added by clients.test.ts.

import { fetch as ambientFetch, Opik, type Span } from "../../../pkg/index.js";
import {
  type Case,
  type Cases,
  type Host,
  type Job,
  type Mode,
  modesOf,
  type Outcome,
  runName,
  tracesFunctions,
} from "./case.js";

/** The platform's. In workerd it must not be called as the method of something else. */
const untraced = globalThis.fetch.bind(globalThis);

/** Runs `cases`, and reports each outcome by its run. */
export async function runCases(
  job: Job,
  cases: Cases,
  report: (run: string, outcome: Outcome) => unknown,
): Promise<void> {
  const opik = new Opik({
    url: job.collector,
    projectName: "clients",
    propagateTo: [job.url],
    onError: (error) => console.error(`opik-edge: ${error.message}`),
  });
  for (const [index, entry] of Object.values(cases).entries()) {
    if (job.only ? job.only.index !== index : entry.crashes) continue;
    for (const mode of modesOf(job, index)) {
      const run = runName(job.client, index, mode);
      report(run, await runCase(opik, entry, mode, run, job));
    }
  }
  await opik.flush();
}

/** The same as a program: it prints a line with the cases, then one for each outcome. */
export async function printCases(job: Job, cases: Cases): Promise<void> {
  console.log(JSON.stringify({ cases }));
  await runCases(job, cases, (run, outcome) => console.log(JSON.stringify({ run, outcome })));
}

/** The lines of a stack, in a text of JSON: where a call came from is not what a host looks at. */
const STACK = /\\n +at (?:[^"\\]|\\.)*/g;

async function runCase(opik: Opik, entry: Case, mode: Mode, name: string, job: Job): Promise<Outcome> {
  const url = `${job.url}/${name}`;
  const saw: unknown[] = [];
  const plainly = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(shown(value)).replaceAll(url, "URL").replaceAll(`/${name}/`, "/RUN/").replaceAll(STACK, ""),
    );
  const host = (fetch: typeof globalThis.fetch): Host => ({
    fetch,
    call: caller(opik, mode, name),
    url: (behaviour) => `${behaviour === "refused" ? url.replace(job.url, job.nowhere) : url}/${behaviour}`,
    until: async (requests) => {
      for (let turn = 0; turn < 4; turn += 1) {
        await (await untraced(`${url}/until/${requests}`)).text();
        await turns();
      }
    },
    turns,
    collect,
    breakOff: async () => {
      await (await untraced(`${url}/break`)).text();
    },
    saw: (what, value) => void saw.push(value === undefined ? what : { [what]: plainly(value) }),
  });
  const ended = { saw, unhandled: [] as unknown[] };
  // What ends the process has to end it.
  const { stop } = entry.crashes ? { stop() {} } : watchUnhandled((reason) => ended.unhandled.push(plainly(reason)));
  const outcome = async (fetch: typeof globalThis.fetch): Promise<Outcome> => {
    try {
      const returned = plainly(await unlessHung(entry.run(host(fetch))));
      return { returned, ...ended };
    } catch (error) {
      return { threw: plainly(error), ...ended };
    }
  };
  try {
    if (mode === "opik.fetch" || mode === "both") return await outcome(detached(opik));
    if (mode === "span.fetch") return await opik.span({ name: "host" }, (span) => outcome(detached(span)));
    if (mode === "fetch")
      return await opik.span({ name: "host" }, () => outcome(ambientFetch as typeof globalThis.fetch));
    return await outcome(untraced);
  } finally {
    await turns();
    stop();
    // What the host has left open would keep its process from ending.
    if (!entry.hangUps) await (await untraced(`${url}/over`)).text();
  }
}

/** How long a host may take that would otherwise take the others' time too. */
const HUNG_MS = 60_000;

/** Rejects when `outcome` does not come. */
async function unlessHung(outcome: unknown): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hung = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), HUNG_MS);
  });
  return Promise.race([outcome, hung]).finally(() => clearTimeout(timer));
}

/** As a client is given it: `new OpenAI({ fetch: opik.fetch })`. */
const detached = ({ fetch }: Opik | Span): typeof globalThis.fetch => fetch as typeof globalThis.fetch;

function caller(opik: Opik, mode: Mode, name: string): Host["call"] {
  if (!tracesFunctions(mode)) return (fn) => fn();
  if (mode === "opik.span") return (fn) => opik.span({ name }, fn);
  return (fn) => opik.track(fn, { name })() as ReturnType<typeof fn>;
}

/** Lets everything go on that waits for promises, and a runtime tell of rejections that nobody handled. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}

async function collect(): Promise<void> {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(isForced: boolean): void } };
  for (let time = 0; time < 3; time += 1) {
    if (Bun) Bun.gc(true);
    else if (!("WebSocketPair" in globalThis)) gc!();
    await turns();
  }
}

let onUnhandled: ((reason: unknown) => unknown) | undefined;
let isWatching = false;

/** Until `stop`, rejections that nobody handles are told and forgiven. */
function watchUnhandled(told: (reason: unknown) => unknown): { stop: () => void } {
  onUnhandled = told;
  if (!isWatching) {
    isWatching = true;
    if ("WebSocketPair" in globalThis) {
      globalThis.addEventListener("unhandledrejection", ({ reason }) => onUnhandled?.(reason));
    } else {
      process.on("unhandledRejection", (reason) => onUnhandled?.(reason));
    }
  }
  return { stop: () => (onUnhandled = undefined) };
}

/** What a host can tell of a value: as JSON, with what that leaves out. */
export function shown(value: unknown, depth = 0): unknown {
  if (typeof value === "function") return `[function ${value.name}]`;
  if (typeof value === "bigint" || typeof value === "symbol") return `[${String(value)}]`;
  if (value === undefined) return "[undefined]";
  if (typeof value !== "object" || value === null) return value;
  if (depth > 8) return "[deep]";
  if (value instanceof Error) return shownError(value, depth);
  if (value instanceof Date) return "[date]";
  if (value instanceof Headers) return Object.fromEntries([...value].filter(([name]) => name !== "date"));
  if (Array.isArray(value)) return value.map((item) => shown(item, depth + 1));
  const members = Object.entries(value).filter(([name]) => !SECRETS.has(name));
  return Object.fromEntries(members.map(([name, member]) => [name, shown(member, depth + 1)]));
}

/** Members of clients and answers that differ from call to call, or lead to the client itself. */
const SECRETS: ReadonlySet<string> = new Set(["timestamp", "client", "_client"]);

/** What SDKs put on their errors, beside clients, requests and answers. */
const TOLD = ["status", "statusCode", "code", "requestID", "type", "param", "error", "data"];

function shownError(error: Error, depth: number): unknown {
  const told = TOLD.filter((key) => key in error).map((key) => [
    key,
    (error as unknown as Record<string, unknown>)[key],
  ]);
  if (error.cause !== undefined) told.push(["cause", error.cause]);
  const { name, message } = error;
  const more = told.map(([key, value]) => [key, shown(value, depth + 1)]);
  return { class: error.constructor.name, name, message, ...Object.fromEntries(more) };
}

/** The symbols of the language. Others are how a runtime keeps what belongs to an object. */
const WELL_KNOWN: ReadonlySet<unknown> = new Set(Reflect.ownKeys(Symbol).map((name) => Reflect.get(Symbol, name)));

/** What kind of object it is: its class and those above it, and its own members that a loop or a spread sees. */
export function kind(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return typeof value;
  const classes: string[] = [];
  for (let at = Object.getPrototypeOf(value); at; at = Object.getPrototypeOf(at)) classes.push(at.constructor?.name);
  const isSeen = (key: PropertyKey): boolean =>
    Object.prototype.propertyIsEnumerable.call(value, key) && (typeof key === "string" || WELL_KNOWN.has(key));
  const members = Reflect.ownKeys(value).filter(isSeen).map(String).sort();
  return { classes, members, tag: Object.prototype.toString.call(value) };
}

/** What an answer is to a host that reads it. */
export async function answerOf(response: Response): Promise<unknown> {
  const { status, statusText, ok, url, redirected, type, headers } = response;
  const before = response.bodyUsed;
  const text = await response.text();
  return {
    ...{ isResponse: response instanceof Response, kind: (kind(response) as { classes: string[] }).classes },
    ...{
      status,
      statusText,
      ok,
      url,
      redirected,
      type,
      headers: shown(headers),
      before,
      text,
      after: response.bodyUsed,
    },
  };
}

/** All that an async iterable gives. */
export async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}
