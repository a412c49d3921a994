// What a handler hands to `ctx.waitUntil`, observed so that the flush can come after it.

import { within } from "../env.js";

/** What this package needs of a Worker's `ctx`. */
export interface WaitUntil {
  waitUntil(promise: Promise<unknown>): void;
}

/** How long the flush waits for it after the response has ended; `waitUntil` is cut at about 30 s. */
const MAX_WAIT_MS = 10_000;

/** The background work of one invocation. */
export class BackgroundWork {
  readonly #pending = new Set<Promise<void>>();
  readonly #waitUntil: (promise: Promise<unknown>) => void;

  /** Observes `ctx.waitUntil` in place, so that `ctx` stays the object it is. */
  constructor(ctx: WaitUntil | undefined) {
    const original = typeof ctx?.waitUntil === "function" ? ctx.waitUntil.bind(ctx) : undefined;
    this.#waitUntil = original ?? (() => {});
    if (!ctx || !original) return;
    const waitUntil = (promise: Promise<unknown>): void => {
      this.#observe(promise);
      original(promise);
    };
    try {
      Object.defineProperty(ctx, "waitUntil", { value: waitUntil, configurable: true, writable: true });
    } catch {
      // A frozen ctx can not be observed: then the flush waits for the response alone.
    }
  }

  /** Keeps the invocation alive for our own promise, which is never waited for. */
  hold(promise: Promise<unknown>): void {
    try {
      this.#waitUntil(promise);
    } catch {
      // Then it runs as long as the runtime lets it.
    }
  }

  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Resolves when all of it is done, also what is added meanwhile. */
  async settled(): Promise<void> {
    while (this.isPending) await Promise.all(this.#pending);
  }

  /** The same, but at most `MAX_WAIT_MS`. */
  async settledWithinBound(): Promise<void> {
    if (this.isPending) await within(MAX_WAIT_MS, this.settled());
  }

  #observe(promise: Promise<unknown>): void {
    const done = Promise.resolve(promise).then(
      () => {},
      () => {},
    );
    this.#pending.add(done);
    void done.then(() => this.#pending.delete(done));
  }
}
