// Runs each case of a client in every mode, in one process, and reports the host's view. clients.test.ts adds the
// server's view and the recorded spans.

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

/** The platform's `fetch`. Bound, because workerd refuses calls to it as a method of another object. */
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

/** Runs the cases as a program. Prints a line with the cases, then one line per outcome. */
export async function printCases(job: Job, cases: Cases): Promise<void> {
  console.log(JSON.stringify({ cases }));
  await runCases(job, cases, (run, outcome) => console.log(JSON.stringify({ run, outcome })));
}

/** The lines of a stack trace in JSON text. Left out, because hosts do not look at call sites. */
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
  // An error that should end the process must reach the process.
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
    // Ends the host's open requests, which would keep its process alive.
    if (!entry.hangUps) await (await untraced(`${url}/over`)).text();
  }
}

/** Limit for one case, so that a hanging host does not use up the time of the others. */
const HUNG_MS = 60_000;

/** Rejects if `outcome` does not settle in time. */
async function unlessHung(outcome: unknown): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hung = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), HUNG_MS);
  });
  return Promise.race([outcome, hung]).finally(() => clearTimeout(timer));
}

/** The function without its object, as clients get it: `new OpenAI({ fetch: opik.fetch })`. */
const detached = ({ fetch }: Opik | Span): typeof globalThis.fetch => fetch as typeof globalThis.fetch;

function caller(opik: Opik, mode: Mode, name: string): Host["call"] {
  if (!tracesFunctions(mode)) return (fn) => fn();
  if (mode === "opik.span") return (fn) => opik.span({ name }, fn);
  return (fn) => opik.track(fn, { name })() as ReturnType<typeof fn>;
}

/** Lets pending promise callbacks run, and the runtime report unhandled rejections. */
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

/** Passes unhandled rejections to `told` until `stop` is called, and keeps them from ending the process. */
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

/** A host's view of a value: JSON, extended by the values that JSON leaves out. */
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

/** Members of clients and answers that differ in each call, or that lead to the client itself. */
const SECRETS: ReadonlySet<string> = new Set(["timestamp", "client", "_client"]);

/** Members that SDKs put on their errors. Clients, requests and answers are left out. */
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

/** The well-known symbols. Other symbols hold a runtime's internal state. */
const WELL_KNOWN: ReadonlySet<unknown> = new Set(Reflect.ownKeys(Symbol).map((name) => Reflect.get(Symbol, name)));

/** The class of an object, its superclasses, and its own members that a loop or a spread sees. */
export function kind(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return typeof value;
  const classes: string[] = [];
  for (let at = Object.getPrototypeOf(value); at; at = Object.getPrototypeOf(at)) classes.push(at.constructor?.name);
  const isSeen = (key: PropertyKey): boolean =>
    Object.prototype.propertyIsEnumerable.call(value, key) && (typeof key === "string" || WELL_KNOWN.has(key));
  const members = Reflect.ownKeys(value).filter(isSeen).map(String).sort();
  return { classes, members, tag: Object.prototype.toString.call(value) };
}

/** An answer as a reading host sees it. */
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

/** Collects the items of an async iterable. */
export async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}
