// The program of results.test.ts. Calls a function for each row, one after the other, on one side, and uses the result as
// a host would. Returns the host's observations, and on the traced side the recorded spans.

import {
  span as ambientSpan,
  track as ambientTrack,
  getDistributedTraceHeaders,
  Opik,
  type OpikConfig,
} from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { type FakeClock, InMemoryExporter, useFakeClock } from "opik-edge/testing";
import { described } from "./consumers.js";
import {
  BODIES,
  builtin,
  type Family,
  type Given,
  Host,
  ITERATORS,
  macrotask,
  NODE_STREAMS,
  PROMISES,
  RESPONSES,
  VALUES,
} from "./results/index.js";
import type { Side } from "./sides.js";
import { type Columns, Lacks, type Row } from "./table.js";
import { watchUnhandled } from "./unhandled.js";

/** Input of the program. */
export interface ResultsConfig {
  readonly side: Side;
  readonly isTraced: boolean;
  /** URL of the recording server. */
  readonly url: string;
  readonly family: string;
  readonly cases: readonly { readonly id: number; readonly row: Row }[];
}

/** Output of the program. */
export interface ResultsResult {
  /** The observation of each case, or `{ lacks }`. */
  readonly observations: Record<number, unknown>;
  /** The recorded spans of each case. */
  readonly recorded: Record<number, Recorded[]>;
  /** Errors that the package reported. */
  readonly reports: readonly string[];
  /** `true` if spans stay current across an `await`. */
  readonly hasAsyncContext: boolean;
}

/** A recorded span. */
export interface Recorded {
  readonly how: "done" | "failed" | "cancelled" | "stopped" | "unfinished";
  readonly output: unknown;
  readonly error: unknown;
}

export const FAMILIES: Readonly<Record<string, Family>> = {
  values: VALUES,
  promises: PROMISES,
  iterators: ITERATORS,
  "Node streams": NODE_STREAMS,
  bodies: BODIES,
  "returned responses": RESPONSES,
};

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

// --- Kinds of functions

/** A function that returns the result of `make`, and its way of being called. */
interface Kind {
  readonly fn: AnyFunction;
  readonly self?: object;
  readonly isConstructor?: true;
}

const KINDS: Record<string, (make: (self: unknown, args: unknown[]) => unknown, host: Host) => Kind> = {
  sync: (make) => ({
    fn: function plain(this: unknown, ...args: unknown[]) {
      return make(this, args);
    },
  }),
  async: (make) => ({
    fn: async function later(this: unknown, ...args: unknown[]) {
      return make(this, args);
    },
  }),
  arrow: (make) => ({ fn: (...args) => make(undefined, args) }),
  method: (make, host) => {
    const self = host.name(
      {
        method(...args: unknown[]) {
          return make(this, args);
        },
      },
      "this",
    );
    return { fn: self.method as AnyFunction, self };
  },
  bound: (make, host) => {
    const fn = function plain(this: unknown, ...args: unknown[]) {
      return make(this, args);
    };
    return { fn: fn.bind(host.name({}, "bound this"), "bound argument") };
  },
  "bound, async": (make, host) => {
    const fn = async function plain(this: unknown, ...args: unknown[]) {
      return make(this, args);
    };
    return { fn: fn.bind(host.name({}, "bound this")) };
  },
  generator: (make) => ({
    fn: function* generate(this: unknown, ...args: unknown[]) {
      yield make(this, args);
    },
  }),
  "async generator": (make) => ({
    fn: async function* generate(this: unknown, ...args: unknown[]) {
      yield make(this, args);
    },
  }),
  "with members": (make) => {
    const fn = (...args: unknown[]): unknown => make(undefined, args);
    return { fn: Object.assign(fn, { cache: new Map(), displayName: "shown", [Symbol.for("meta")]: 1 }) };
  },
  mock: (make, host) => ({ fn: mock((self, args) => make(self, args), host) }),
  class: (make) => ({
    fn: class Model {
      static #made = 0;
      static made(): number {
        return Model.#made;
      }
      constructor(...args: unknown[]) {
        Model.#made += 1;
        // biome-ignore lint/correctness/noConstructorReturn: this is the case under test
        return make(new.target === Model ? "new.target" : new.target, args) as Model;
      }
    } as unknown as AnyFunction,
    isConstructor: true,
  }),
};

/** A mock like Jest's. */
function mock(make: (self: unknown, args: unknown[]) => unknown, host: Host): AnyFunction {
  const state = { calls: [] as unknown[][], results: [] as object[], instances: [] as unknown[] };
  host.after(() => host.conclude(state.calls, state.instances, state.results));
  const fn = function mockConstructor(this: unknown, ...args: unknown[]): unknown {
    state.calls.push(args);
    state.instances.push(this);
    try {
      const value = make(this, args);
      state.results.push({ type: "return", value });
      return value;
    } catch (value) {
      state.results.push({ type: "throw", value });
      throw value;
    }
  };
  return Object.assign(fn, { _isMockFunction: true, getMockName: () => "mock", mock: state, mockClear() {} });
}

// --- Ways to trace the function

const CLIENTS: Record<string, OpikConfig> = {
  recording: {},
  "in no sample": { sampleRate: 0 },
  disabled: { disabled: true },
};

/** Returns the function that the host calls in place of `fn`. */
type Entry = (fn: AnyFunction, name: string, opik: Opik, host: Host) => AnyFunction;

const IDS = {
  opik_trace_id: "0193b3a5-7c1f-7000-8000-000000000001",
  opik_parent_span_id: "0193b3a5-7c1f-7000-8000-000000000002",
};

const ENTRIES: Record<string, Entry> = {
  "opik.track": (fn, name, opik) => opik.track(fn, { name }),
  "track of the package": (fn, name) => ambientTrack(fn, { name }),
  "opik.track, twice": (fn, name, opik) => opik.track(opik.track(fn, { name }), { name }),
  "opik.span": (fn, name, opik) => scoped((run) => opik.span({ name }, run), fn),
  "span of the package": (fn, name) => scoped((run) => ambientSpan({ name }, run), fn),
  "span.span": (fn, name, opik) => scoped((run) => opik.span().span({ name }, run), fn),
  "trace.span": (fn, name, opik) => scoped((run) => opik.trace().span({ name }, run), fn),
  distributedHeaders: (fn, name, opik) => scoped((run) => opik.distributedHeaders(IDS, run, { name }), fn),
  "distributedHeaders, no span": (fn, name, opik) =>
    scoped((run) => opik.distributedHeaders(IDS, run as () => unknown, { name, span: false }), fn),
};

/** Calls `fn` without the span that `run` receives. `run` is a proxy of `fn`, because tracing checks the kind of function. */
function scoped(open: (run: AnyFunction) => unknown, fn: AnyFunction): AnyFunction {
  const run = new Proxy(fn, { apply: (_, self: unknown) => Reflect.apply(fn, self, []) });
  return function (this: unknown) {
    return this === undefined ? open(run) : open(() => Reflect.apply(fn, this, []));
  };
}

/** Places in which the call is made. */
const PLACES = ["outside", "in a span", "in an invocation"];

const COMMON: Columns = {
  kind: Object.keys(KINDS),
  entry: Object.keys(ENTRIES),
  place: PLACES,
  client: Object.keys(CLIENTS),
  looked: ["before", "after"],
};

/** The columns of a family. */
export function columnsOf(family: string): Columns {
  const { results, uses } = FAMILIES[family]!;
  return { result: Object.keys(results), use: Object.keys(uses), ...COMMON };
}

// --- A run

/** Installed once, even if a Worker is called several times. */
let unhandled: unknown[] | undefined;

export async function run({ side, isTraced, url, family, cases }: ResultsConfig): Promise<ResultsResult> {
  // A fake clock for tracing only, so that an invocation's waiting passes at once.
  const clock = useFakeClock(Date.now());
  const tracing = new Tracing(clock);
  unhandled ??= watchUnhandled(described);
  const observations: Record<number, unknown> = {};
  for (const { id, row } of cases) {
    const host = new Host(`${url}/${side}/${id}/`, isTraced ? tracing.fetch : fetch.bind(globalThis));
    const one = new OneCase(`case ${id}`, FAMILIES[family]!, row, host, isTraced ? tracing : undefined);
    const observed = await one.observe();
    await macrotask();
    await macrotask();
    observations[id] = { ...(observed as object), unhandled: unhandled.splice(0) };
  }
  const hasAsyncContext = await tracing.client("recording").span({}, async () => {
    await null;
    return getDistributedTraceHeaders() !== null;
  });
  const recorded = await tracing.recorded();
  clock.restore();
  return { observations, recorded, reports: tracing.reports, hasAsyncContext };
}

/** Clients that keep their rows in memory. */
class Tracing {
  readonly #exporter = new InMemoryExporter();
  readonly #clients = new Map<string, Opik>();
  readonly reports: string[] = [];

  constructor(readonly clock: FakeClock) {}

  readonly fetch: typeof globalThis.fetch = (...args) => {
    const { fetch } = this.client("recording");
    return fetch(...(args as [string]));
  };

  config(client: string): OpikConfig {
    const onError = ({ code, message }: { code: string; message: string }) => this.reports.push(`${code}: ${message}`);
    const config = { url: "http://opik.invalid/api", transport: this.#exporter, background: false, onError };
    return { ...config, ...CLIENTS[client] };
  }

  client(name: string): Opik {
    const client = this.#clients.get(name) ?? new Opik(this.config(name));
    this.#clients.set(name, client);
    return client;
  }

  async recorded(): Promise<Record<number, Recorded[]>> {
    for (const client of this.#clients.values()) await client.flush();
    const rows: Record<number, Recorded[]> = {};
    for (const { name, metadata, error_info: error, output } of this.#exporter.spans) {
      const [, id] = /^case (\d+)$/.exec(name ?? "") ?? [];
      if (id === undefined) continue;
      const said = Object.keys((metadata as object | undefined) ?? {});
      const [how] = (["unfinished", "cancelled", "stopped_reading"] as const).filter((key) =>
        said.includes(`opik_edge_${key}`),
      );
      const ending = how === "stopped_reading" ? "stopped" : (how ?? (error ? "failed" : "done"));
      (rows[Number(id)] ??= []).push({ how: ending, output, error });
    }
    return rows;
  }
}

/** Time limit for a case that never ends. */
const HANGS_MS = 3000;

class OneCase {
  constructor(
    readonly name: string,
    readonly family: Family,
    readonly row: Row,
    readonly host: Host,
    readonly tracing: Tracing | undefined,
  ) {}

  async observe(): Promise<unknown> {
    let timer: unknown;
    const hung = new Promise((resolve) => {
      timer = setTimeout(() => resolve({ outcome: "hangs" }), HANGS_MS);
    });
    try {
      return await Promise.race([this.#inPlace(() => this.#observe()), hung]);
    } catch (error) {
      if (isLack(error)) return { lacks: error.message };
      throw error;
    } finally {
      clearTimeout(timer as number);
      await this.host.cleanUp();
    }
  }

  #inPlace(observe: () => Promise<unknown>): Promise<unknown> {
    const { tracing } = this;
    const { place, client } = this.row as { place: string; client: string };
    if (!tracing || place === "outside") return observe();
    if (place === "in a span") return tracing.client(client).span({ name: "around" }, observe);
    return this.#inInvocation(tracing, client, observe);
  }

  async #inInvocation(tracing: Tracing, client: string, observe: () => Promise<unknown>): Promise<unknown> {
    const held: Promise<unknown>[] = [];
    const ctx = { waitUntil: (promise: Promise<unknown>) => held.push(promise), passThroughOnException() {} };
    let observed: Promise<unknown> | undefined;
    const handler = {
      async fetch(_request: Request, _env: object, _ctx: object): Promise<Response> {
        observed = observe();
        await observed.catch(() => {});
        return new Response("observed");
      },
    };
    const { fetch } = withOpik(handler, () => tracing.config(client));
    await (await fetch(new Request("http://host.test/"), {}, ctx as never)).text();
    // Tracing waits for open spans as long as a runtime may keep the invocation alive.
    let isOver = false;
    void Promise.all(held).then(() => {
      isOver = true;
    });
    while (!isOver) await tracing.clock.advance(1000);
    return observed;
  }

  async #observe(): Promise<unknown> {
    const { host, row, family } = this;
    const { prepare, make } = family.results[row["result"]!]!;
    const prepared = await prepare?.(host);
    const seen: unknown[] = [];
    let made: unknown;
    const kind = KINDS[row["kind"]!]!((self, args) => {
      seen.push(host.describe(self), host.describe(args));
      made = make(host, prepared);
      return made;
    }, host);
    const called = this.#traced(kind);
    const shapeOfFunction = called === kind.fn || row["entry"]!.includes("track") ? functionShape(called) : undefined;
    const state: Record<string, unknown> = {};
    host.begin();
    let given: Given;
    try {
      given = this.#call(kind, called);
    } catch (error) {
      if (isLack(error)) throw error;
      return { outcome: "thrown", thrown: host.describe(error), function: this.#ofTrack(shapeOfFunction), seen };
    }
    if (row["kind"]!.includes("generator") || (row["kind"]!.includes("async") && !family.isAwaited)) {
      state["returned"] = shape(given, host, false);
      try {
        given = row["kind"]!.includes("generator") ? (await given.next()).value : await given;
      } catch (error) {
        if (isLack(error)) throw error;
        return { outcome: "rejected", ...state, rejected: host.describe(error), at: host.at, seen };
      }
    }
    const isSame = given === made || host.describe(given) === host.describe(made);
    const before = row["looked"] === "before" && shape(given, host, true);
    let used: unknown;
    try {
      used = (await family.uses[row["use"]!]!(given, host)) ?? null;
      if (row["result"]!.includes("FormData")) used = withoutBoundary(used);
    } catch (error) {
      if (isLack(error)) throw error;
      used = { error: host.describe(error) };
    }
    await (family.isAwaited ? host.told() : macrotask());
    await host.idle();
    return {
      ...state,
      isSame,
      shape: before || shape(given, host, true),
      used,
      function: this.#ofTrack(shapeOfFunction),
      seen,
      notes: host.notes,
      conclusions: host.conclusions,
      owned: host.owned(),
    };
  }

  /** Wraps the host's function in the way that the row names. */
  #traced({ fn, isConstructor }: Kind): AnyFunction {
    const { tracing, row, host, name } = this;
    if (!tracing) return fn;
    const entry = row["entry"]!;
    if (isConstructor && !entry.includes("track")) return fn;
    return ENTRIES[entry]!(fn, name, tracing.client(row["client"]!), host);
  }

  #call({ self, isConstructor }: Kind, called: AnyFunction): unknown {
    const args = this.row["entry"]!.includes("track") ? [this.host.name({ arg: 1 }, "argument"), 2] : [];
    if (isConstructor) return Reflect.construct(called, args);
    if (self === undefined) return called(...args);
    return Reflect.apply(called, self, args);
  }

  /** The function's shape, for `track` only: with a span, the host keeps its own function. */
  #ofTrack(shapeOfFunction: unknown): unknown {
    return this.row["entry"]!.includes("track") ? shapeOfFunction : undefined;
  }
}

/** A host may throw a proxy that refuses every inspection. */
function isLack(error: unknown): error is Lacks {
  try {
    return error instanceof Lacks;
  } catch {
    return false;
  }
}

function functionShape(fn: Given): unknown {
  const types = builtin("util")?.types;
  return {
    name: fn.name,
    length: fn.length,
    own: Reflect.ownKeys(fn).map(String).sort(), // Firefox orders keys by first access
    tag: Object.prototype.toString.call(fn),
    class: fn.constructor?.name,
    isFunction: fn instanceof Function,
    prototype: fn.prototype && Reflect.ownKeys(fn.prototype).map(String),
    members: [
      fn.displayName,
      fn.cache instanceof Map,
      fn._isMockFunction,
      fn.mock?.calls.length,
      fn.made && attempted(() => fn.made()),
    ],
    text: Function.prototype.toString.call(fn).includes("[native code]"),
    types: [types?.isAsyncFunction?.(fn), types?.isGeneratorFunction?.(fn)],
  };
}

function attempted(step: () => unknown): unknown {
  try {
    return step();
  } catch (error) {
    return described(error);
  }
}

/** Symbols that Node adds to promises while any package uses AsyncLocalStorage. */
const OF_NODE = /^Symbol\((async_id_symbol|trigger_async_id_symbol|kResourceStore)\)$/;
/** The shape of a value. Tracing may replace methods, but must not add members that a loop meets. */
function shape(given: Given, host: Host, isDeep: boolean): unknown {
  if ((typeof given !== "object" && typeof given !== "function") || given === null)
    return { value: host.describe(given) };
  return attempted(() => {
    const descriptors = Object.entries(Object.getOwnPropertyDescriptors(given) as Record<string, PropertyDescriptor>);
    const keys = Reflect.ownKeys(given)
      .map(String)
      .filter((key) => !OF_NODE.test(key));
    const symbols = Object.getOwnPropertySymbols(given).filter((symbol) =>
      Object.prototype.propertyIsEnumerable.call(given, symbol),
    );
    const own = [...descriptors.filter(([, { enumerable }]) => enumerable).map(([key]) => key), ...symbols.map(String)];
    return {
      type: typeof given,
      class: given.constructor?.name,
      isOfPrototype: Object.getPrototypeOf(given) === given.constructor?.prototype,
      tag: Object.prototype.toString.call(given),
      own: own.filter((key) => !OF_NODE.test(key)),
      hidden: keys.filter((key) => !own.includes(key)),
      isExtensible: Object.isExtensible(given),
      isFrozen: Object.isFrozen(given),
      json: attempted(() => JSON.stringify(given)),
      ...(isDeep && { inspected: inspected(given) }),
      ...(given instanceof Response && isDeep && { response: withoutBody(given) }),
    };
  });
}

/** Leaves the body out, because reading `body` makes Bun drop the headers that it derives from the body. */
function withoutBody(response: Response): unknown {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
  return { status, statusText, ok, type, url, redirected, bodyUsed, headers: withoutBoundary([...response.headers]) };
}

/** Replaces the boundary of form data, and the sum that depends on it, because both are random. */
function withoutBoundary<T>(observed: T): T {
  const text = JSON.stringify(observed).replace(/"sum":-?\d+/g, '"sum":0');
  return JSON.parse(
    text.replace(/-+\w*formdata[-\w]*|-+WebKitFormBoundary\w+|-{4,}[-\w]{10,}|--[0-9a-f]{15,}/gi, "BOUNDARY"),
  );
}

function inspected(given: unknown): unknown {
  const { Deno, Bun } = globalThis as Given;
  const inspect = Deno?.inspect ?? Bun?.inspect ?? builtin("util")?.inspect;
  if (!inspect) return null;
  return attempted(() =>
    String(inspect(given, { depth: 1 }))
      .replace(/^\s*at .*$/gm, "")
      .replace(
        /,?\s*\[Symbol\((async_id_symbol|trigger_async_id_symbol|kResourceStore)\)\]: (\w+|\{(?:[^{}]|\{[^{}]*\})*\}|\[\w+\])/g,
        "",
      )
      .replace(/\[?state\]?: ['"]\w+['"]/, "state")
      .replace(/boundary=[-\w]+/, "boundary")
      .replace(/\s+/g, " "),
  );
}
