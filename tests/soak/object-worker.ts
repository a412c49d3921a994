// A long-lived Durable Object called by RPC: /steps calls it a hundred times and waits for its work, /result returns the counts.

import { DurableObject } from "cloudflare:workers";
import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

interface Env {
  COUNTER: DurableObjectNamespace<InstanceType<typeof Counter>>;
}

let rows = 0;
const decoder = new TextDecoder();
const transport = {
  async fetch(_url: string, { body }: { body: Uint8Array }): Promise<Response> {
    rows += decoder.decode(body).split('"start_time"').length - 1;
    return new Response(null, { status: 204 });
  },
};

export const Counter = withOpik(
  class Counter extends DurableObject<Env> {
    #count = 0;
    #work: Promise<unknown>[] = [];

    step(): number {
      span({ name: "step" }, () => {});
      this.#count += 1;
      // Work that outlives its call and overlaps with the work of other calls.
      const work = new Promise((resolve) => setTimeout(resolve, 20));
      this.#work.push(work);
      this.ctx.waitUntil(work);
      return this.#count;
    }

    /** Waits for the work of all calls. An object may have 10,000 timers. */
    async rest(): Promise<void> {
      await Promise.all(this.#work.splice(0));
    }

    result() {
      return { count: this.#count, rows };
    }
  },
  () => ({ transport }),
);

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const stub = env.COUNTER.get(env.COUNTER.idFromName("one"));
    if (request.url.endsWith("/result")) return Response.json(await stub.result());
    for (let n = 0; n < 100; n += 1) await stub.step();
    await stub.rest();
    return new Response("done");
  },
};
