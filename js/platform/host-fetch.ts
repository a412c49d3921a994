// The global `fetch`: the platform's, or what the host has put in its place; and how ours tells that it is called by what it calls.

import type { Fetch } from "../settings.js";
import { currentStore, hasAsyncContext, runWith } from "./context.js";
import { now } from "./env.js";
import { isPlainPromise } from "./promise.js";

/** By this a traced `fetch` that stands in the place of the global one gives the one that was there before. */
const ORIGINAL = Symbol.for("opik-edge/original-fetch");

/** The `fetch` that `fetch` stands for: itself, where it is none of ours. */
export function originalOf(fetch: Fetch): Fetch {
  return (fetch as { [ORIGINAL]?: Fetch })[ORIGINAL] ?? fetch;
}

/** `original` in all but what a call of it does. */
function standIn(original: Fetch, traced: Fetch): Fetch {
  return new Proxy(original, {
    apply: (_, _this, args) => traced(...(args as Parameters<Fetch>)),
    get: (target, name, receiver) => (name === ORIGINAL ? original : Reflect.get(target, name, receiver)),
  });
}

/**
 * Puts what `traced` makes of the global `fetch` in its place; gives what puts the old one back. While one is in place a further
 * call changes nothing, and gives what does nothing.
 */
export function replaceFetch(traced: (original: Fetch) => Fetch): () => void {
  const original: Fetch = globalThis.fetch;
  if (originalOf(original) !== original) return () => {};
  const instrumented = standIn(original, traced(original));
  globalThis.fetch = instrumented as typeof fetch;
  return () => {
    // Somebody else may have wrapped it since: then theirs stays, and goes on calling ours, which only passes on.
    if (globalThis.fetch === instrumented) globalThis.fetch = original as typeof fetch;
  };
}

/** The global `fetch` when this was loaded. */
const found: Fetch = globalThis.fetch;
/** Those of the host's that were seen to call ours. */
const callers = new WeakSet<Fetch>();
/** How often one may call ours for one call of ours: in a test a server in the same process makes calls of its own. */
const MAX_NESTED = 8;

/** A global `fetch` of the host's that is being called by us. */
interface CalledFetch {
  readonly fetch: Fetch;
  readonly target: string;
  readonly depth: number;
}

function calledHere(): CalledFetch | undefined {
  return (currentStore() as { readonly called?: CalledFetch } | undefined)?.called;
}

/** Whether the call comes from a global `fetch` of the host's that is itself called by us: then ours only passes it on. */
export function isCalledByOurs([input]: Parameters<Fetch>): boolean {
  const called = calledHere();
  if (!called || (called.target !== targetOf(input) && called.depth < MAX_NESTED)) return false;
  callers.add(called.fetch);
  return true;
}

/** The platform's own `fetch`, or what a test or a library has put in its place, also while a page's is traced. */
export const platformFetch: Fetch = (...args) => {
  const fetch = originalOf(globalThis.fetch);
  if (fetch === found || isCalledByOurs(args) || callers.has(fetch)) return found(...args);
  const called = { fetch, target: targetOf(args[0]), depth: (calledHere()?.depth ?? 0) + 1 };
  const call = (): Promise<Response> => runWith({ ...currentStore(), called }, () => fetch(...args));
  return hasAsyncContext() ? call() : callCounted(fetch, args, call);
};

/** Where nothing tells, after an `await`, who calls: so many calls at once are one whose `fetch` calls ours, which calls it again. */
const MAX_PENDING = 256;
/** A Worker never hears of a call whose request has been broken off. */
const PENDING_MS = 60_000;
/** When the calls of a host's global `fetch` by us began that have not ended. */
let pending: number[] = [];

function callCounted(fetch: Fetch, args: Parameters<Fetch>, call: () => Promise<Response>): Promise<Response> {
  pending = pending.filter((at) => now() - at < PENDING_MS);
  if (pending.length >= MAX_PENDING) {
    callers.add(fetch);
    return found(...args);
  }
  const answer = call();
  if (!isPlainPromise(answer)) return answer;
  pending.push(now());
  return answer.finally(() => pending.shift());
}

/** The URL of a call, as the host gave it; "" where reading it throws. */
export function targetOf(input: unknown): string {
  try {
    return isRequest(input) ? input.url : String(input);
  } catch {
    return "";
  }
}

/** Whether `input` is a request, also one of a page's frame: the platform takes that for one as well. Never throws. */
export function isRequest(input: unknown): input is Request {
  try {
    return (
      (typeof Request !== "undefined" && input instanceof Request) ||
      Object.prototype.toString.call(input) === "[object Request]"
    );
  } catch {
    return false; // a proxy that refuses
  }
}
