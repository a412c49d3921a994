// The Worker under test, with a route for each behaviour.

import { fetch, flush, getTrackContext, Opik, type Span, score, span, track } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

interface Env {
  /** URL of a server that answers in the ways the tests need. */
  UPSTREAM: string;
  /** Makes the configuration function throw, or return invalid settings. */
  CONFIG?: "throws" | "invalid";
  SECRET: string;
}

/** The members of the runtime's context that the tests use. */
interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/** Kept across requests on purpose, so that a later request can misuse it. */
let kept: Span | undefined;
const originalNow = Date.now;

type Route = (request: Request, env: Env, ctx: Context) => Response | Promise<Response>;

const routes: Record<string, Route> = {
  "/hello": () => new Response("hello"),
  "/json": () => Response.json({ a: 1 }),
  "/no-response": () => undefined as never,
  "/scoped": () => span({ name: "scoped" }, async () => Response.json({ a: 1 })),
  "/throws": () => {
    throw new TypeError("from the handler");
  },
  "/context": () => {
    const current = getTrackContext();
    return Response.json({ headers: current?.span.headers({ spelling: "underscore" }) ?? null });
  },
  "/nested": async (request) => {
    const root = getTrackContext()!.span;
    const name = new URL(request.url).searchParams.get("name") ?? "child";
    await pause();
    // With AsyncLocalStorage the parent is found automatically; otherwise it is passed explicitly.
    const child = span({ name: `${name} child`, ...(getTrackContext() ? {} : { parent: root }) });
    await pause();
    const grandchild = child.span({ name: `${name} grandchild` });
    grandchild.end();
    child.end();
    return Response.json({ root: root.id, child: child.id, trace: root.traceId });
  },
  "/many": () => {
    const root = getTrackContext()!.span;
    for (let i = 0; i < 500; i += 1) root.span({ name: `${i}` }).end();
    return new Response("done");
  },
  "/feedback": async (request) => {
    score((await request.json()) as Parameters<typeof score>[0]);
    return new Response("thanks");
  },
  "/records-env": (request, env, ctx) => {
    const tracked = track(function tracked(..._: unknown[]) {
      return { env, nested: [{ ctx }] };
    });
    tracked(request, env, ctx, { env });
    return new Response("recorded");
  },
  "/own-output": () => {
    getTrackContext()!.span.update({ name: "renamed", output: "of the handler's own" });
    return new Response("ok");
  },
  "/unreadable-output": () => {
    getTrackContext()!.span.update({
      name: "unreadable",
      output: {
        get broken(): never {
          throw new Error("no");
        },
      },
    });
    return new Response("ok");
  },
  "/keep": () => {
    kept = getTrackContext()!.span.span({ name: "kept" });
    return new Response("kept");
  },
  "/misuse": () => {
    kept!.update({ name: "touched by another request" });
    kept!.span({ name: "late child" }).end();
    kept!.end();
    return new Response("misused");
  },
  "/background": (_request, _env, ctx) => {
    const root = getTrackContext()!.span;
    ctx.waitUntil(
      (async () => {
        await pause();
        root.span({ name: "in the background" }).end();
        // A flush inside waitUntil must not wait for waitUntil.
        await flush();
        ctx.waitUntil(pause().then(() => root.span({ name: "later still" }).end()));
      })(),
    );
    return new Response("ok");
  },
  "/left-open": () => {
    getTrackContext()!.span.span({ name: "left open" });
    return new Response("ok");
  },
  "/unread": async (_request, env) => {
    const root = getTrackContext()!.span;
    await root.fetch(`${env.UPSTREAM}/text`);
    return new Response("did not read it");
  },
  "/reads-on": async (_request, env) => {
    const response = await getTrackContext()!.span.fetch(`${env.UPSTREAM}/broken`);
    void response.text().catch(() => {});
    return new Response("reads on");
  },
  "/proxy": async (request, env) => {
    const path = new URL(request.url).searchParams.get("path")!;
    const manual = new URL(request.url).searchParams.has("manual");
    const response = await fetch(`${env.UPSTREAM}${path}`, { method: request.method });
    return manual ? new Response(response.body, response) : response;
  },
  "/fetch-facts": async (_request, env) => {
    const response = await fetch(`${env.UPSTREAM}/redirect`);
    const { url, redirected, type, status } = response;
    const copy = response.clone();
    const facts = { url, redirected, type, status, text: await response.text(), copy: [copy.url, await copy.text()] };
    return Response.json(facts);
  },
  "/encoded": async () => {
    // gzip of "hello", sent as stored here.
    const bytes = Uint8Array.from(atob("H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="), (c) => c.charCodeAt(0));
    const init = { headers: { "content-encoding": "gzip" }, encodeBody: "manual" };
    return new Response(bytes, init as ResponseInit);
  },
  "/chunks": () => {
    const encoder = new TextEncoder();
    let n = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await pause();
          if (n === 5) controller.close();
          else controller.enqueue(encoder.encode(`chunk ${n++}\n`));
        },
      }),
    );
  },
  "/breaks": () => {
    let n = 0;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (n++ === 2) throw new Error("the stream broke");
          controller.enqueue(new TextEncoder().encode("chunk\n"));
        },
      }),
    );
  },
  "/endless": async (_request, env) => fetch(`${env.UPSTREAM}/endless`),
  "/status": (request) => {
    const status = Number(new URL(request.url).searchParams.get("status"));
    return new Response(null, { status, headers: { "x-kept": "yes" } });
  },
  "/cookies": () => {
    const headers = new Headers();
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    return new Response("cookies", { headers });
  },
  "/socket": () => {
    const { 0: client, 1: server } = new (
      globalThis as unknown as { WebSocketPair: new () => Sockets }
    ).WebSocketPair();
    server.accept();
    server.addEventListener("message", (event) => {
      server.send(`echo ${(event as MessageEvent).data}`);
      server.close();
    });
    return new Response(null, { status: 101, webSocket: client } as ResponseInit);
  },
  "/frozen": () => {
    Date.now = () => 1_764_000_000_000;
    try {
      const root = getTrackContext()!.span;
      const ids = Array.from({ length: 100 }, () => root.span().id);
      return Response.json({ unique: new Set(ids).size, sorted: ids.every((id, i) => i === 0 || ids[i - 1]! < id) });
    } finally {
      Date.now = originalNow;
    }
  },
  "/own-client": async (_request, env) => {
    // A new client inside a request: spans opened with it still belong to the invocation.
    const opik = new Opik({ url: env.UPSTREAM });
    opik.span({ name: "through another client" }, () => 1);
    return new Response("ok");
  },
};

type Sockets = { 0: WebSocket; 1: WebSocket & { accept(): void } };

/** A handler with its own state, some of it private. */
class Handler {
  #calls = 0;
  readonly #routes = routes;

  async fetch(request: Request, env: Env, ctx: Context): Promise<Response> {
    this.#calls += 1;
    const { pathname } = new URL(request.url);
    if (pathname === "/calls") return new Response(String(this.#calls));
    const route = this.#routes[pathname];
    return route ? route(request, env, ctx) : new Response("not found", { status: 404 });
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}

const configured = withOpik(new Handler(), (env) => {
  if (env.CONFIG === "throws") throw new Error("the configuration function threw");
  return env.CONFIG === "invalid" ? { projectName: " " } : { environment: "test" };
});

export default withOpik(configured);
