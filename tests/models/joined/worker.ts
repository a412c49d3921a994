// The Worker: the page's site and relay, and a chat that calls the Node service and the Python service with Opik's SDK.

import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { relay } from "opik-edge/relay";

interface Env {
  /** The page's script. */
  PAGE_JS: string;
  NODE_URL: string;
  RETRIEVER_URL: string;
}

const chat = withOpik(
  {
    async fetch(request: Request, env: Env, _ctx: unknown): Promise<Response> {
      const query = await request.text();
      const retrieved = await fetch(`${env.RETRIEVER_URL}/retrieve`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ query }),
      });
      const documents = await retrieved.json();
      const answered = await fetch(`${env.NODE_URL}/answer`, { method: "POST", body: query });
      return Response.json({ documents, ...((await answered.json()) as object) });
    },
  },
  () => ({ projectName: "joined", service: "chat", propagation: ["opik", "w3c", "baggage"] }),
);

let handle: ((request: Request) => Promise<Response>) | undefined;

export default {
  fetch(request: Request, env: Env, ctx: unknown): Response | Promise<Response> {
    const { pathname, origin } = new URL(request.url);
    if (pathname === "/chat") return chat.fetch(request, env, ctx);
    if (pathname === "/opik") {
      handle ??= relay({ env, projectName: "joined", service: "page", origins: [origin] });
      return handle(request);
    }
    if (pathname === "/page.js") return new Response(env.PAGE_JS, { headers: { "content-type": "text/javascript" } });
    const html = `<!doctype html><title>page</title><script type="module" src="/page.js"></script>`;
    return new Response(html, { headers: { "content-type": "text/html" } });
  },
};
