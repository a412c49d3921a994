// Results that are there at once: values, and objects without an outcome. Tracing reads them only to record them.

import { Lacks } from "../table.js";
import { builtin, type Family, type Given, type Host, type Result } from "./host.js";

const same = (value: Given): Result => ({ make: (host) => (isObject(value) ? host.name(value, "value") : value) });
const fresh = (make: (host: Host) => unknown, ends?: Result["ends"]): Result => ({
  make: (host) => host.name(make(host), "value"),
  ...(ends && { ends }),
});

const isObject = (value: unknown): boolean =>
  (typeof value === "object" && value !== null) || typeof value === "function";

class Account {
  readonly #secret = 1;
  public_ = 2;
  get secret(): number {
    return this.#secret;
  }
}

/** A stub: every property except `then` is a remote method. */
function stub(host: Host): object {
  const target = function stub() {};
  return new Proxy(target, {
    get(_, name) {
      if (name === "then" || typeof name === "symbol") return undefined;
      return (...args: unknown[]) => host.note(`call of ${name}`, ...args);
    },
    apply: () => host.note("call"),
  });
}

function throwing(): object {
  const refuse = (): never => {
    throw new RangeError("the proxy refuses");
  };
  const traps = [
    "get",
    "has",
    "ownKeys",
    "getPrototypeOf",
    "getOwnPropertyDescriptor",
    "defineProperty",
    "isExtensible",
  ];
  return new Proxy({}, Object.fromEntries(traps.map((trap) => [trap, refuse])));
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const lack = (name: string): never => {
  throw new Lacks(name);
};

const results: Record<string, Result> = {
  undefined: same(undefined),
  null: same(null),
  boolean: same(false),
  number: same(Number.NaN),
  string: same("text"),
  bigint: same(10n ** 30n),
  symbol: { make: () => Symbol.iterator },
  "plain object": fresh(() => ({ answer: 42 })),
  "object without prototype": fresh(() => Object.assign(Object.create(null), { answer: 42 })),
  array: fresh(() => [1, { two: 2 }]),
  "frozen object": fresh(() => Object.freeze({ answer: 42 })),
  "frozen array": fresh(() => Object.freeze([1])),
  "circular object": fresh(() => {
    const object: Record<string, unknown> = {};
    object["self"] = object;
    return object;
  }),
  "instance of a class": fresh(() => new Account()),
  function: fresh(() => () => 1),
  "async function": fresh(() => async () => 1),
  class: fresh(() => Account),
  error: fresh(() => new RangeError("is returned")),
  date: fresh(() => new Date(0)),
  "regular expression": fresh(() => /x/g),
  Map: fresh(() => new Map([[1, 2]])),
  Set: fresh(() => new Set([1])),
  WeakMap: fresh(() => new WeakMap()),
  WeakRef: fresh(() => (typeof WeakRef === "undefined" ? lack("WeakRef") : new WeakRef({}))),
  ArrayBuffer: fresh(() => new ArrayBuffer(4)),
  "typed array": fresh((host) => host.own(new Uint8Array(4), "bytes")),
  Buffer: fresh((host) => {
    const buffer = (globalThis as Given).Buffer;
    return buffer ? host.own(buffer.from("pooled"), "buffer") : lack("Buffer");
  }),
  Blob: fresh(() => new Blob(["text"], { type: "text/x" })),
  File: fresh(() => (typeof File === "undefined" ? lack("File") : new File(["text"], "name.txt", { lastModified: 0 }))),
  FormData: fresh(() => {
    const form = new FormData();
    form.append("a", "1");
    return form;
  }),
  Headers: fresh(() => new Headers({ "x-a": "1" })),
  URL: fresh(() => new URL("http://host.test/a?b")),
  URLSearchParams: fresh(() => new URLSearchParams("a=1")),
  Request: fresh(() => new Request("http://host.test/a", { method: "POST", body: "text" })),
  "Request with a stream": fresh(() => {
    const body = new ReadableStream({ start: (controller) => controller.close() });
    return new Request("http://host.test/a", { method: "POST", body, duplex: "half" } as RequestInit);
  }),
  AbortController: fresh(() => new AbortController()),
  AbortSignal: fresh(() => new AbortController().signal),
  EventTarget: fresh(() => new EventTarget()),
  EventEmitter: fresh(() => {
    const events = builtin("events");
    return events ? new events.EventEmitter() : lack("node:events");
  }),
  WritableStream: fresh(() => new WritableStream()),
  TransformStream: fresh(() => new TransformStream()),
  "array of promises": fresh(() => [Promise.resolve(1)]),
  "object with a promise": fresh(() => ({ promise: Promise.resolve(1) })),
  "object with a `then` that is no function": fresh(() => ({ then: 5 })),
  "object whose `then` throws when it is looked at": fresh(() => ({
    get then(): never {
      throw new RangeError("the getter throws");
    },
  })),
  "object whose `next` throws when it is looked at": fresh(() => ({
    get next(): never {
      throw new RangeError("the getter throws");
    },
  })),
  "object whose `on` throws when it is looked at": fresh(() => ({
    get on(): never {
      throw new RangeError("the getter throws");
    },
  })),
  "object whose `toJSON` throws": fresh(() => ({
    toJSON(): never {
      throw new RangeError("toJSON throws");
    },
  })),
  "object with `on` and nothing else": fresh((host) => ({ on: (...args: unknown[]) => host.note("on", ...args) })),
  "object with `pipe` and nothing else": fresh((host) => ({
    pipe: (...args: unknown[]) => host.note("pipe", ...args),
  })),
  "object with `next` that is not iterable": fresh((host) => ({ next: () => host.note("next") })),
  "object with getters": fresh((host) => {
    const object = {};
    Object.defineProperty(object, "value", { enumerable: true, get: () => (host.note("get value"), 1) });
    return object;
  }),
  proxy: fresh(() => new Proxy({ answer: 42 }, {})),
  "proxy that throws": { make: (host) => host.name(throwing(), "value") },
  "proxy that is revoked": { make: (host) => host.name(revoked(), "value") },
  "stub of something far away": fresh(stub),
  "error thrown": {
    make: (host) => {
      throw host.name(new RangeError("the host's error"), "the error");
    },
    ends: "failed at once",
  },
  "undefined thrown": {
    make: () => {
      throw undefined;
    },
    ends: "failed at once",
  },
  "frozen error thrown": {
    make: (host) => {
      throw host.name(Object.freeze(new RangeError("the host's error")), "the error");
    },
    ends: "failed at once",
  },
  "promise thrown": {
    make: (host) => {
      throw host.name(new Promise(() => {}), "the promise");
    },
    ends: "failed at once",
  },
  "revoked proxy thrown": {
    make: (host) => {
      throw host.name(revoked(), "the proxy");
    },
    ends: "failed at once",
  },
};

export const VALUES: Family = {
  results,
  uses: { "not used": () => null, cloned: (given) => void structuredClone(given) },
  ends: "at once",
};
