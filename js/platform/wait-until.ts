// Finds the platform function that keeps a request's runtime alive after its response, for code that has no `ctx`.

import { isWorker } from "./env.js";

/** Makes the platform wait for a promise. */
type WaitUntil = (promise: Promise<unknown>) => void;

/**
 * Keys under which Vercel and Next keep the context of the current request, as `waitUntil` of @vercel/functions and `after`
 * of Next read it.
 */
const REQUEST_CONTEXTS = ["@vercel/request-context", "@next/request-context"].map((name) => Symbol.for(name));

/** The used part of the module `cloudflare:workers`. */
interface WorkersModule {
  readonly waitUntil?: WaitUntil;
  readonly tracing?: unknown;
}

/** The module once it is loaded; `null` if it cannot be loaded. */
let workers: WorkersModule | null | undefined;

/** The member `tracing` of `cloudflare:workers`, once `prepareWaitUntil` has loaded it; older runtimes lack the member. */
export function platformTracing(): unknown {
  return workers?.tracing;
}

/**
 * Loads `waitUntil` in a Worker, where only an import finds it. This happens early, since a request that has been answered
 * is no longer kept alive. `undefined` if there is nothing to wait for.
 */
export function prepareWaitUntil(): Promise<void> | undefined {
  if (workers !== undefined || !isWorker()) return undefined;
  // The name is split so that no bundler resolves it; if the module is missing, the rejection handler notes that.
  const name = ["cloudflare", "workers"].join(":");
  return (import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Promise<WorkersModule>).then(
    (found) => {
      workers = found;
    },
    () => {
      workers = null;
    },
  );
}

/** The `waitUntil` of the current request; `undefined` if the platform has no such function. Never throws. */
function platformWaitUntil(): WaitUntil | undefined {
  for (const key of REQUEST_CONTEXTS) {
    try {
      const { [key]: holder } = globalThis as {
        [key: symbol]: { get?(): { waitUntil?: WaitUntil } | undefined } | undefined;
      };
      const context = holder?.get?.();
      if (typeof context?.waitUntil === "function") return (promise) => context.waitUntil?.(promise);
    } catch {
      // A broken context counts as missing.
    }
  }
  return workers?.waitUntil;
}

/** `true` if the platform can keep the current request alive. */
export async function hasPlatformWaitUntil(): Promise<boolean> {
  await prepareWaitUntil();
  return platformWaitUntil() !== undefined;
}

/** Runs `work` and makes the platform wait for it. Does nothing if the platform cannot, or outside a request. Never throws. */
export function whileKeptAlive(work: () => Promise<unknown>): void {
  const run = (): void => {
    const waitUntil = platformWaitUntil();
    try {
      waitUntil?.(work());
    } catch {
      // Outside a request.
    }
  };
  const prepared = prepareWaitUntil();
  if (prepared) void prepared.then(run);
  else run();
}

/** Makes the platform wait for work that runs in any case. Never throws. */
export function keepAlive(promise: Promise<unknown>): void {
  whileKeptAlive(() => promise);
}
