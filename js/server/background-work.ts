// Observes the promises in `ctx.waitUntil`, so that the flush can follow them.

import { keepAlive } from "../platform/wait-until.js";
import { currentFrame } from "../record/frame.js";
import type { OpenScope } from "../record/model.js";

/** The used part of a Worker's `ctx`, or of a Durable Object's state. */
export interface WaitUntil {
  /** Keeps the invocation alive until `promise` has settled, within the limits of the platform. */
  waitUntil(promise: Promise<unknown>): void;
}

/** `true` if `value` has a `waitUntil` method. Never throws. */
export function hasWaitUntil(value: unknown): value is WaitUntil {
  try {
    return typeof (value as Partial<WaitUntil> | null | undefined)?.waitUntil === "function";
  } catch {
    return false; // its getter threw
  }
}

/** One `ctx`. All calls of a Durable Object share a `ctx`. */
interface Watched {
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** The background work of the running calls, by scope. */
  readonly works: Map<OpenScope, BackgroundWork>;
}

const watched = new WeakMap<object, Watched>();

/** Replaces `ctx.waitUntil` once, in place, so that the handler keeps the same `ctx` object. */
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
    // A frozen ctx cannot be observed: then the flush waits only for the response.
  }
  return found;
}

/** The work that a promise belongs to; unknown if several calls run and no scope is current. */
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

  /** Keeps the invocation alive for our promise, which `settled` ignores. */
  hold(promise: Promise<unknown>): void {
    try {
      if (this.#watched) this.#watched.waitUntil(promise);
      else keepAlive(promise);
    } catch {
      // The promise still runs for as long as the runtime allows.
    }
  }

  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Resolves when all work is done, also if added meanwhile. */
  async settled(): Promise<void> {
    while (this.isPending) await Promise.all(this.#pending);
  }

  /** Adds a promise to the work. */
  observe(promise: Promise<unknown>): void {
    const done = Promise.resolve(promise).then(
      () => {},
      () => {},
    );
    this.#pending.add(done);
    void done.then(() => this.#pending.delete(done));
  }

  /** Stops observing: the call has ended, though its `ctx` may live on. */
  close(): void {
    this.#watched?.works.delete(this.#scope);
  }
}
