// Results that are iterated: generators, iterators, iterables, and the SDKs' stream objects, which also emit events.

import { Lacks } from "../table.js";
import { type Family, type Given, type Host, macrotask, type Result, type Use } from "./host.js";

const isOf = (given: Given, symbol: symbol): boolean => typeof given?.[symbol] === "function";

/** Iterates in the way that the value supports. */
async function each(given: Given, step: (value: unknown, count: number) => boolean | undefined): Promise<void> {
  let count = 0;
  const isAsync = isOf(given, Symbol.asyncIterator);
  if (isAsync) {
    for await (const value of given) if (step(value, count++)) break;
  } else {
    for (const value of given) if (step(value, count++)) break;
  }
}

const iterate: Use = async (given, host) => {
  const values: unknown[] = [];
  await each(given, (value) => void values.push(host.describe(value)));
  return values;
};

const next = async (given: Given, host: Host, ...args: unknown[]): Promise<unknown> => {
  const iterator = given.next ? given : (given[Symbol.asyncIterator] ?? given[Symbol.iterator]).call(given);
  return host.outcome(() => iterator.next(...args));
};

const uses: Record<string, Use> = {
  "not used": () => null,
  iterated: iterate,
  "iterated twice": async (given, host) => [await iterate(given, host), await iterate(given, host)],
  left: async (given, host) => {
    const values: unknown[] = [];
    await each(given, (value) => {
      values.push(host.describe(value));
      return true;
    });
    return values;
  },
  "left by an error": async (given, host) => {
    const error = host.name(new RangeError("the host's error"), "error");
    return host.outcome(() =>
      each(given, () => {
        throw error;
      }),
    );
  },
  "by hand": async (given, host) => {
    const iterator = given.next ? given : (given[Symbol.asyncIterator] ?? given[Symbol.iterator]).call(given);
    const steps: unknown[] = [];
    for (let step = 0; step < 5; step += 1) steps.push(await host.outcome(() => iterator.next(`arg ${step}`)));
    return steps;
  },
  "one step": (given, host) => next(given, host, "arg"),
  "two steps at once": async (given, host) => {
    const iterator = given.next ? given : (given[Symbol.asyncIterator] ?? given[Symbol.iterator]).call(given);
    return Promise.all([host.outcome(() => iterator.next()), host.outcome(() => iterator.next())]);
  },
  returned: async (given, host) => {
    const iterator = given.next ? given : (given[Symbol.asyncIterator] ?? given[Symbol.iterator]).call(given);
    return [await host.outcome(() => iterator.next()), await host.outcome(() => iterator.return("the host's value"))];
  },
  "thrown into": async (given, host) => {
    const error = host.name(new RangeError("the host's error"), "error");
    const iterator = given.next ? given : (given[Symbol.asyncIterator] ?? given[Symbol.iterator]).call(given);
    return [await host.outcome(() => iterator.next()), await host.outcome(() => iterator.throw(error))];
  },
  spread: (given, host) => host.describe([...given]),
  delegated: async (given, host) => {
    const sync = isOf(given, Symbol.iterator);
    const outer = sync
      ? (function* () {
          yield* given;
        })()
      : (async function* () {
          yield* given;
        })();
    return iterate(outer, host);
  },
  "its own members": async (given, host) => {
    const { controller } = given;
    return [controller?.constructor?.name, given.size, await host.outcome(() => given.finalMessage?.())];
  },
  "by events": async (given, host) => {
    for (const event of ["content", "end", "abort", "error"]) {
      given.on(event, (...args: unknown[]) => host.note(`on ${event}`, ...args));
    }
    await given.done().catch(() => {});
    await macrotask();
    return [given.ended, given.errored, given.aborted];
  },
  aborted: async (given, host) => {
    given.abort();
    return [await host.outcome(() => given.finalMessage()), given.ended, given.errored, given.aborted];
  },
  iterable: (given, host) => {
    const [one, other] = [given[Symbol.asyncIterator]?.(), given[Symbol.asyncIterator]?.()];
    return [host.describe(one), one === other, one === given];
  },
};

const ends: Family["ends"] = {
  "not used": "unfinished",
  iterated: "done",
  "iterated twice": "done",
  left: "stopped",
  "left by an error": "stopped",
  "by hand": "done",
  "one step": "unfinished",
  "two steps at once": "any",
  returned: "stopped",
  "thrown into": "failed",
  spread: "any",
  delegated: "done",
  "its own members": "unfinished",
  "by events": "any",
  aborted: "any",
  iterable: "unfinished",
};

const item = (host: Host, n: number): object => host.name({ n }, `item ${n}`);

function* generate(host: Host, failing = false): Generator<unknown> {
  try {
    for (let n = 0; n < 3; n += 1) {
      host.note("step");
      const sent: unknown = yield item(host, n);
      if (sent !== undefined) host.note("sent", sent);
      if (failing) throw host.name(new RangeError("the generator's error"), "the generator's error");
    }
    return host.name({ last: true }, "last");
  } finally {
    host.note("finally");
  }
}

async function* generateAsync(host: Host, failing = false): AsyncGenerator<unknown> {
  try {
    for (let n = 0; n < 3; n += 1) {
      host.note("step");
      const sent: unknown = yield item(host, n);
      if (sent !== undefined) host.note("sent", sent);
      if (failing) throw host.name(new RangeError("the generator's error"), "the generator's error");
    }
    return host.name({ last: true }, "last");
  } finally {
    host.note("finally");
  }
}

/** A generator that catches errors thrown into it, and continues. */
function* stubborn(host: Host): Generator<unknown> {
  for (let n = 0; n < 3; n += 1) {
    try {
      yield item(host, n);
    } catch (error) {
      host.note("caught", error);
    }
  }
}

/** The `next` of an iterator that is not a generator's. */
function counting(host: Host): (...args: unknown[]) => IteratorResult<unknown> {
  let n = 0;
  return (...args) => {
    host.note("next", ...args);
    n += 1;
    return n > 3 ? { done: true, value: undefined } : { done: false, value: item(host, n) };
  };
}

class Linked {
  readonly #host: Host;
  #left = 3;

  constructor(host: Host) {
    this.#host = host;
  }

  get size(): number {
    return this.#left;
  }

  next(): IteratorResult<unknown> {
    this.#left -= 1;
    return this.#left < 0 ? { done: true, value: undefined } : { done: false, value: item(this.#host, this.#left) };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** Like the SDKs' `Stream`: an async iterable with a controller. */
class SdkStream {
  readonly controller: AbortController = new AbortController();
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return generateAsync(this.#host);
  }

  tee(): [SdkStream, SdkStream] {
    return [this, this];
  }
}

/** Like the SDKs' `ChatCompletionStream` and `MessageStream`: events, promises, and iteration over the received items. */
class EventStream {
  readonly controller: AbortController = new AbortController();
  #listeners: Record<string, Given[]> = {};
  #ended = false;
  #errored = false;
  #aborted = false;
  readonly #host: Host;
  readonly #over: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #message: unknown;

  constructor(host: Host, failing = false) {
    this.#host = host;
    this.#over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#over.catch(() => {});
    // Tasks of two message channels are unordered. Without this, WebKit may observe the case before the stream's last event.
    host.runs(this.#run(failing));
  }

  async #run(failing: boolean): Promise<void> {
    await macrotask();
    for (let n = 0; n < 2 && !this.#aborted; n += 1) {
      this.#emit("content", item(this.#host, n));
      await macrotask();
    }
    if (this.#aborted) return;
    if (failing) {
      this.#fail("error", this.#host.name(new RangeError("the stream's error"), "error"));
      return;
    }
    this.#message = this.#host.name({ role: "assistant" }, "message");
    this.#resolve();
    this.#emit("end");
  }

  #fail(event: "error" | "abort", error: Error): void {
    this.#errored = true;
    this.#aborted = event === "abort";
    this.#emit(event, error);
    this.#reject(error);
    this.#emit("end");
  }

  #emit(event: string, ...args: unknown[]): void {
    if (this.#ended) return;
    if (event === "end") this.#ended = true;
    const listeners = this.#listeners[event] ?? [];
    this.#host.note(`emit ${event} to the host's`);
    for (const listener of listeners) listener(...args);
  }

  get ended(): boolean {
    return this.#ended;
  }
  get errored(): boolean {
    return this.#errored;
  }
  get aborted(): boolean {
    return this.#aborted;
  }

  on(event: string, listener: Given): this {
    if (event !== "end") this.#host.note(`on(${event})`);
    this.#listeners[event] = [...(this.#listeners[event] ?? []), listener];
    return this;
  }

  abort(): void {
    this.controller.abort();
    if (!this.#ended) this.#fail("abort", this.#host.name(new Error("Request was aborted."), "abort"));
  }

  done(): Promise<void> {
    return this.#over;
  }

  async finalMessage(): Promise<unknown> {
    await this.#over;
    return this.#message;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    this.#host.note("iterated");
    const seen: unknown[] = [];
    const waiting: (() => void)[] = [];
    const woken = (): Promise<void> => new Promise((resolve) => void waiting.push(resolve));
    const wake = (): void => {
      for (const resolve of waiting.splice(0)) resolve();
    };
    this.on("content", (value: unknown) => {
      seen.push(value);
      wake();
    });
    for (const event of ["end", "error", "abort"]) this.on(event, wake);
    return {
      next: async () => {
        while (seen.length === 0 && !this.#ended) await woken();
        await (seen.length === 0 && this.#over);
        return seen.length > 0 ? { done: false, value: seen.shift() } : { done: true, value: undefined };
      },
      return: async () => {
        this.abort();
        return { done: true, value: undefined };
      },
    };
  }
}

const named = (make: (host: Host) => unknown, ends?: Result["ends"]): Result => ({
  make: (host) => host.name(make(host), "value given"),
  ...(ends && { ends }),
});

const FAILING: Record<string, "failed" | "stopped"> = {
  iterated: "failed",
  "iterated twice": "failed",
  "by hand": "failed",
  delegated: "failed",
};
/** The stream runs without a consumer, so any ending is possible. */
const BY_ITSELF = "any";

const results: Record<string, Result> = {
  generator: named((host) => generate(host)),
  "generator that fails": named((host) => generate(host, true), FAILING),
  "generator that catches": named((host) => stubborn(host), { "thrown into": "unfinished" }),
  "async generator": named((host) => generateAsync(host)),
  "async generator that fails": named((host) => generateAsync(host, true), FAILING),
  iterator: named((host) => {
    const next = counting(host);
    return {
      next,
      [Symbol.iterator]() {
        return this;
      },
    };
  }, "any"),
  "iterator with `return` and `throw`": named((host) => {
    const next = counting(host);
    return {
      next,
      return: (value: unknown) => (host.note("return", value), { done: true, value }),
      throw(error: unknown) {
        host.note("throw", error);
        throw error;
      },
      [Symbol.iterator]() {
        return this;
      },
    };
  }),
  "iterator of a class": named((host) => new Linked(host), "any"),
  "frozen iterator": named((host) => {
    const next = counting(host);
    return Object.freeze({
      next,
      [Symbol.iterator]() {
        return this;
      },
    });
  }, "at once"),
  "iterator of an array": named((host) => [item(host, 0), item(host, 1)][Symbol.iterator](), "any"),
  "iterator of a Map": named((host) => new Map([[1, item(host, 1)]]).entries(), "any"),
  "iterator of a Set": named((host) => new Set([item(host, 1)]).values(), "any"),
  "iterator of a string": named(() => "ab"[Symbol.iterator](), "any"),
  "iterator of matches": named(() => "abab".matchAll(/b/g), "any"),
  "iterator helper": named((host) => {
    const generator = generate(host) as Given;
    if (typeof generator.map !== "function") throw new Lacks("iterator helpers");
    return generator.map((value: unknown) => [value]);
  }, "any"),
  "iterator of URLSearchParams": named(() => new URLSearchParams("a=1&b=2").entries(), "any"),
  "async iterator": named((host) => {
    const next = counting(host);
    return {
      next: async (...args: unknown[]) => next(...args),
      return: async (value: unknown) => (host.note("return", value), { done: true, value }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }, "any"),
  "async iterator of thenables": named((host) => {
    const next = counting(host);
    return {
      next: (...args: unknown[]) => {
        const step = next(...args);
        return { then: (fulfilled: Given) => fulfilled(step) };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }, "any"),
  "steps that refuse": named(
    () => ({
      next: () => ({
        get done(): never {
          throw new RangeError("the getter throws");
        },
      }),
      [Symbol.iterator]() {
        return this;
      },
    }),
    "any",
  ),
  "async iterable": named((host) => ({ [Symbol.asyncIterator]: () => generateAsync(host) })),
  "async iterable without `return`": named(
    (host) => ({
      [Symbol.asyncIterator]: () => {
        const next = counting(host);
        return { next: async (...args: unknown[]) => next(...args) };
      },
    }),
    "any",
  ),
  "async iterable with one iterator": named(
    (host) => {
      const iterator = generateAsync(host);
      return { [Symbol.asyncIterator]: () => iterator };
    },
    { iterable: "unfinished" },
  ),
  "async iterable of a frozen iterator": named(
    (host) => ({
      [Symbol.asyncIterator]: () => {
        const next = counting(host);
        return Object.freeze({ next: async (...args: unknown[]) => next(...args) });
      },
    }),
    "any",
  ),
  "async iterable of nothing": named(() => ({ [Symbol.asyncIterator]: () => undefined }), "any"),
  "async iterable that refuses": named(
    () => ({
      [Symbol.asyncIterator]: () => {
        throw new RangeError("is not to be iterated");
      },
    }),
    "any",
  ),
  "frozen async iterable": named(
    (host) => Object.freeze({ [Symbol.asyncIterator]: () => generateAsync(host) }),
    "at once",
  ),
  "stream of an SDK": named((host) => new SdkStream(host)),
  "stream of an SDK with events": named((host) => new EventStream(host), BY_ITSELF),
  "stream of an SDK with events, failing": named((host) => new EventStream(host, true), BY_ITSELF),
};

export const ITERATORS: Family = { results, uses, ends };
