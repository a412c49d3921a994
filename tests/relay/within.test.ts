// A relay in a traced server: rows of pages are forwarded, and their requests are not recorded.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import express from "express";
import { Hono } from "hono";
import { flush, span } from "opik-edge";
import { withOpik as withWorker } from "opik-edge/cloudflare";
import { opikMiddleware as inHono } from "opik-edge/hono";
import { opikMiddleware as inNode } from "opik-edge/node";
import { relay } from "opik-edge/relay";
import { withOpik } from "opik-edge/server";
import { client, codes, errors, exporter } from "../support/recording.js";

const ORIGIN = "https://app.test";
const CALLER = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

type Handler = (request: Request) => Response | Promise<Response>;

/** Reads an answer to its end, because its span ends then. */
async function read(response: Response): Promise<Response> {
  await response.text();
  return response;
}

/** Servers that answer each request with `handler`, once all rows are delivered. */
const SERVERS: Record<string, (handler: Handler) => Handler> = {
  Worker: (handler) => {
    const worker = withWorker(
      { fetch: (request: Request, _env: object, _ctx: object) => handler(request) },
      { transport: exporter, onError: (error) => errors.push(error) },
    );
    return async (request) => {
      const held: Promise<unknown>[] = [];
      const response = await worker.fetch(
        request,
        {},
        { waitUntil: (promise: Promise<unknown>) => held.push(promise) },
      );
      await response.text();
      await Promise.all(held);
      return response;
    };
  },
  server: (handler) => {
    const traced = withOpik(handler, config());
    return async (request) => read(await traced(request));
  },
  Hono: (handler) => {
    const app = new Hono().use(inHono(config())).all("*", (c) => handler(c.req.raw));
    return async (request) => read(await app.fetch(request));
  },
  Express: (handler) => {
    const app = express().use(inNode(config()));
    app.use(getRequestListener(handler));
    return async (request) => {
      const server = createServer(app).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const { pathname } = new URL(request.url);
      const { method, headers } = request;
      const body = method === "POST" ? await request.text() : null;
      const response = await fetch(`http://127.0.0.1:${port}${pathname}`, { method, headers, body });
      await response.text();
      server.close();
      return response;
    };
  },
};

function config() {
  return {
    transport: exporter,
    background: true,
    onError: (error: (typeof errors)[number]) => void errors.push(error),
  };
}

const handle = relay({ origins: [ORIGIN], transport: { fetch: async () => new Response(null, { status: 204 }) } });

/** Ways in which a handler reaches the relay. */
const WAYS: Record<string, Handler> = {
  "at once": (request) => handle(request),
  "after an await": async (request) => {
    await null;
    return handle(request);
  },
  "by a copy of the request": (request) => handle(new Request(request)),
  "within a span": (request) => span({ name: "relay" }, () => handle(request)),
};

const BODY = JSON.stringify({ scores: [] });
const REQUESTS: Record<string, () => Request> = {
  "a page's": () => new Request("http://host.test/opik", { method: "POST", body: BODY, headers: { origin: ORIGIN } }),
  "a refused request": () => new Request("http://host.test/opik", { method: "POST", body: BODY }),
  "a caller's request": () =>
    new Request("http://host.test/opik", { method: "POST", body: BODY, headers: { origin: ORIGIN, ...CALLER } }),
};

for (const [name, open] of Object.entries(SERVERS)) {
  test(`a relay records nothing of its requests: ${name}`, async () => {
    for (const [way, handler] of Object.entries(WAYS)) {
      let inside: (run: () => unknown) => unknown = () => {};
      const answer = open((request) => {
        if (request.url.endsWith("/opik")) return handler(request);
        inside = AsyncLocalStorage.snapshot();
        return new Response("other");
      });
      for (const [which, request] of Object.entries(REQUESTS)) {
        const { status } = await answer(request());
        assert.ok(status >= 200 && status < 500, `${way}, ${which}: ${status}`);
      }
      // By the time this later request is recorded, earlier rows would have arrived.
      await answer(new Request("http://host.test/other"));
      while (exporter.traces.length === 0) {
        await inside(flush);
        await turn();
      }
      await inside(flush);
      const names = [...exporter.traces, ...exporter.spans].map(({ name }) => name);
      assert.deepEqual(names, ["GET /other", "GET /other"], way);
      exporter.clear();
    }
    assert.deepEqual(codes(), []);
  });
}

test("spans that were recorded before the relay was called keep their trace", async () => {
  const answer = SERVERS["Worker"]!(async (request) => {
    span({ name: "who is it?" }).end();
    return handle(request);
  });
  await answer(REQUESTS["a page's"]!());
  assert.deepEqual(exporter.spans.map(({ name }) => name).sort(), ["POST /opik", "who is it?"]);
  assert.deepEqual(
    exporter.traces.map(({ name }) => name),
    ["POST /opik"],
  );
});

test("outside a server a relay leaves the current span alone", async () => {
  const opik = client();
  await opik.span({ name: "a test of the host's" }, () => handle(REQUESTS["a page's"]!()));
  await opik.flush();
  assert.deepEqual(
    exporter.spans.map(({ name }) => name),
    ["a test of the host's"],
  );
});
