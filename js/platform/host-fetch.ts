// The global `fetch`, either the platform's or a replacement by the host, and the detection of replacements that call our
// `fetch`.

import type { Fetch } from "../settings.js";
import { currentStore, hasAsyncContext, runWith } from "./context.js";
import { now } from "./env.js";
import { isPlainPromise } from "./promise.js";

/** Key under which a traced global `fetch` returns the `fetch` that it replaced. */
const ORIGINAL = Symbol.for("opik-edge/original-fetch");

/** The `fetch` that `fetch` replaced, or `fetch` itself if it is not our replacement. */
export function originalOf(fetch: Fetch): Fetch {
  return (fetch as { [ORIGINAL]?: Fetch })[ORIGINAL] ?? fetch;
}

/** A proxy of `original` whose calls go to `traced`. */
function standIn(original: Fetch, traced: Fetch): Fetch {
  return new Proxy(original, {
    apply: (_, _this, args) => traced(...(args as Parameters<Fetch>)),
    get: (target, name, receiver) => (name === ORIGINAL ? original : Reflect.get(target, name, receiver)),
  });
}

/**
 * Replaces the global `fetch` by the result of `traced`. Returns a function that restores the old one. While a replacement
 * is in place, further calls change nothing and return a function without effect.
 */
export function replaceFetch(traced: (original: Fetch) => Fetch): () => void {
  const original: Fetch = globalThis.fetch;
  if (originalOf(original) !== original) return () => {};
  const instrumented = standIn(original, traced(original));
  globalThis.fetch = instrumented as typeof fetch;
  return () => {
    // If somebody else has wrapped ours since, their wrapper stays and calls ours, which only passes calls on.
    if (globalThis.fetch === instrumented) globalThis.fetch = original as typeof fetch;
  };
}

/** The global `fetch` at load time. */
const found: Fetch = globalThis.fetch;
/** Replacements by the host that were seen to call our `fetch`. */
const callers = new WeakSet<Fetch>();
/**
 * Calls that one replacement may nest under one call of ours. More than one is normal in a test with a server in the same
 * process.
 */
const MAX_NESTED = 8;

/** A host's global `fetch` that our code is calling. */
interface CalledFetch {
  readonly fetch: Fetch;
  readonly target: string;
  readonly depth: number;
}

function calledHere(): CalledFetch | undefined {
  return (currentStore() as { readonly called?: CalledFetch } | undefined)?.called;
}

/** `true` if the call comes from a host's global `fetch` that our code is calling. Ours then only passes the call on. */
export function isCalledByOurs([input]: Parameters<Fetch>): boolean {
  const called = calledHere();
  if (!called || (called.target !== targetOf(input) && called.depth < MAX_NESTED)) return false;
  callers.add(called.fetch);
  return true;
}

/** The platform's `fetch`, or its replacement by a test or a library, even while a page's `fetch` is traced. */
export const platformFetch: Fetch = (...args) => {
  const fetch = originalOf(globalThis.fetch);
  if (fetch === found || isCalledByOurs(args) || callers.has(fetch)) return found(...args);
  const called = { fetch, target: targetOf(args[0]), depth: (calledHere()?.depth ?? 0) + 1 };
  const call = (): Promise<Response> => runWith({ ...currentStore(), called }, () => fetch(...args));
  return hasAsyncContext() ? call() : callCounted(fetch, args, call);
};

/**
 * Limit for runtimes in which the caller is unknown after an `await`: this many pending calls mean that the host's `fetch`
 * and ours call each other.
 */
const MAX_PENDING = 256;
/** Age at which a pending call is forgotten, because a Worker never learns the end of a call whose request was aborted. */
const PENDING_MS = 60_000;
/** Start times of our pending calls to the host's global `fetch`. */
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

/** The URL of a call, as the host gave it; "" if reading it throws. */
export function targetOf(input: unknown): string {
  try {
    return isRequest(input) ? input.url : String(input);
  } catch {
    return "";
  }
}

/** `true` if `input` is a request, even of another frame, which the platform accepts too. Never throws. */
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
