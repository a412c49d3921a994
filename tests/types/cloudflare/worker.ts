// The public types beside Cloudflare's own. Compiled, never run.

import type { Transport } from "opik-edge";
import { deliverQueue, queueTransport, withOpik } from "opik-edge/cloudflare";

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
