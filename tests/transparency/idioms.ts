// Uses of `fetch` itself by hosts, their tests and other libraries, as a table: they replace it, pass it on, mock it, and
// call it with objects of another realm. Each idiom calls through `call`, which is traced on one side.

import { described, describedResponse, shown } from "./consumers.js";
import type { Fetch, TracedCalls } from "./entries.js";
import { Lacks, type Row } from "./table.js";

/** The helpers of an idiom. */
interface Host {
  /** The function that the host calls: the current global `fetch`, or a traced function. */
  readonly call: Fetch;
  /** The same function as a value, to be stored or passed on. */
  readonly fetch: Fetch;
  /** The case's URL, ending in a slash. */
  readonly url: string;
}

type Idiom = (host: Host) => Promise<unknown>;

/** The result of a call: its response and text, or its error. */
async function outcome(call: () => unknown): Promise<unknown> {
  let returned: unknown;
  try {
    returned = call();
  } catch (error) {
    if (error instanceof Lacks) throw error;
    return { thrown: described(error) };
  }
  const kind = { class: (returned as object)?.constructor?.name, isPromise: returned instanceof Promise };
  try {
    const given = await returned;
    if (!(given instanceof Response))
      return { kind, given: typeof given === "object" ? Object.keys(given ?? {}) : String(given) };
    return { kind, response: describedResponse(given), text: shown(await given.arrayBuffer()) };
  } catch (error) {
    return { kind, rejected: described(error) };
  }
}

/** Runs `run` while `replacement` is the global `fetch`. */
async function replaced<T>(replacement: unknown, run: () => Promise<T>): Promise<T> {
  const before = globalThis.fetch;
  globalThis.fetch = replacement as typeof fetch;
  try {
    return await run();
  } finally {
    globalThis.fetch = before;
  }
}

const POST = (): RequestInit => ({ method: "POST", headers: { "X-One": "1" }, body: "of the host" });

const isOurs = (name: string): boolean => /^opik[-_]/.test(name);

/** The arguments that a mock received, as a test would check them. */
function seenBy([input, init, ...more]: unknown[], given: readonly unknown[]): unknown {
  const { method, body, headers } = (init ?? {}) as RequestInit;
  return {
    input: input === given[0] ? "the same" : [typeof input, String(input)],
    init: [method, body, init instanceof Request],
    headers: [...new Headers(headers ?? (input instanceof Request ? input.headers : undefined))].filter(
      ([name]) => !isOurs(name),
    ),
    count: more.length,
  };
}

/** Mocks `fetch` with this answer, and observes the mock's calls. */
function mocked(
  answer: (...args: unknown[]) => unknown,
  args: (url: string) => unknown[] = (url) => [url, POST()],
): Idiom {
  return async ({ call, url }) => {
    const seen: unknown[] = [];
    const given = args(url);
    const mock = (...all: unknown[]): unknown => {
      seen.push(seenBy(all, given));
      return answer(...all);
    };
    return replaced(mock, async () => ({
      first: await outcome(() => call(...given)),
      second: await outcome(() => call(...given)),
      seen,
    }));
  };
}

const streamOf = (chunks: readonly unknown[]): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

class OwnPromise<T> extends Promise<T> {
  readonly own = "member";
}

/** Values that a mock returns. */
const MOCKS: Record<string, Idiom> = {
  "a response": mocked(async () => new Response("mocked", { status: 201, headers: { "x-mock": "1" } })),
  "a response, asked by URL": mocked(
    async () => new Response("mocked"),
    (url) => [new URL(url)],
  ),
  "a response, asked by Request": mocked(
    async () => new Response("mocked"),
    (url) => [new Request(url, POST())],
  ),
  "a response, asked without an init": mocked(
    async () => new Response("mocked"),
    (url) => [url],
  ),
  "a response, at once": mocked(() => new Response("mocked")),
  "a plain object": mocked(async () => ({ ok: true, status: 200, json: async () => ({ a: 1 }) })),
  "a frozen object": mocked(async () => Object.freeze({ ok: true })),
  nothing: mocked(async () => undefined),
  "nothing at all": mocked(() => undefined),
  "an error that it throws": mocked(() => {
    throw new RangeError("the mock's own");
  }),
  "an error that it rejects with": mocked(async () => {
    throw Object.assign(new RangeError("the mock's own"), { code: "E_MOCK" });
  }),
  "a text that it rejects with": mocked(() => Promise.reject("a text")),
  "a promise of its own class": mocked(() => OwnPromise.resolve(new Response("mocked"))),
  "a promise with members": mocked(() => Object.assign(Promise.resolve(new Response("mocked")), { abort() {} })),
  "a response with a URL": mocked(async () =>
    Object.defineProperty(new Response("mocked"), "url", { value: "http://mock/" }),
  ),
  "a response of a subclass": mocked(async () => new (class Own extends Response {})("mocked")),
  "a frozen response": mocked(async () => Object.freeze(new Response("mocked"))),
  "a network error": mocked(async () => Response.error()),
  "a redirect": mocked(async () => Response.redirect("http://mock/there", 302)),
  "no body": mocked(async () => new Response(null, { status: 200 })),
  "an empty body": mocked(async () => new Response("")),
  "a form": mocked(async () => new Response(new URLSearchParams({ a: "1" }))),
  "a blob": mocked(async () => new Response(new Blob(["blob"], { type: "text/x-blob" }))),
  "a stream of strings": mocked(async () => new Response(streamOf(["a"]))),
  "a stream that fails": mocked(
    async () =>
      new Response(
        new ReadableStream({
          pull() {
            throw new RangeError("the stream's own");
          },
        }),
      ),
  ),
  "a body that is used": mocked(async () => {
    const used = new Response("used");
    await used.text();
    return used;
  }),
  "a body that is locked": mocked(async () => {
    const locked = new Response("locked");
    locked.body?.getReader();
    return locked;
  }),
};

const IDIOMS: Record<string, Idiom> = {
  "a global fetch that calls it": async ({ fetch: own, url }) => {
    return replaced(
      (input: unknown, init: unknown) => own(input, init),
      () => outcome(() => (fetch as Fetch)(url, POST())),
    );
  },
  "a global fetch that is it": async ({ fetch: own, url }) =>
    replaced(own, () => outcome(() => (fetch as Fetch)(url, POST()))),
  "a global fetch that waits, then calls it": async ({ fetch: own, url }) => {
    const waits = async (...args: unknown[]): Promise<unknown> => {
      await Promise.resolve();
      return own(...args);
    };
    return replaced(waits, () => outcome(() => (fetch as Fetch)(url)));
  },
  "a global fetch that tries again": async ({ fetch: own, url }) => {
    const retries = async (input: string, init: unknown): Promise<unknown> => {
      const first = (await own(`${input}500`, init)) as Response;
      await first.body?.cancel();
      return own(`${input}text`, init);
    };
    return replaced(retries, () => outcome(() => (fetch as Fetch)(url)));
  },
  "handed to a client": async ({ fetch: own, url }) => {
    class Client {
      readonly fetch: Fetch;
      constructor(options: { fetch: Fetch }) {
        this.fetch = options.fetch;
      }
      ask(): unknown {
        const { fetch: called } = this;
        return called(`${url}json`, POST());
      }
    }
    return outcome(() => new Client({ fetch: own }).ask());
  },
  "as a client's method": async ({ fetch: own, url }) => outcome(() => ({ fetch: own }).fetch(url)),
  called: async ({ fetch: own, url }) => outcome(() => own.call(undefined, url, POST())),
  applied: async ({ fetch: own, url }) => outcome(() => Reflect.apply(own, null, [url, POST()])),
  bound: async ({ fetch: own, url }) => outcome(() => own.bind(globalThis)(url, POST())),
  "as a callback": async ({ fetch: own, url }) => {
    const [first, second] = [`${url}text`, `${url}json`].map((each) => own(each));
    return { first: await outcome(() => first), second: await outcome(() => second) };
  },
  "side by side": async ({ call, url }) => {
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => outcome(() => call(`${url}chunked`))));
    return { first, second, third };
  },
  "the same response each time": async ({ call, url }) => {
    const response = new Response("the same");
    return replaced(
      async () => response,
      async () => {
        const first = (await call(url)) as Response;
        const text = await first.text();
        const second = (await call(url)) as Response;
        return {
          text,
          used: [first.bodyUsed, second.bodyUsed, response.bodyUsed],
          again: await outcome(() => call(url)),
        };
      },
    );
  },
  "one chunk sent twice": async ({ call, url }) => {
    const ping = new TextEncoder().encode(": ping\n");
    const halves = new TextEncoder().encode("first second");
    const chunks = [ping, ping, halves.subarray(0, 6), halves.subarray(6)];
    return replaced(
      async () => new Response(streamOf(chunks)),
      async () => {
        const text = await ((await call(url)) as Response).text();
        return { text, left: chunks.map(({ byteLength, buffer }) => [byteLength, buffer.byteLength]) };
      },
    );
  },
  "a pooled buffer": async ({ call, url }) => {
    const { Buffer } = globalThis as { Buffer?: { from(text: string): Uint8Array<ArrayBuffer> } };
    if (!Buffer) throw new Lacks("Buffer");
    const chunk = Buffer.from("hello");
    return replaced(
      async () => new Response(streamOf([chunk])),
      async () => {
        const text = await ((await call(url)) as Response).text();
        return { text, left: chunk.byteLength, next: Buffer.from("next").byteLength };
      },
    );
  },
  "a stream that is pulled": async ({ call, url }) => {
    let pulled = 0;
    const body = new ReadableStream(
      {
        pull(controller) {
          pulled += 1;
          controller.enqueue(new TextEncoder().encode(`${pulled}`));
          if (pulled === 3) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return replaced(
      async () => new Response(body),
      async () => {
        const response = (await call(url)) as Response;
        const before = pulled;
        return { before, text: await response.text(), pulled };
      },
    );
  },
  "a stream that is cancelled": async ({ call, url }) => {
    const reasons: unknown[] = [];
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("one")),
      cancel: (reason) => void reasons.push(String(reason)),
    });
    return replaced(
      async () => new Response(body),
      async () => {
        const reader = ((await call(url)) as Response).body!.getReader();
        await reader.read();
        await reader.cancel(new RangeError("enough"));
        return { reasons };
      },
    );
  },
  "a stream whose cancel fails": async ({ call, url }) => {
    const body = new ReadableStream({
      cancel() {
        throw new RangeError("the stream's own");
      },
    });
    return replaced(
      async () => new Response(body),
      async () => {
        const response = (await call(url)) as Response;
        return { cancelled: await response.body!.cancel().then(() => "done", described) };
      },
    );
  },
  "a frame's objects": async ({ call, url }) => {
    const realm = ofFrame();
    const controller = new realm.AbortController();
    const request = new realm.Request(url, { method: "POST", body: "of a frame" });
    return {
      request: await outcome(() => call(request)),
      url: await outcome(() => call(new realm.URL(url))),
      init: await outcome(() =>
        call(url, {
          method: "POST",
          headers: new realm.Headers({ a: "1" }),
          signal: controller.signal,
          body: new realm.Blob(["b"]),
        }),
      ),
      second: await outcome(() => call(url, new realm.Request(url, { method: "PUT", body: "second" }))),
    };
  },
  "a realm's objects": async ({ call, url }) => {
    const inRealm = await realmOfNode();
    const made = (code: string): unknown => inRealm(code);
    return {
      init: await outcome(() => call(url, made('({ method: "POST", headers: { a: "1" }, body: "x" })'))),
      pairs: await outcome(() => call(url, { headers: made('[["a", "1"]]') })),
      map: await outcome(() => call(url, { headers: made('new Map([["a", "1"]])') })),
      bytes: await outcome(() => call(url, { method: "POST", body: made("new Uint8Array([104, 105])") })),
      buffer: await outcome(() => call(url, { method: "POST", body: made("new ArrayBuffer(3)") })),
      input: await outcome(() => call(made(`({ toString: () => ${JSON.stringify(url)} })`))),
      error: await replaced(
        async () => Promise.reject(made('new TypeError("of a realm")')),
        () => outcome(() => call(url)),
      ),
      promise: await replaced(
        () => made("Promise.resolve(7)"),
        () => outcome(() => call(url)),
      ),
    };
  },
  "a mock agent of undici's": async ({ call, url }) => {
    const { MockAgent, getGlobalDispatcher, setGlobalDispatcher } = await undici();
    const before = getGlobalDispatcher();
    const agent = new MockAgent();
    agent.disableNetConnect();
    setGlobalDispatcher(agent);
    try {
      const pool = agent.get("http://mock.invalid");
      const headers = { "x-mock": "1", "content-type": "application/json" };
      pool.intercept({ path: "/there", method: "POST" }).reply(201, { a: 1 }, { headers });
      pool.intercept({ path: "/fails" }).replyWithError(new RangeError("the mock's own"));
      return {
        answered: await outcome(() => call("http://mock.invalid/there", POST())),
        fails: await outcome(() => call("http://mock.invalid/fails")),
        refused: await outcome(() => call(url)),
      };
    } finally {
      setGlobalDispatcher(before);
    }
  },
  "a request of undici's": async ({ call, url }) => {
    const { Request: Other, Headers: Pairs } = await undici();
    return {
      request: await outcome(() => call(new Other(url, { method: "POST", body: "other" }))),
      headers: await outcome(() => call(url, { headers: new Pairs({ "x-one": "1" }) })),
    };
  },
  "a page's globals": async ({ call, url }) =>
    withGlobals(DOM_GLOBALS, async () => ({
      absolute: await outcome(() => call(url)),
      relative: await outcome(() => call("text")),
      root: await outcome(() => call("/text")),
    })),
};

/** The package inside Node that provides `fetch`. */
async function undici(): Promise<typeof import("undici")> {
  const { process, Deno, Bun } = globalThis as {
    process?: { versions?: { undici?: string } };
    Deno?: object;
    Bun?: object;
  };
  if (!process?.versions?.undici || Deno || Bun) throw new Lacks("undici");
  const name = "undici"; // keeps bundlers from including it
  return import(name);
}

/** Globals that a DOM library defines in Node. */
const DOM_GLOBALS = {
  window: globalThis,
  document: { baseURI: "http://page.invalid/dir/" },
  location: new URL("http://page.invalid/dir/"),
  navigator: { userAgent: "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/26.1.0" },
};

async function withGlobals(globals: object, run: () => Promise<unknown>): Promise<unknown> {
  if ("document" in globalThis || "ServiceWorkerGlobalScope" in globalThis)
    throw new Lacks("globals of a page that it is not");
  const before = Object.getOwnPropertyDescriptors(globalThis) as Record<string, PropertyDescriptor>;
  try {
    for (const [name, value] of Object.entries(globals))
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    return await run();
  } finally {
    for (const name of Object.keys(globals)) {
      if (before[name]) Object.defineProperty(globalThis, name, before[name]);
      else delete (globalThis as Record<string, unknown>)[name];
    }
  }
}

function ofFrame(): typeof globalThis {
  const { document } = globalThis as { document?: Document };
  if (!document) throw new Lacks("frames");
  const frame = document.createElement("iframe");
  (document.body ?? document.documentElement).append(frame);
  return frame.contentWindow as unknown as typeof globalThis;
}

async function realmOfNode(): Promise<(code: string) => unknown> {
  const { process } = globalThis as {
    process?: {
      getBuiltinModule?(name: string): typeof import("node:vm") | undefined;
      versions?: Record<string, string>;
    };
  };
  const vm = process?.getBuiltinModule?.("node:vm");
  if (!vm || !process?.versions?.["v8"] || process.versions["workerd"]) throw new Lacks("node:vm");
  const context = vm.createContext({});
  return (code) => vm.runInContext(code, context);
}

/** Every idiom, by name. */
export const ALL_IDIOMS: Record<string, Idiom> = {
  ...IDIOMS,
  ...Object.fromEntries(Object.entries(MOCKS).map(([name, idiom]) => [`a mock that gives ${name}`, idiom])),
};

const platform: Fetch = fetch.bind(globalThis) as Fetch;

/** The host's view of an idiom at `url`, traced if `tracing` is given. */
export async function observeIdiom(row: Row, url: string, tracing: TracedCalls | undefined): Promise<unknown> {
  const { entry, propagate, idiom } = row as { entry: string; propagate: string; idiom: string };
  const host: Host = {
    call: (...args) => (tracing ? tracing.call(entry, propagate)(args) : (fetch as Fetch)(...args)),
    get fetch() {
      return tracing ? tracing.function(entry, propagate) : platform;
    },
    url,
  };
  try {
    return await ALL_IDIOMS[idiom]!(host);
  } catch (error) {
    return error instanceof Lacks ? { lacks: error.message } : { outcome: "fails", error: described(error) };
  }
}
