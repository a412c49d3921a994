// A Worker without a key and without network access: its uploads go through a service binding. Also a Durable Object that
// flushes automatically.

import { Opik, type Transport } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

interface Env {
  PROXY: Transport;
  OPIK_URL_OVERRIDE: string;
  COUNTER: { idFromName(name: string): unknown; get(id: unknown): { fetch(url: string): Promise<Response> } };
}

/** Module scope, so every request uses it. */
let shared: Opik | undefined;

const traced = withOpik(
  { fetch: async (_request: Request, _env: Env, _ctx: unknown) => new Response("ok") },
  (env) => ({ transport: env.PROXY, url: "https://www.comet.com/opik/api" }),
);

export default {
  async fetch(request: Request, env: Env, ctx: unknown): Promise<Response> {
    const name = new URL(request.url).searchParams.get("shared");
    if (name) {
      shared ??= new Opik({ env, onError: () => {} });
      shared.trace({ name }).end();
      return Response.json(await shared.flush({ timeoutMs: 5000 }));
    }
    if (!request.url.endsWith("/object")) return traced.fetch(request, env, ctx);
    return env.COUNTER.get(env.COUNTER.idFromName("one")).fetch(request.url);
  },
};

/** The object outlives its requests, so nothing is flushed at their end. */
export class Counter {
  readonly #opik: Opik;
  #count = 0;

  constructor(_state: unknown, env: Env) {
    this.#opik = new Opik({ env, background: true });
  }

  fetch(): Response {
    this.#count += 1;
    this.#opik.span({ name: `count ${this.#count}` }).end();
    return new Response(`${this.#count}`);
  }
}
