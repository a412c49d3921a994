// Two Workers in one: the first puts its rows into a queue, the second delivers them.

import { getTrackContext } from "opik-edge";
import { deliverQueue, type QueueBatch, type QueueProducer, queueTransport, withOpik } from "opik-edge/cloudflare";

interface Env {
  ROWS: QueueProducer;
  OPIK_URL_OVERRIDE: string;
}

export default withOpik(
  {
    async fetch(request: Request, env: Env): Promise<Response> {
      const { pathname, searchParams } = new URL(request.url);
      // Messages that no `queueTransport` sends.
      if (pathname === "/garbage") {
        for (const text of ["garbage", "[]", "null", '{"spans":7}']) await env.ROWS.send(text, { contentType: "text" });
        return new Response("sent");
      }
      const root = getTrackContext()!.span;
      const text = "x ".repeat(Number(searchParams.get("bytes") ?? 0) / 2);
      for (let n = 0; n < Number(searchParams.get("spans")); n += 1) root.span({ name: `${n}`, input: { text } }).end();
      if (searchParams.has("score")) {
        root.trace.score({ name: "helpful", value: 1 });
        root.score({ name: "fast", value: 0.5 });
      }
      return new Response(root.traceId);
    },
    async queue(batch: QueueBatch, env: Env): Promise<void> {
      await deliverQueue(batch, { env, apiKey: "the consumer's key", onError: () => {} });
    },
  },
  // The producer has no key, although Opik Cloud requires one.
  (env) => ({ url: "https://www.comet.com/opik/api", transport: queueTransport(env.ROWS) }),
);
