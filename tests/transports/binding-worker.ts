// A Worker without a key and without a way out: its uploads go through a service binding. And a Durable Object that
// flushes by itself.

import { Opik, type Transport } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

interface Env {
  PROXY: Transport;
  OPIK_URL_OVERRIDE: string;
  COUNTER: { idFromName(name: string): unknown; get(id: unknown): { fetch(url: string): Promise<Response> } };
}

/** At the top of the module: used by every request. */
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

/** Lives as long as it likes, so nothing is flushed at the end of a request. */
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
