// The site: the page, a relay that takes what the page records, and tokens for both the relay and the chat Worker.

import { mintToken, relay, type TokenSecret } from "opik-edge/relay";

interface Env {
  /** Where this site is, such as `https://app.example.com`. */
  SITE_ORIGIN: string;
  /** Where the chat Worker is (`../cloudflare-worker`). */
  CHAT_URL: string;
  /** At least 32 characters; the chat Worker has the same. */
  TOKEN_SECRET: string;
  OPIK_PROJECT_NAME: string;
  /** Where traces can be looked at; the demo's collector. */
  TRACES_URL?: string;
  /** The files in public/. */
  ASSETS: { fetch(request: Request): Promise<Response> };
}

const TOKEN_LIFETIME_MS = 15 * 60 * 1000;

let handle: ((request: Request) => Promise<Response>) | undefined;

/**
 * Traces and their sessions. A trace belongs to the first session that names it, and the page names it as its question
 * begins. A real site keeps this with the conversation; this site keeps it in memory.
 */
const owners = new Map<string, string>();

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const secret: TokenSecret = { id: "1", secret: env.TOKEN_SECRET };
    if (pathname === "/opik") {
      handle ??= relay({
        env,
        origins: [env.SITE_ORIGIN],
        tokens: { secrets: [secret], audience: env.SITE_ORIGIN },
      });
      return handle(request);
    }
    if (pathname === "/session") {
      // A real site looks at its own session first.
      const id = /\bsid=([\w-]+)/.exec(request.headers.get("cookie") ?? "")?.[1] ?? crypto.randomUUID();
      // Named is a trace that is to be scored after a reload: by who began it, and by nobody else.
      const traceId = searchParams.get("trace") ?? undefined;
      if (traceId && (owners.get(traceId) ?? id) !== id) return new Response("another session's\n", { status: 403 });
      const token = await mintToken({
        secret,
        audience: env.SITE_ORIGIN,
        projectName: env.OPIK_PROJECT_NAME,
        lifetimeMs: TOKEN_LIFETIME_MS,
        traceId,
      });
      if (traceId) owners.set(traceId, id);
      const session = { token, lifetimeMs: TOKEN_LIFETIME_MS, chatUrl: env.CHAT_URL, tracesUrl: env.TRACES_URL };
      const cookie = `sid=${id}; HttpOnly; SameSite=Strict; Path=/`;
      return Response.json(session, { headers: { "cache-control": "no-store", "set-cookie": cookie } });
    }
    return env.ASSETS.fetch(request);
  },
};
