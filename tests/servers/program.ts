// A server on a local port: `program.ts KIND COLLECTOR ECHO`. Prints its port once it listens.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import express from "express";
import { opikMiddleware as expressOpik, withOpik as nodeWithOpik } from "opik-edge/node";
import { withOpik } from "opik-edge/server";
import { answer } from "./app.js";
import { honoApp } from "./hono-app.js";
import { respond } from "./node-app.js";

const [kind = "", url = "", echo = ""] = process.argv.slice(2);
const config = { url, projectName: "servers" };
const { Deno, Bun } = globalThis as unknown as {
  Deno?: { serve(options: object, handler: unknown): { addr: { port: number } } };
  Bun?: { serve(options: object): { port: number } };
};

const KINDS: Record<string, () => Promise<number> | number> = {
  http: () => {
    const listener = nodeWithOpik(
      async (request: IncomingMessage, response: ServerResponse) => respond(request, response, echo),
      config,
    );
    return listening(
      createServer(async (request, response) => {
        try {
          await listener(request, response);
        } catch {
          response.writeHead(500).end();
        }
      }),
    );
  },
  express: () => {
    const app = express();
    app.use(expressOpik(config));
    app.use((request, response, next) => {
      respond(request, response, echo).catch(next);
    });
    app.use(((_error, _request, response, _next) => {
      response.status(500).end();
    }) as express.ErrorRequestHandler);
    return listening(createServer(app));
  },
  web: () =>
    serveWeb(
      withOpik(async (request: Request) => {
        const { pathname } = new URL(request.url);
        return answer(pathname, echo);
      }, config),
    ),
  hono: () => {
    const app = honoApp(
      () => config,
      () => echo,
    );
    if (Deno ?? Bun) return serveWeb(app.fetch);
    return new Promise((resolve) =>
      serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => resolve(port)),
    );
  },
};

function serveWeb(fetch: (request: Request) => unknown): number {
  const hostname = "127.0.0.1";
  const onError = () => new Response(null, { status: 500 });
  if (Deno) return Deno.serve({ port: 0, hostname, onListen: () => {}, onError }, fetch).addr.port;
  return Bun!.serve({ port: 0, hostname, fetch, error: onError }).port;
}

function listening(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

console.log(await KINDS[kind]!());
