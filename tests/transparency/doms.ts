// A program for Node with DOM libraries as tests use them. A library defines a window, a page's globals, and sometimes a
// `fetch`. The program makes a call in each way that such a test might.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { CallsConfig, CallsResult } from "./calls.js";
import { described, describedResponse, shown } from "./consumers.js";
import { type Fetch, TracedCalls } from "./entries.js";
import { Lacks } from "./table.js";

/** Input of the program. */
export interface DomsConfig extends CallsConfig {
  /** The package.json next to the installed libraries. */
  readonly doms: string;
}

type Window = Record<string, unknown>;
type Load = (name: string) => Promise<Record<string, new (options: object | string, more?: object) => unknown>>;

/** Makes a page at `url`, by library. */
const LIBRARIES: Record<string, (load: Load, url: string) => Promise<Window>> = {
  jsdom: async (load, url) => {
    const { JSDOM } = await load("jsdom");
    return (new JSDOM!("<!doctype html>", { url }) as { window: Window }).window;
  },
  "happy-dom": async (load, url) => {
    const { Window: Page } = await load("happy-dom");
    return new Page!({ url }) as Window;
  },
};

const PAGE = ["window", "document", "location", "navigator"];
const CLASSES = ["Headers", "FormData", "Blob", "File", "AbortController", "AbortSignal", "URL", "URLSearchParams"];

/** The names that a test copies from the window. */
const GLOBALS: Record<string, readonly string[]> = {
  "a page": PAGE,
  "a page and its classes": [...PAGE, ...CLASSES],
  "a page, its classes and its fetch": [...PAGE, ...CLASSES, "fetch", "Request", "Response"],
};

/** The arguments of a call, by name. */
const CALLS: Record<string, (url: string) => unknown[]> = {
  absolute: (url) => [url],
  relative: (url) => [new URL(url).pathname],
  URL: (url) => [new URL(url)],
  headers: (url) => [url, { headers: new Headers({ "x-one": "1" }) }],
  form: (url) => {
    const form = new FormData();
    form.append("a", "1");
    return [url, { method: "POST", body: form }];
  },
  parameters: (url) => [url, { method: "POST", body: new URLSearchParams({ a: "1" }) }],
  blob: (url) => [url, { method: "POST", body: new Blob(["blob"], { type: "text/x-blob" }) }],
  signal: (url) => [url, { signal: new AbortController().signal }],
  aborted: (url) => {
    const controller = new AbortController();
    controller.abort();
    return [url, { signal: controller.signal }];
  },
  request: (url) => [new Request(url, { method: "POST", body: "of a page", headers: { "x-one": "1" } })],
};

/** The columns of the program's cases. */
export const DOMS = { library: Object.keys(LIBRARIES), globals: Object.keys(GLOBALS), call: Object.keys(CALLS) };

const defined = (name: string): PropertyDescriptor | undefined => Object.getOwnPropertyDescriptor(globalThis, name);

/** Time limit for a call that never ends. */
const HANGS_MS = 10_000;
const { setTimeout: start, clearTimeout: stop } = globalThis;

async function observe(call: Fetch, args: () => unknown[]): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const hangs = new Promise((resolve) => {
    timer = start(() => resolve({ outcome: "hangs" }), HANGS_MS);
  });
  try {
    return await Promise.race([observeCall(call, args), hangs]);
  } finally {
    stop(timer);
  }
}

async function observeCall(call: Fetch, args: () => unknown[]): Promise<unknown> {
  try {
    const response = (await call(...args())) as Response;
    return { outcome: "fulfilled", response: describedResponse(response), text: shown(await response.arrayBuffer()) };
  } catch (error) {
    return error instanceof Lacks ? { lacks: error.message } : { outcome: "rejected", rejected: described(error) };
  }
}

export async function run({ side, isTraced, servers, cases, doms }: DomsConfig): Promise<CallsResult> {
  const { resolve } = createRequire(doms);
  const load: Load = (name) => import(pathToFileURL(resolve(name)).href);
  const tracing = new TracedCalls(servers.refusing);
  const observations: Record<number, unknown> = {};
  for (const { id, row } of cases) {
    const window = await LIBRARIES[row["library"]!]!(load, `${servers.url}/page`);
    const names = GLOBALS[row["globals"]!]!.filter((name) => name in window);
    const before = names.map((name) => [name, defined(name)] as const);
    const plain: Fetch = (...args) => (fetch as Fetch)(...args);
    const traced: Fetch = (...args) => tracing.call(row["entry"]!, row["propagate"]!)(args);
    try {
      for (const name of names)
        Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
      const url = `${servers.url}/${side}/${id}/text`;
      observations[id] = await observe(isTraced ? traced : plain, () => CALLS[row["call"]!]!(url));
    } finally {
      for (const [name, descriptor] of before) {
        if (descriptor) Object.defineProperty(globalThis, name, descriptor);
        else delete (globalThis as Window)[name];
      }
    }
  }
  await tracing.flush();
  return { observations };
}
