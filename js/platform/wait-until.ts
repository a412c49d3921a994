// What keeps a request's runtime alive for work after its response, where nobody handed a `ctx` down: found on the platform.

import { isWorker } from "./env.js";

/** The work that the platform is to wait for. */
type WaitUntil = (promise: Promise<unknown>) => void;

/** Where Vercel and Next keep what belongs to the current request (as `waitUntil` of @vercel/functions and `after` of Next read it). */
const REQUEST_CONTEXTS = ["@vercel/request-context", "@next/request-context"].map((name) => Symbol.for(name));

/** `cloudflare:workers`, once it is loaded; `null` where it is not to be had. */
let workers: { readonly waitUntil?: WaitUntil } | null | undefined;

/**
 * Loads what is needed in a Worker, where only an import finds it: early, since a request that has been answered is not kept
 * alive any more. `undefined` when there is nothing to wait for.
 */
export function prepareWaitUntil(): Promise<void> | undefined {
  if (workers !== undefined || !isWorker()) return undefined;
  // Spelled so that no bundler tries to resolve it: where it is missing, the catch is the answer.
  const name = ["cloudflare", "workers"].join(":");
  return (import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Promise<{ waitUntil?: WaitUntil }>).then(
    (found) => {
      workers = found;
    },
    () => {
      workers = null;
    },
  );
}

/** The `waitUntil` of the request that is being handled; `undefined` where the platform has none. Never throws. */
function platformWaitUntil(): WaitUntil | undefined {
  for (const key of REQUEST_CONTEXTS) {
    try {
      const { [key]: holder } = globalThis as {
        [key: symbol]: { get?(): { waitUntil?: WaitUntil } | undefined } | undefined;
      };
      const context = holder?.get?.();
      if (typeof context?.waitUntil === "function") return (promise) => context.waitUntil?.(promise);
    } catch {
      // It is broken: as good as none.
    }
  }
  return workers?.waitUntil;
}

/** Whether a request that is being handled here is kept alive when it is asked for. */
export async function hasPlatformWaitUntil(): Promise<boolean> {
  await prepareWaitUntil();
  return platformWaitUntil() !== undefined;
}

/** Does `work` and has the platform wait for it; nothing is done where it would not, or outside a request. Never throws. */
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

/** Has the platform wait for work that is being done in any case. Never throws. */
export function keepAlive(promise: Promise<unknown>): void {
  whileKeptAlive(() => promise);
}
