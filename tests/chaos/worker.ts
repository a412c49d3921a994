// A Worker for the chaos tests: it records the requested rows, and has a traced handler whose response must not change.

import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { record } from "./record.js";

interface Env {
  OPIK_TRACK_DISABLE?: string;
}

const traced = withOpik(
  {
    async fetch(request: Request, _env: Env, _ctx: unknown): Promise<Response> {
      const spans = Number(new URL(request.url).searchParams.get("spans"));
      await span({ name: "work" }, async (work) => {
        for (let n = 0; n < spans; n += 1) work.span({ name: `${n}`, input: { n } }).end();
      });
      const body = new ReadableStream({
        start(controller) {
          for (const chunk of ["one ", "two ", "three"]) controller.enqueue(new TextEncoder().encode(chunk));
          controller.close();
        },
      });
      return new Response(body, { status: 201, statusText: "Made", headers: { "x-kept": "yes" } });
    },
  },
  () => ({ onError: () => {} }),
);

export default {
  async fetch(request: Request, env: Env, ctx: unknown): Promise<Response> {
    if (new URL(request.url).pathname !== "/record") return traced.fetch(request, env, ctx);
    return Response.json(await record(await request.json()));
  },
};
