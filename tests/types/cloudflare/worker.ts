// The public types beside Cloudflare's own. Compiled, never run.

import { DurableObject } from "cloudflare:workers";
import { fetch, type Transport } from "opik-edge";
import { deliverQueue, queueTransport, tracedQueue, tracedRpc, traceMessage, withOpik } from "opik-edge/cloudflare";
import { withOpik as withServer } from "opik-edge/server";

interface Env {
  PROXY: Fetcher;
  ROWS: Queue<string>;
  OPIK_API_KEY: string;
}

export default withOpik(
  {
    async fetch(request, env, ctx) {
      ctx.waitUntil(Promise.resolve(request.cf));
      return env.PROXY.fetch(request);
    },
    async queue(batch, env) {
      const { sent } = await deliverQueue(batch, { env });
      console.log(sent);
    },
  } satisfies ExportedHandler<Env, string>,
  (env) => {
    const proxy: Transport = env.PROXY;
    return { transport: env.OPIK_API_KEY ? proxy : queueTransport(env.ROWS) };
  },
);

/** Every handler alone, and the `env` that its configuration receives. */
export const queueOnly = withOpik(
  {
    async queue(batch: MessageBatch<string>, env: Env) {
      await deliverQueue(batch, { env });
    },
  },
  (env) => ({ apiKey: env.OPIK_API_KEY }),
);
/** A consumer from the guide is a handler of the platform, with tracing and without. */
export const consumer = {
  queue: (batch, env) => deliverQueue(batch, { env }),
} satisfies ExportedHandler<Env>;
export const tracedConsumer: ExportedHandler<Env, string> = withOpik({
  queue: (batch: MessageBatch<string>, env: Env) => deliverQueue(batch, { env }),
});
export const cronOnly = withOpik({ scheduled() {} } satisfies ExportedHandler<Env>, () => ({ sampleRate: 1 }));
/** Cloudflare's own tracing is a setting of Workers alone. */
export const mirrored = withOpik({ scheduled() {} } satisfies ExportedHandler<Env>, { native: true, trust: "never" });
// @ts-expect-error -- a boolean
withOpik({ scheduled() {} } satisfies ExportedHandler<Env>, { native: "yes" });
// @ts-expect-error -- a misspelt name
withOpik({ scheduled() {} } satisfies ExportedHandler<Env>, () => ({ natve: true }));
// @ts-expect-error -- no setting of other servers
withServer((_request: Request) => new Response(), { native: true });
// @ts-expect-error -- neither a handler nor a class
withOpik({ nothing: 1 });

/** A class keeps its type: its methods, its constructor's arguments, and the `env` of its configuration. */
export const Counter = withOpik(
  class Counter extends DurableObject<Env> {
    add(n: number): number {
      return n + this.env.OPIK_API_KEY.length;
    }
  },
  (env, trigger) => ({ apiKey: env.OPIK_API_KEY, sampleRate: trigger.type === "rpc" ? 0.1 : 1 }),
);

export async function callsOthers(
  stub: DurableObjectStub<InstanceType<typeof Counter>>,
  jobs: Queue<{ job: number }>,
  message: Message<{ job: number }>,
): Promise<void> {
  const sum: number = await tracedRpc(stub).add(1);
  // @ts-expect-error -- what a method takes stays what it takes
  await tracedRpc(stub).add("1");
  // @ts-expect-error -- nor is there a property of the other side's
  tracedRpc(stub).total;
  await tracedQueue(jobs).send({ job: sum });
  // @ts-expect-error -- what a queue takes stays what it takes
  await tracedQueue(jobs).send({ job: "1" });
  const doubled: number = traceMessage(message, ({ job }, current) => job * current.id.length);
  await fetch("https://object.internal/", { opik: { via: stub, name: `${doubled}` } });
}
