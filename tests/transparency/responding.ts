// Two programs in one file: a service worker that answers its page by making calls, and the page that sends the requests.
// The page must see the same responses whether or not the worker's calls are traced.

import type { CallsConfig, CallsResult } from "./calls.js";
import { CONSUMERS, described, describedResponse } from "./consumers.js";
import { TracedCalls } from "./entries.js";
import { Lacks } from "./table.js";

type Fetch = (...args: unknown[]) => Promise<Response>;

/** Ways in which the worker answers, by name. */
export const RESPONDS: Record<string, (call: Fetch, request: Request) => Promise<Response>> = {
  "the request": (call, request) => call(request),
  "the request and an init": (call, request) => call(request, { headers: { "x-of": "the worker" }, cache: "no-store" }),
  "its URL and itself": (call, request) => call(request.url, request),
  "its URL": (call, { url }) => call(url),
  "a clone of the response": async (call, request) => (await call(request)).clone(),
  "a response of its body": async (call, request) => {
    const response = await call(request);
    return new Response(response.body, response);
  },
  "a response of its text": async (call, request) => {
    const response = await call(request);
    return new Response(await response.text(), { headers: response.headers });
  },
};

interface FetchEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

/** In the worker: answers as the query of a request says. */
export function respond(): void {
  const tracing = new TracedCalls();
  const plain: Fetch = (...args) => (fetch as unknown as Fetch)(...args);
  addEventListener("fetch", (event) => {
    const { request, respondWith } = event as unknown as FetchEvent;
    const [, side] = /\/(plain|traced)\/\d+\//.exec(request.url) ?? [];
    if (!side) return;
    const asked = new URL(request.url).searchParams;
    const traced: Fetch = (...args) =>
      tracing.call(asked.get("entry")!, asked.get("propagate")!)(args) as Promise<Response>;
    const call = asked.get("traced") === "1" ? traced : plain;
    respondWith.call(event, RESPONDS[asked.get("respond")!]!(call, request));
  });
  addEventListener("install", () => (globalThis as unknown as { skipWaiting(): void }).skipWaiting());
  addEventListener("activate", (event) => {
    const { clients } = globalThis as unknown as { clients: { claim(): Promise<void> } };
    (event as unknown as { waitUntil(work: Promise<void>): void }).waitUntil(clients.claim());
  });
}

/** In the page: sends the requests and observes the answers. */
export async function run({ side, isTraced, servers, cases }: CallsConfig): Promise<CallsResult> {
  await controlled();
  const observations: Record<number, unknown> = {};
  for (const { id, row } of cases) {
    const { entry, propagate, respond: how, answer, method, consumer } = row as Record<string, string>;
    const query = new URLSearchParams({
      respond: how!,
      entry: entry!,
      propagate: propagate!,
      traced: isTraced ? "1" : "0",
    });
    const url = `${servers.url}/${side}/${id}/`;
    try {
      const init =
        method === "POST" ? { method, body: "of the page", headers: { "x-of": "the page" } } : { method: method! };
      const response = await fetch(`${url}${encodeURIComponent(answer!)}?${query}`, init);
      const seen = describedResponse(response);
      const consume = CONSUMERS[consumer!]!;
      const none = async (): Promise<never> => Promise.reject(new Lacks("steps"));
      const consumed = await consume(response, { next: none, hungUp: none, abort() {}, url, fetch }).catch((error) => {
        if (error instanceof Lacks) throw error;
        return described(error);
      });
      observations[id] = { outcome: "fulfilled", response: seen, consumed };
    } catch (error) {
      if (error instanceof Lacks) observations[id] = { lacks: error.message };
      else observations[id] = { outcome: "rejected", rejected: described(error) };
    }
  }
  return { observations };
}

/** Waits until the worker controls this page. */
async function controlled(): Promise<void> {
  const { serviceWorker } = navigator;
  const taken = new Promise<void>((resolve) => serviceWorker.addEventListener("controllerchange", () => resolve()));
  await serviceWorker.register("/worker-of-page.js");
  if (!serviceWorker.controller) await taken;
}
