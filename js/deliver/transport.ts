// What carries an upload: by default the platform's fetch; a service binding, a queue or a test's memory
// have the same one method.

import { calledHere, hasAsyncContext, runCalling } from "../platform/context.js";
import { now } from "../platform/env.js";
import type { TracedRequestInit } from "../record/fetch.js";
import { isPlainPromise } from "../record/iterator.js";

/** Carries requests to Opik, as a service binding does (Cloudflare's `Fetcher`). */
export interface Transport {
  /** Answers like `fetch`: 2xx means that the rows are kept, every other status what it means in HTTP. */
  fetch(url: string, init: TransportRequest): Promise<Response>;
  /** The longest body that it takes, in bytes; at least 32768, by default 4 MB. Rows are cut to fit. */
  readonly maxBodyBytes?: number | undefined;
  /** Whether bodies of 1 MB and more are compressed (default: in Node, Deno and Bun, whose CPU time nobody counts). */
  readonly compress?: boolean | undefined;
  /** How far this clock is behind the receiver's, in ms, where that is known, a finite number: traces begin at the receiver's time. */
  readonly clockOffsetMs?: number | undefined;
}

/** An upload as a request. */
export interface TransportRequest {
  /** `PUT` for scores. */
  readonly method: "POST" | "PUT";
  /** With the key in `authorization`. */
  readonly headers: [name: string, value: string][];
  /** `{"spans":[…]}`, `{"traces":[…]}` or `{"scores":[…]}`, gzip-compressed when the headers say so. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** For a page's relay: what is sent beside the rows. */
  readonly envelope?:
    | {
        /** The token that the rows were recorded with. */
        readonly token: string | undefined;
        /** By which the relay knows their ids for those of the page, in base64url. */
        readonly secret: string | undefined;
      }
    | undefined;
  /** A redirect is never followed: some runtimes carry `authorization` to another origin. */
  readonly redirect: "manual";
  /** Aborted when the attempt has taken too long. */
  readonly signal: AbortSignal;
}

/** `value` if it is a finite number: a service binding has every property one asks it for, as a method to be called. */
export function numberOr(value: unknown, preset: number): number {
  return Number.isFinite(value) ? (value as number) : preset;
}

/** `fetch` as the host calls it: with arguments of any type, and as many as it likes. */
export type Fetch = (input: string | URL | Request, init?: TracedRequestInit) => Promise<Response>;

/** By this a traced `fetch` that stands in the place of the global one gives the one that was there before. */
const ORIGINAL = Symbol.for("opik-edge/original-fetch");

/** The `fetch` that `fetch` stands for: itself, where it is none of ours. */
export function originalOf(fetch: Fetch): Fetch {
  return (fetch as { [ORIGINAL]?: Fetch })[ORIGINAL] ?? fetch;
}

/** `original` in all but what a call of it does. */
export function standIn(original: Fetch, traced: Fetch): Fetch {
  return new Proxy(original, {
    apply: (_, _this, args) => traced(...(args as Parameters<Fetch>)),
    get: (target, name, receiver) => (name === ORIGINAL ? original : Reflect.get(target, name, receiver)),
  });
}

/** The global `fetch` when this was loaded. */
const found: Fetch = globalThis.fetch;
/** Those of the host's that were seen to call ours. */
const callers = new WeakSet<Fetch>();
/** How often one may call ours for one call of ours: in a test a server in the same process makes calls of its own. */
const MAX_NESTED = 8;

/** A global `fetch` of the host's that is being called by us. */
export interface CalledFetch {
  readonly fetch: Fetch;
  readonly target: string;
  readonly depth: number;
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
  const call = (): Promise<Response> => runCalling(called, () => fetch(...args));
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

/** The platform's fetch as a transport. */
export const fetchTransport: Transport = { fetch: (url, init) => platformFetch(url, init) };

/** The shortest body worth compressing: for less, time costs more than bytes (docs/adr/0010-what-is-compressed.md). */
const MIN_COMPRESSED_BYTES = 1024 * 1024;

/** Whether a body is compressed where that is wanted. */
export function isWorthCompressing(body: Uint8Array): boolean {
  return body.byteLength >= MIN_COMPRESSED_BYTES && typeof CompressionStream !== "undefined";
}

/** `body` in gzip, or as it is where the platform fails to. */
export async function gzip(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const stream = new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    return body;
  }
}
