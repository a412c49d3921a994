// The site of the browser tests: a page and its script, a relay, and a traced API that streams; all of one origin.

import { fetch, getTrackContext } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { relay } from "opik-edge/relay";

interface Env {
  PAGE_JS: string;
  UPSTREAM: string;
}

const HTML = `<!doctype html><meta charset="utf-8"><title>page</title><body><script type="module" src="/page.js"></script>`;

const api = withOpik(
  {
    async fetch(_request: Request, env: Env, _ctx: unknown): Promise<Response> {
      const { span } = getTrackContext()!;
      await (await fetch(`${env.UPSTREAM}/text`)).text();
      const body = new ReadableStream({
        async start(controller) {
          for (const word of ["one ", "two ", "three"]) {
            controller.enqueue(new TextEncoder().encode(word));
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          span.update({ metadata: { streamed: true } });
          controller.close();
        },
      });
      return new Response(body);
    },
  },
  () => ({ projectName: "site", onError: () => {} }),
);

/** Whether the relay is out of order. */
let isDown = false;
let handle: ((request: Request) => Promise<Response>) | undefined;

export default {
  fetch(request: Request, env: Env, ctx: unknown): Response | Promise<Response> {
    const { pathname, searchParams, origin } = new URL(request.url);
    if (pathname === "/page.js") return new Response(env.PAGE_JS, { headers: { "content-type": "text/javascript" } });
    if (pathname === "/chat") return api.fetch(request, env, ctx);
    if (pathname === "/down" || pathname === "/up") {
      isDown = pathname === "/down";
      return new Response("ok");
    }
    if (pathname === "/opik") {
      if (isDown) return new Response("down", { status: 503 });
      handle ??= relay({ env, projectName: "site", origins: [origin] });
      return handle(request);
    }
    const headers = new Headers({ "content-type": "text/html" });
    if (searchParams.has("csp")) headers.set("content-security-policy", "default-src 'self'");
    return new Response(HTML, { headers });
  },
};
