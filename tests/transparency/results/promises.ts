// Results that are awaited: promises of every kind, and thenables. They note each call of `then`.

import { Lacks } from "../table.js";
import { builtin, type Ending, type Family, type Given, type Host, type Result, type Use } from "./host.js";

const uses: Record<string, Use> = {
  "not awaited": () => null,
  awaited: (given, host) => host.timely(() => given),
  "awaited twice": async (given, host) => [await host.timely(() => given), await host.timely(() => given)],
  "awaited a task later": async (given, host) => {
    await host.taskOver();
    return host.timely(() => given);
  },
  "awaited some microtasks later": async (given, host) => {
    for (let turn = 0; turn < 5; turn += 1) await null;
    return host.timely(() => given);
  },
  then: (given, host) =>
    host.timely(
      () =>
        new Promise((resolve) =>
          given.then(
            (...values: unknown[]) => resolve(["value", ...values]),
            (...errors: unknown[]) => resolve(["error", ...errors]),
          ),
        ),
    ),
  "then with one callback": async (given, host) => {
    const derived = given.then((...values: unknown[]) => host.note("value", ...values));
    const made = [derived?.constructor?.name, derived === given];
    return [...made, await Promise.race([host.timely(() => derived), host.told()])];
  },
  "then without callbacks": (given, host) => host.timely(() => given.then()),
  catch: (given, host) => host.timely(() => given.catch((error: unknown) => ["caught", error])),
  "catch without a callback": (given, host) => host.timely(() => given.catch()),
  finally: (given, host) => host.timely(() => given.finally((...args: unknown[]) => host.note("finally", ...args))),
  "catch and then": async (given, host) => {
    given.catch((error: unknown) => host.note("caught", error));
    return host.timely(() => given);
  },
  all: (given, host) => host.timely(() => Promise.all([given, given])),
  race: (given, host) => host.timely(() => Promise.race([given])),
  "given on by an async function": (given, host) => host.timely(async () => given),
  "its own method": (given, host) => host.timely(() => given.withResponse()),
  "its own state": (given, host) => [host.describe(given.status), typeof given.abort, given.abort?.()],
};

const DONE: Ending = "done";
/** Endings of a lazy result: only a use that asks for the outcome starts it. */
const ONLY_IF_ASKED = (ending: Ending): Record<string, Ending> => ({
  ...Object.fromEntries(Object.keys(uses).map((use) => [use, ending])),
  "not awaited": "unfinished",
  "its own method": "any",
  "its own state": "unfinished",
});

/** The same, if reading the constructor counts as asking. */
const OF_LANGUAGE = (ending: Ending): Record<string, Ending> => ({
  ...ONLY_IF_ASKED(ending),
  "not awaited": "any",
  "its own state": "any",
});

/** Promises of another realm return promises of that realm, which are not followed. */
const OF_ANOTHER_REALM = (ending: Ending): Record<string, Ending> => ({
  ...ONLY_IF_ASKED(ending),
  "then with one callback": "any",
  "then without callbacks": "any",
  "catch without a callback": "any",
});

const value = (host: Host): object => host.name({ answer: 42 }, "value");
const failure = (host: Host): Error => host.name(new RangeError("the host's error"), "error");

/** An SDK's promise, which sends its request on demand and reads the answer once. */
class ApiPromise extends Promise<unknown> {
  readonly #host: Host;
  readonly #answer: Promise<unknown>;
  #parsed: Promise<unknown> | undefined;

  constructor(host: Host, answer: Promise<unknown>) {
    super((resolve) => resolve(null));
    this.#host = host;
    this.#answer = answer;
  }

  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  #parse(): Promise<unknown> {
    this.#host.note("parse");
    this.#parsed ??= this.#answer.then((answer) => {
      this.#host.note("body read");
      return answer;
    });
    return this.#parsed;
  }

  async withResponse(): Promise<unknown> {
    return { data: await this.#parse(), response: await this.#answer };
  }

  override then(...args: Given[]): Given {
    this.#host.note("then", ...args);
    return this.#parse().then(...args);
  }

  override catch(...args: Given[]): Given {
    this.#host.note("catch", ...args);
    return this.#parse().catch(...args);
  }

  override finally(...args: Given[]): Given {
    this.#host.note("finally", ...args);
    return this.#parse().finally(...args);
  }
}

class OwnPromise<T> extends Promise<T> {}

class StatefulPromise<T> extends Promise<T> {
  status = "pending";
  abort(): string {
    return "aborted";
  }
}

/** Like Knex: a query that is sent each time it is awaited, and that emits events. */
class Query {
  readonly #host: Host;
  readonly #run: () => Promise<unknown>;

  constructor(host: Host, run: () => Promise<unknown>) {
    this.#host = host;
    this.#run = run;
  }

  where(): this {
    return this;
  }

  on(...args: unknown[]): this {
    this.#host.note("on", ...args);
    return this;
  }

  then(...args: Given[]): Promise<unknown> {
    this.#host.note("query sent", ...args);
    return this.#run().then(...args);
  }

  catch(...args: Given[]): Promise<unknown> {
    return this.then(undefined, ...args);
  }

  finally(...args: Given[]): Promise<unknown> {
    return this.#run().finally(...args);
  }

  pipe(): string {
    return "piped";
  }
}

/** Like Prisma: a plain object with functions, and a single call however often it is awaited. */
function prismaLike(host: Host): object {
  let sent: Promise<unknown> | undefined;
  const call = (): Promise<unknown> => {
    host.note("call");
    sent ??= Promise.resolve(value(host));
    return sent;
  };
  return {
    then: (...args: Given[]) => call().then(...args),
    catch: (...args: Given[]) => call().catch(...args),
    finally: (...args: Given[]) => call().finally(...args),
    requestTransaction: () => call(),
    [Symbol.toStringTag]: "PrismaPromise",
  };
}

/** Like jQuery: passes several values, and sets `this`. */
function jQueryLike(host: Host): object {
  const settings = host.name({}, "settings");
  return {
    then(...[fulfilled, , progress]: Given[]) {
      host.note("then", typeof fulfilled, typeof progress);
      progress?.call(settings, "half");
      fulfilled?.call(settings, value(host), "success", 200);
      return this;
    },
  };
}

/** A thenable that calls only the callbacks that it receives. */
function callbackLike(host: Host, isFailing: boolean): object {
  return {
    then(fulfilled?: Given, rejected?: Given) {
      host.note("then");
      host.later(() => (isFailing ? rejected?.(failure(host)) : fulfilled?.(value(host))));
    },
  };
}

/** Like execa: a process that emits events and has a promise's methods. */
function execaLike(host: Host, promise: Promise<unknown>): object {
  const child = Object.assign(new (builtin("events").EventEmitter)(), { pid: 1, stdout: null, kill: () => true });
  for (const name of ["then", "catch", "finally"] as const) {
    const method = promise[name] as (...args: Given[]) => unknown;
    const value = (...args: Given[]): unknown => Reflect.apply(method, promise, args);
    Reflect.defineProperty(child, name, { value, enumerable: false, configurable: true, writable: true });
  }
  host.after(() => promise.catch(() => {}));
  return child;
}

function elsewhere(source: string): Given {
  const { document } = globalThis as Given;
  if (!document) return builtin("vm").runInNewContext(source);
  const frame = document.createElement("iframe");
  document.body.append(frame);
  return frame.contentWindow.eval(source);
}

/** Checks for a feature before the call. In an async function the error would be an outcome of the case. */
const needs = (name: string, look: () => unknown): { readonly prepare: () => Promise<unknown> } => ({
  prepare: async () => {
    try {
      if (look()) return;
    } catch {
      // An error means that the feature is missing.
    }
    throw new Lacks(name);
  },
});
const EVENTS = needs("node:events", () => builtin("events"));
const ANOTHER_REALM = needs("another realm", () => elsewhere("Promise"));

/** Handles the promise's rejection at the end of the case. */
function handled<T extends Given>(promise: T, host: Host): T {
  host.after(() => Promise.prototype.then.call(promise, undefined, () => {}));
  return promise;
}

const results: Record<string, Result> = {
  resolved: { make: (host) => host.name(Promise.resolve(value(host)), "value given") },
  rejected: { make: (host) => handled(host.name(Promise.reject(failure(host)), "value given"), host), ends: "failed" },
  "settled later": {
    make: (host) => host.name(new Promise((resolve) => host.later(() => resolve(value(host)))), "value given"),
  },
  "rejected later": {
    make: (host) =>
      handled(host.name(new Promise((_, reject) => host.later(() => reject(failure(host)))), "value given"), host),
    ends: "failed",
  },
  "kept by the host": {
    prepare: async (host) => [host.name(Promise.resolve(value(host)), "value given")],
    make: (_, [kept]) => kept,
  },
  "with members": {
    make: (host) =>
      host.name(Object.assign(Promise.resolve(value(host)), { status: "sent", abort: () => "aborted" }), "value given"),
    ends: OF_LANGUAGE(DONE),
  },
  "with members, rejected": {
    make: (host) =>
      handled(host.name(Object.assign(Promise.reject(failure(host)), { abort: () => "aborted" }), "value given"), host),
    ends: OF_LANGUAGE("failed"),
  },
  "with methods of its own": {
    make: (host) => {
      const promise = Promise.resolve(value(host));
      const withResponse = async (): Promise<unknown> => ({ data: await promise });
      return host.name(Object.assign(promise, { withResponse }), "value given");
    },
    ends: OF_LANGUAGE(DONE),
  },
  "a proxy of one": {
    make: (host) => host.name(new Proxy(Promise.resolve(value(host)), {}), "value given"),
    ends: "any",
  },
  "a proxy of one, bound": {
    make(host) {
      const get = (target: Given, name: PropertyKey): unknown =>
        typeof target[name] === "function" ? target[name].bind(target) : target[name];
      return host.name(new Proxy(Promise.resolve(value(host)), { get }), "value given");
    },
    ends: "any",
  },
  "what has its prototype alone": {
    make: (host) => host.name(Object.create(Promise.prototype), "value given"),
    ends: "any",
  },
  frozen: { make: (host) => host.name(Object.freeze(Promise.resolve(value(host))), "value given") },
  "with a class of its own": {
    make: (host) => host.name(OwnPromise.resolve(value(host)), "value given"),
    ends: OF_LANGUAGE(DONE),
  },
  "with a class of its own, rejected": {
    make: (host) => handled(host.name(OwnPromise.reject(failure(host)), "value given"), host),
    ends: OF_LANGUAGE("failed"),
  },
  "with a class and state of its own": {
    make: (host) => host.name(StatefulPromise.resolve(value(host)), "value given"),
    ends: OF_LANGUAGE(DONE),
  },
  "of an SDK": {
    make: (host) => host.name(new ApiPromise(host, Promise.resolve(value(host))), "value given"),
    ends: ONLY_IF_ASKED(DONE),
  },
  "of an SDK, rejected": {
    make: (host) => host.name(new ApiPromise(host, handled(Promise.reject(failure(host)), host)), "value given"),
    ends: ONLY_IF_ASKED("failed"),
  },
  "a process": {
    ...EVENTS,
    make: (host) => host.name(execaLike(host, Promise.resolve(value(host))), "value given"),
    ends: ONLY_IF_ASKED(DONE),
  },
  "a process that fails": {
    ...EVENTS,
    make: (host) => host.name(execaLike(host, handled(Promise.reject(failure(host)), host)), "value given"),
    ends: ONLY_IF_ASKED("failed"),
  },
  "a query": {
    make: (host) => host.name(new Query(host, async () => value(host)), "value given"),
    ends: ONLY_IF_ASKED(DONE),
  },
  "a query that fails": {
    make: (host) => host.name(new Query(host, async () => Promise.reject(failure(host))), "value given"),
    ends: ONLY_IF_ASKED("failed"),
  },
  "an object of functions": { make: (host) => host.name(prismaLike(host), "value given"), ends: ONLY_IF_ASKED(DONE) },
  "frozen query": {
    make: (host) => host.name(Object.freeze(new Query(host, async () => value(host))), "value given"),
    ends: "at once",
  },
  "several values": { make: (host) => host.name(jQueryLike(host), "value given"), ends: "any" },
  callbacks: { make: (host) => host.name(callbackLike(host, false), "value given"), ends: "any" },
  "callbacks, failing": { make: (host) => host.name(callbackLike(host, true), "value given"), ends: "any" },
  "`then` throws": {
    make: (host) =>
      host.name(
        {
          then(): never {
            host.note("then");
            throw failure(host);
          },
        },
        "value given",
      ),
    ends: "any",
  },
  "`then` is looked at": {
    make: (host) => {
      const object = {};
      Object.defineProperty(object, "then", {
        get: () => (fulfilled?: Given) => fulfilled?.(value(host)),
        configurable: true,
      });
      return host.name(object, "value given");
    },
    ends: "any",
  },
  "`then` has members": {
    make: (host) => {
      const then = Object.assign((fulfilled?: Given) => void fulfilled?.(value(host)), { mock: { calls: [] } });
      return host.name({ then }, "value given");
    },
    ends: "any",
  },
  "a function": {
    make: (host) =>
      host.name(
        Object.assign(() => "called", {
          then: (fulfilled?: Given) => void fulfilled?.(value(host)),
        }),
        "value given",
      ),
    ends: "any",
  },
  "a stub, all of whose members are functions": {
    make: (host) => {
      const stub = new Proxy(function stub() {}, {
        get: (_, name) =>
          typeof name === "symbol"
            ? undefined
            : (...args: Given[]) => {
                host.note(`call of ${name}`);
                if (name === "then") args[0]?.(1);
              },
      });
      return host.name(stub, "value given");
    },
    ends: "any",
  },
  "of another realm": {
    ...ANOTHER_REALM,
    make: (host) => host.name(elsewhere("Promise.resolve(42)"), "value given"),
    ends: OF_ANOTHER_REALM(DONE),
  },
  "of another realm, rejected": {
    ...ANOTHER_REALM,
    make: (host) => {
      const promise = elsewhere("Promise.reject(new RangeError('of another realm'))");
      host.after(() => promise.catch(() => {}));
      return host.name(promise, "value given");
    },
    ends: OF_ANOTHER_REALM("failed"),
  },
};

export const PROMISES: Family = { results, uses, ends: DONE, isAwaited: true };
