// The site of the browser tests: a page and its script, a relay, and a traced API that streams, all of one origin.

import { contextMeta, contextServerTiming, fetch, getTrackContext } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { echoHeaders } from "opik-edge/doctor";
import { mintToken, relay } from "opik-edge/relay";

interface Env {
  PAGE_JS: string;
  /** The guide's example for a page. */
  README_JS: string;
  /** The guide's page without a bundler, and the file that it loads. */
  STANDALONE_HTML: string;
  STANDALONE_JS: string;
  UPSTREAM: string;
}

const html = (head = ""): string =>
  `<!doctype html><meta charset="utf-8"><title>page</title>${head}<body><script type="module" src="/page.js"></script>`;

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

/** The page of the guide's example. */
const README = `<!doctype html><input id="input"><button id="button">ask</button><p id="answer"></p>
  <button id="thumbsUp">helpful</button><script type="module" src="/readme.js"></script>`;

/** Elements that shadow the members of document and window (DOM clobbering). */
const CLOBBERING =
  ["querySelector", "addEventListener", "visibilityState", "baseURI"].map((name) => `<img name="${name}">`).join("") +
  ["AsyncLocalStorage", "Bun", "EdgeRuntime", "WebSocketPair"].map((id) => `<a id="${id}"></a>`).join("") +
  `<form id="Deno"><input name="unrefTimer"><input name="env"><input name="permissions"></form>
   <form id="process"><input name="getBuiltinModule"><input name="prependListener"></form>
   <form id="process" name="versions"><input name="node"></form>
   <form id="process" name="env"><input name="OPIK_API_KEY"><input name="OPIK_WORKSPACE"></form>`;

/** Pages that contain the context of the span that rendered them. */
const rendered = withOpik(
  {
    fetch(request: Request, _env: Env, _ctx: unknown): Response {
      const { span } = getTrackContext()!;
      const headers = new Headers({ "content-type": "text/html" });
      const isTiming = new URL(request.url).searchParams.get("rendered") === "timing";
      if (isTiming) headers.set("server-timing", contextServerTiming(span));
      return new Response(html(isTiming ? "" : contextMeta(span)), { headers });
    },
  },
  () => ({ projectName: "site", onError: () => {} }),
);

/** A stream that goes on without end, or that ends. */
function stream(how: string | null): Response {
  let sent = 0;
  const body = new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      sent += 1;
      if (how === "ends" && sent > 3) controller.close();
      else controller.enqueue(new TextEncoder().encode(`data: ${sent}\n\n`));
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

/** A model behind the site (openai 7.57, `chat/completions.d.ts`). */
function model(): Response {
  const chunks = [
    { model: "m-1", choices: [{ index: 0, delta: { role: "assistant", content: "Hel" } }] },
    { model: "m-1", choices: [{ index: 0, delta: { content: "lo" }, finish_reason: "stop" }] },
    { choices: [], usage: { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 } },
  ];
  const events = [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"].map((data) => `data: ${data}\n\n`);
  return new Response(new Blob(events).stream(), { headers: { "content-type": "text/event-stream" } });
}

/** An API that allows pages of other origins some headers, and not all. */
function partial(request: Request): Response {
  const headers = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "opik_trace_id, opik_parent_span_id",
  };
  return new Response(request.method === "OPTIONS" ? null : "partial", { headers });
}

/** `true` while the relays are down. Pages whose URL ends in `back` still reach `/opik`. */
let isDown = false;
let handle: ((request: Request) => Promise<Response>) | undefined;

/** Secrets of the tokens. Tokens of the user `stale` are signed with a retired secret. */
const SECRET = { id: "now", secret: "a secret of the tests, in 32 characters" };
const STALE = { id: "then", secret: "a secret of the tests, in 32 characters" };
let guarded: ((request: Request) => Promise<Response>) | undefined;

/**
 * A token for the conversation of a user, which has the user's name; nobody is refused. With `trace` it names that trace.
 */
async function tokenFor({ origin, searchParams }: URL): Promise<Response> {
  const user = searchParams.get("user");
  if (!user) return new Response("log in first", { status: 401 });
  const secret = user === "stale" ? STALE : SECRET;
  const traceId = searchParams.get("trace") ?? undefined;
  return new Response(await mintToken({ secret, audience: origin, projectName: "site", threadId: user, traceId }));
}

export default {
  fetch(request: Request, env: Env, ctx: unknown): Response | Promise<Response> {
    const { pathname, searchParams, origin } = new URL(request.url);
    const script = { "/page.js": env.PAGE_JS, "/readme.js": env.README_JS, "/standalone.js": env.STANDALONE_JS }[
      pathname
    ];
    if (script) return new Response(script, { headers: { "content-type": "text/javascript" } });
    if (pathname === "/chat") return api.fetch(request, env, ctx);
    if (pathname === "/stream") return stream(searchParams.get("how"));
    if (pathname === "/v1/chat/completions") return model();
    if (pathname === "/partial") return partial(request);
    if (pathname === "/echo") return echoHeaders(request);
    if (searchParams.has("rendered")) return rendered.fetch(request, env, ctx);
    if (pathname === "/down" || pathname === "/up") {
      isDown = pathname === "/down";
      return new Response("ok");
    }
    if (pathname === "/token") return tokenFor(new URL(request.url));
    if (pathname === "/guarded") {
      if (isDown) return new Response("down", { status: 503 });
      guarded ??= relay({
        env,
        projectName: "site",
        origins: [origin],
        tokens: { secrets: [SECRET], audience: origin },
      });
      return guarded(request);
    }
    if (pathname === "/opik") {
      if (isDown && !request.headers.get("referer")?.endsWith("back")) return new Response("down", { status: 503 });
      handle ??= relay({ env, projectName: "site", origins: [origin] });
      return handle(request);
    }
    const headers = new Headers({ "content-type": "text/html" });
    if (searchParams.has("readme")) return new Response(README, { headers });
    if (searchParams.has("standalone")) return new Response(env.STANDALONE_HTML, { headers });
    if (searchParams.has("clobbered")) return new Response(html(`<body>${CLOBBERING}`), { headers });
    if (searchParams.has("csp")) headers.set("content-security-policy", "default-src 'self'");
    return new Response(html(), { headers });
  },
};
