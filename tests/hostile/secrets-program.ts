// Searches everything that the package hands to its users for a key: as JSON, printed, cloned, walked through, recorded,
// reported. Runs in every runtime.

import type { Trace } from "opik-edge";
import { flush, Opik, type OpikConfig, type OpikError, type Span, track } from "opik-edge";
import { queueTransport, withOpik } from "opik-edge/cloudflare";
import { relay } from "opik-edge/relay";

/** Part of every secret of this program, and of nothing else. */
export const SENTINEL = "SENTINEL";
const KEY = `sk-${SENTINEL}-key`;

export interface SecretsConfig {
  /** Base URL of a collector's API. */
  readonly collector: string;
  /** Base URL of an API that refuses everything, and repeats the key in its answer. */
  readonly refusing: string;
}

export interface SecretsResult {
  /** Places where the sentinel was found. */
  readonly leaks: readonly string[];
  /** Printed forms of values. */
  readonly printed: Readonly<Record<string, unknown>>;
  /** The functions that printed them. */
  readonly printers: readonly string[];
  /** The number of values that were examined. */
  readonly looks: number;
}

interface Host {
  readonly Deno?: { inspect(value: unknown, options: object): string };
  readonly Bun?: { inspect(value: unknown, options?: object): string };
}

type Print = (value: unknown) => string;

/** State that copies of the package share: it is on the global object, under symbols that every program can name. */
function shared(): unknown[] {
  const keys = Object.getOwnPropertySymbols(globalThis).filter(({ description }) =>
    description?.startsWith("opik-edge/"),
  );
  if (keys.length === 0) throw new Error("nothing of the package hangs on the global object");
  return keys.map((key) => (globalThis as Record<symbol, unknown>)[key]);
}

async function printersOf(): Promise<Record<string, Print>> {
  const { Deno, Bun } = globalThis as Host;
  const printers: Record<string, Print> = {};
  try {
    // Some workerd lack the module, and a computed name keeps bundlers from following it.
    const name = ["node", "util"].join(":");
    const { inspect } = (await import(name)) as typeof import("node:util");
    printers["inspect"] = (value) => inspect(value, { depth: 12 });
    printers["inspect, hidden members"] = (value) => inspect(value, { depth: 8, showHidden: true });
    printers["inspect, as it is"] = (value) => inspect(value, { depth: 8, showHidden: true, customInspect: false });
    printers["inspect, proxies"] = (value) => inspect(value, { depth: 8, showProxy: true });
  } catch {
    // `printers` shows that it is missing.
  }
  if (Deno) printers["Deno.inspect"] = (value) => Deno.inspect(value, { depth: 12 });
  if (Bun) printers["Bun.inspect"] = (value) => Bun.inspect(value, { depth: 12 });
  return printers;
}

export async function run({ collector, refusing }: SecretsConfig): Promise<SecretsResult> {
  const leaks: string[] = [];
  const printed: Record<string, unknown> = {};
  const printers = await printersOf();
  let looks = 0;

  const look = (where: string, shown: unknown): void => {
    looks += 1;
    const text = String(shown);
    const at = text.indexOf(SENTINEL);
    if (at >= 0) leaks.push(`${where}: ${text.slice(Math.max(0, at - 60), at + 20)}`);
  };
  const attempt = (make: () => unknown): unknown => {
    try {
      return make();
    } catch (error) {
      return error; // and is examined too
    }
  };

  /** Everything below a value, by every name it has, including symbols and names that are not enumerable. */
  const walk = (where: string, value: unknown, met = new Set<unknown>()): void => {
    if (typeof value === "string") look(where, value);
    if ((typeof value !== "object" && typeof value !== "function") || value === null || met.has(value)) return;
    met.add(value);
    for (const name of Reflect.ownKeys(value)) {
      const descriptor = attempt(() => Reflect.getOwnPropertyDescriptor(value, name)) as PropertyDescriptor | undefined;
      look(where, String(name));
      if (descriptor && "value" in descriptor) walk(`${where}.${String(name)}`, descriptor.value, met);
    }
    if (value instanceof Map || value instanceof Set) walk(`${where}[]`, [...value], met);
  };

  const examine = (name: string, value: unknown): void => {
    look(
      `${name} as JSON`,
      attempt(() => JSON.stringify(value)),
    );
    look(`${name} as text`, String(attempt(() => `${value}`)));
    for (const [by, print] of Object.entries(printers)) look(`${name} by ${by}`, String(attempt(() => print(value))));
    walk(name, value);
    walk(
      `${name}, cloned`,
      attempt(() => structuredClone(value)),
    );
    if (typeof value === "object" && value !== null) {
      walk(`${name}, spread`, { ...value });
      const proxy = new Proxy(value, {});
      look(
        `${name}, by a proxy, as JSON`,
        attempt(() => JSON.stringify(proxy)),
      );
      for (const [by, print] of Object.entries(printers)) {
        look(`${name}, by a proxy, by ${by}`, String(attempt(() => print(proxy))));
      }
    }
  };

  const errors: OpikError[] = [];
  const config: OpikConfig = {
    apiKey: KEY,
    url: collector,
    background: false,
    onError: (error) => errors.push(error),
    env: { OPIK_WORKSPACE: "w", OTHER: SENTINEL },
    redact: { keys: ["pin"] },
  };
  const opik = new Opik(config);
  const trace: Trace = opik.trace({ name: "t" });
  const span: Span = trace.span({ name: "s" });

  const plain: Record<string, unknown> = { span, trace: span.trace, client: opik };
  for (const [name, value] of Object.entries(plain)) {
    printed[`${name} as JSON`] = JSON.parse(JSON.stringify({ value })).value;
    for (const [by, print] of Object.entries(printers)) {
      if (!by.includes("as it is") && !by.includes("proxies")) printed[`${name} by ${by}`] = print(value);
    }
  }

  const things: Record<string, unknown> = {
    ...plain,
    "the client's fetch": opik.fetch,
    "the span's fetch": span.fetch,
    "a tracked function": opik.track(() => 1),
    "a queue's transport": queueTransport({ send: async () => {} }),
    "a relay": relay({ apiKey: KEY, url: collector, origins: ["https://a.test"], projectName: "p" }),
    "a wrapped handler": withOpik({ fetch: () => new Response("") }, () => config),
  };
  for (const [name, value] of Object.entries(things)) examine(name, value);

  // Examines the inside of a span, while it is current.
  const tracked = opik.track((...args: unknown[]) => args.length, { name: "tracked" });
  const own = { key: SENTINEL, fetch: async () => new Response(null, { status: 204 }) };
  const carried = new Opik({ apiKey: KEY, transport: own, background: false, onError: () => {} });
  await opik.span({ name: "inside", input: { span, list: [opik, new Map([["t", trace]])] } }, async (current) => {
    tracked(current, current.trace, opik, carried, { nested: [current] }, new Proxy(current, {}), things);
    current.update({ output: current, metadata: { current, trace: current.trace } });
    const timer = setTimeout(() => {}, 0);
    examine("a timer", timer);
    clearTimeout(timer);
    try {
      const name = ["node", "async_hooks"].join(":");
      const hooks = (await import(name)) as Partial<typeof import("node:async_hooks")>;
      if (hooks.executionAsyncResource)
        examine(
          "the running resource",
          attempt(() => hooks.executionAsyncResource?.()),
        );
    } catch {
      // This runtime lacks the module.
    }
    examine("the span of a client whose transport has the key", carried.span({}));
    examine("state that copies share", shared());
    // `track` under the current span, which gives it its scope.
    track((given: unknown) => given, { name: "ambient" })(current);
  });
  await flush();
  span.end();
  trace.end();
  // The value that cannot be kept is reported with the error that was caught.
  opik
    .span({
      input: {
        get bad() {
          throw new Error("bad");
        },
      },
    })
    .end();
  examine("a report", await opik.flush());

  // A backend that repeats the key when it refuses it.
  const refused = new Opik({ ...config, url: refusing });
  refused.span({}).end();
  refused.trace({ name: "refused" }).score({ name: "a", value: 1 });
  examine("a report of refused rows", await refused.flush());
  const broken = new Opik({
    ...config,
    transport: {
      fetch: async () => {
        throw new Error("down");
      },
    },
  });
  broken.span({}).end();
  examine("a report of what broke", await broken.flush({ timeoutMs: 50 }));
  for (const error of errors) examine(`the error ${error.code}`, error);
  printed["codes"] = [...new Set(errors.map(({ code }) => code))].sort();

  const wrong: Record<string, unknown>[] = [
    { apiKey: [SENTINEL] },
    { apiKey: { toString: () => SENTINEL } },
    { apiKey: `${SENTINEL}\nx` },
    { apiKey: `${SENTINEL}é` },
    { apiKey: new String(SENTINEL) },
    { apiKey: Symbol(SENTINEL) },
    { apiKey: SENTINEL, relayUrl: "https://a.test/relay" },
    { url: `http://user:${SENTINEL}@host:99999` },
    { url: `https://user:${SENTINEL}@host` },
    { url: [`https://user:${SENTINEL}@host`] },
    { url: `ftp://user:${SENTINEL}@host` },
    { url: `ftp://host/?key=${SENTINEL}` },
    { url: `host/?key=${SENTINEL}` },
    { url: SENTINEL },
    { workspace: [SENTINEL] },
    { projectName: { toString: () => SENTINEL } },
    { propagateTo: [`https://user:${SENTINEL}@host:99999`] },
    { propagateTo: `https://user:${SENTINEL}@host` },
    { propagateTo: [{ to: [SENTINEL] }] },
    { redact: { keys: { toString: () => SENTINEL } } },
    {
      redact: {
        get keys() {
          throw new Error("cannot be read");
        },
      },
    },
    { signals: [SENTINEL] },
    { sampleRate: SENTINEL },
    { limits: { fieldBytes: SENTINEL } },
    { transport: SENTINEL },
    { transport: { key: SENTINEL } },
    { env: { OPIK_API_KEY: `${SENTINEL}é` } },
    { env: { OPIK_URL_OVERRIDE: `http://user:${SENTINEL}@host:99999` } },
  ];
  for (const [index, given] of wrong.entries()) {
    const outcome = attempt(() => new Opik({ background: false, ...given } as OpikConfig));
    examine(`wrong configuration ${index}`, outcome);
    if (!(outcome instanceof Error)) printed[`taken ${index}`] = JSON.stringify(given);
    const lines: unknown[] = [];
    const { warn } = console;
    console.warn = (...args: unknown[]) => lines.push(...args);
    const handler = withOpik({ fetch: (..._: unknown[]) => new Response("") }, () => given as OpikConfig);
    await handler.fetch(new Request("https://a.test/"), {}, { waitUntil() {} });
    console.warn = warn;
    examine(`what is logged of wrong configuration ${index}`, lines);
  }
  return { leaks, printed, printers: Object.keys(printers), looks };
}
