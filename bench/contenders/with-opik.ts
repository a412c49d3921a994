// This package around a Worker's handler, as README.md begins. In Node the platform's part is played by a context that
// keeps what it is given. The response has no body: how one is sent is the platform's time.

import { getTrackContext, span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { type Contender, SINK_URL } from "../contender.js";
import { HEADERS, ROOT_URL, type Shape } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";
import { fieldsOf } from "./opik-edge.js";
import { readOpikRows } from "./opik-rows.js";

/** The handler with more settings, whose requests come with these headers. */
export function withHandler(more: { disabled?: boolean; sampleRate?: number }, headers: Headers): Contender {
  const config = { url: SINK_URL, apiKey: "key", projectName: "bench", ...more };
  const handler = { fetch: (_request: Request, { shape }: { shape: Shape }, _ctx: object) => handle(shape) };
  const traced = withOpik(handler, () => config);
  let request: Request | undefined;
  // One for all requests, as in an isolate.
  const env = {} as { shape: Shape };
  return {
    async request(shape) {
      request ??= new Request(ROOT_URL, { method: "POST", headers });
      const held: Promise<unknown>[] = [];
      const ctx = { waitUntil: (promise: Promise<unknown>) => held.push(promise) };
      env.shape = shape;
      await traced.fetch(request, env, ctx);
      await Promise.all(held);
    },
    read: readOpikRows,
  };
}

export const contender: Contender = withHandler({}, HEADERS);

async function handle({ root, children }: Shape): Promise<Response> {
  const rootSpan = getTrackContext()?.span;
  rootSpan?.update({ input: root.input });
  for (const work of children) {
    const { usage } = work;
    if (work.chunks) {
      const answer = span(fieldsOf(work), (own) => {
        if (work.calls) own.headers();
        return streamOf(work, (output) => own.update({ output, usage }));
      });
      await readAll(answer);
    } else {
      await span(fieldsOf(work), async (own) => {
        if (work.calls) own.headers();
        own.update({ output: await done(work), usage });
      });
    }
  }
  rootSpan?.update({ output: await done(root) });
  return new Response(null);
}
