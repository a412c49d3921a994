// What a handler hands to `ctx.waitUntil`, observed so that the flush can come after it.

import { keepAlive } from "../platform/wait-until.js";
import { currentFrame } from "../record/frame.js";
import type { OpenScope } from "../record/model.js";

/** What this package needs of a Worker's `ctx`, or of a Durable Object's state. */
export interface WaitUntil {
  /** Keeps the invocation alive until `promise` has settled, as long as the platform likes. */
  waitUntil(promise: Promise<unknown>): void;
}

/** Whether `value` is such a one. Never throws. */
export function hasWaitUntil(value: unknown): value is WaitUntil {
  try {
    return typeof (value as Partial<WaitUntil> | null | undefined)?.waitUntil === "function";
  } catch {
    return false; // a getter of its own does
  }
}

/** One `ctx`: a Durable Object's is that of all its calls. */
interface Watched {
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** The work of the calls that go on, by their scope. */
  readonly works: Map<OpenScope, BackgroundWork>;
}

const watched = new WeakMap<object, Watched>();

/** Observes `ctx.waitUntil` in place, once, so that `ctx` stays the object it is. */
function watch(ctx: WaitUntil | undefined): Watched | undefined {
  if (!hasWaitUntil(ctx)) return undefined;
  const known = watched.get(ctx);
  if (known) return known;
  const found: Watched = { waitUntil: ctx.waitUntil.bind(ctx), works: new Map() };
  watched.set(ctx, found);
  const waitUntil = (promise: Promise<unknown>): void => {
    workOf(found.works)?.observe(promise);
    found.waitUntil(promise);
  };
  try {
    ctx.waitUntil = waitUntil;
  } catch {
    // A frozen ctx can not be observed: then the flush waits for the response alone.
  }
  return found;
}

/** Whose work is being handed over: where several calls go on and nothing is current, nobody's. */
function workOf(works: ReadonlyMap<OpenScope, BackgroundWork>): BackgroundWork | undefined {
  const scope = currentFrame()?.scope;
  const own = scope && works.get(scope);
  return own ?? (works.size === 1 ? works.values().next().value : undefined);
}

/** The background work of one invocation. */
export class BackgroundWork {
  readonly #pending = new Set<Promise<void>>();
  readonly #watched: Watched | undefined;
  readonly #scope: OpenScope;

  constructor(ctx: WaitUntil | undefined, scope: OpenScope) {
    this.#watched = watch(ctx);
    this.#scope = scope;
    this.#watched?.works.set(scope, this);
  }

  /** Keeps the invocation alive for our own promise, which is never waited for. */
  hold(promise: Promise<unknown>): void {
    try {
      if (this.#watched) this.#watched.waitUntil(promise);
      else keepAlive(promise);
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

  /** Notes a promise. */
  observe(promise: Promise<unknown>): void {
    const done = Promise.resolve(promise).then(
      () => {},
      () => {},
    );
    this.#pending.add(done);
    void done.then(() => this.#pending.delete(done));
  }

  /** Notes nothing more: the call has ended, though its `ctx` may live on. */
  close(): void {
    this.#watched?.works.delete(this.#scope);
  }
}
