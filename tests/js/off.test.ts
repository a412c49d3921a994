// Tracing that is off records nothing and throws nothing: handlers whose settings are refused, preflights, and functions of the package
// under malformed variables. Their spans must not go to the client of the process, which lacks the handler's `redact`.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { Hono } from "hono";
import {
  flush,
  getDistributedTraceHeaders,
  instrumentFetch,
  span,
  trace,
  fetch as tracedFetch,
  track,
} from "opik-edge";
import { withOpik as withOpikInWorker } from "opik-edge/cloudflare";
import { opikMiddleware as honoMiddleware } from "opik-edge/hono";
import { opikMiddleware, withOpik as withOpikInNode } from "opik-edge/node";
import { type ServerConfig, withOpik } from "opik-edge/server";
import { type Collector, startCollector } from "../support/collector.js";

/** An unknown name that resembles `redact`, so that the handler runs untraced. */
const REFUSED: ServerConfig = { ...({ redactt: {} } as ServerConfig), onError: () => {} };

let collector: Collector;
before(async () => {
  collector = await startCollector();
  process.env["OPIK_URL_OVERRIDE"] = collector.url;
});
after(async () => {
  delete process.env["OPIK_URL_OVERRIDE"];
  await collector.close();
});
let seen = 0;
beforeEach(() => {
  seen = collector.requests.length;
});
/** Asserts that nothing has arrived since the test began. */
const nothing = (): void => assert.equal(collector.requests.length, seen);

/** Records, before an `await` and behind it, a secret that the refused settings would have masked. */
async function secretive(): Promise<string> {
  span({ name: "x", input: { password: "hunter2" } }, () => 1);
  await null;
  await track(async () => "hunter2", { name: "y" })();
  trace({ name: "z" }).end();
  await tracedFetch("data:text/plain,x");
  const stop = instrumentFetch();
  assert.equal(await (await fetch("data:text/plain,x")).text(), "x");
  stop();
  assert.equal(getDistributedTraceHeaders(), null);
  return "done";
}
const respond = async (_request: Request): Promise<Response> => new Response(await secretive());
const request = (method = "GET"): Request =>
  new Request("https://example.com/", {
    method,
    headers: method === "GET" ? {} : { origin: "https://a.example", "access-control-request-method": "POST" },
  });
const ctx = { waitUntil() {}, passThroughOnException() {} };

/** The answer of a Node server. */
async function served(listener: (...args: never[]) => unknown): Promise<string> {
  const server = createServer(listener as never).listen(0, "127.0.0.1");
  await once(server, "listening");
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const text = await answer.text();
  server.close();
  return text;
}

const HANDLERS: Record<string, () => Promise<unknown>> = {
  "withOpik of /server": async () => (await withOpik(respond, REFUSED)(request())).text(),
  "a preflight of /server": async () => (await withOpik(respond)(request("OPTIONS"))).text(),
  "withOpik of /node": () =>
    served(
      withOpikInNode(
        (async (_: unknown, response: { end(text: string): void }) => response.end(await secretive())) as never,
        REFUSED,
      ),
    ),
  "opikMiddleware of /node": () =>
    served((incoming: never, response: never) =>
      opikMiddleware(REFUSED)(incoming, response, async () =>
        (response as { end(text: string): void }).end(await secretive()),
      ),
    ),
  "opikMiddleware of /hono": async () => {
    const app = new Hono();
    app.use(honoMiddleware(REFUSED));
    app.get("/", async (c) => c.text(await secretive()));
    return (await app.request("/")).text();
  },
  "fetch of /cloudflare": async () => {
    const worker = withOpikInWorker({ fetch: respond }, REFUSED as never) as {
      fetch(...args: unknown[]): Promise<Response>;
    };
    return (await worker.fetch(request(), {}, ctx)).text();
  },
  "scheduled of /cloudflare": async () => {
    const worker = withOpikInWorker({ scheduled: secretive } as never, REFUSED) as Record<
      string,
      (...args: unknown[]) => unknown
    >;
    return worker["scheduled"]!({ cron: "* * * * *", scheduledTime: 0, noRetry() {} }, {}, ctx);
  },
};

describe("a call without usable settings runs and records nothing", () => {
  for (const [name, call] of Object.entries(HANDLERS)) {
    test(name, async () => {
      assert.equal(await call(), "done");
      await flush();
      nothing();
    });
  }
});

describe("malformed variables throw nothing", () => {
  const MALFORMED: [variable: string, value: string][] = [
    ["OPIK_URL_OVERRIDE", "localhost:5199/api"],
    ["OPIK_URL_OVERRIDE", "http://user:password@127.0.0.1/api"],
    ["OPIK_API_KEY", "k€y"],
    ["OPIK_API_KEY", "a\nb"],
    ["OPIK_WORKSPACE", "wörk"],
    ["OPIK_SERVICE", "café"],
    ["OPIK_ENVIRONMENT", "e".repeat(1000)],
    ["OPIK_PROJECT_NAME", " "],
  ];
  for (const [variable, value] of MALFORMED) {
    test(`${variable}=${JSON.stringify(value).slice(0, 40)}`, async () => {
      // A fresh process for each variable, since the client of the process is made once.
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        ["--import", "tsx", join(import.meta.dirname, "off-program.ts")],
        { env: { ...process.env, OPIK_URL_OVERRIDE: collector.url, [variable]: value } },
      );
      assert.match(stdout, /^all passed$/m);
      assert.match(stderr, /tracing is off/);
      nothing();
    });
  }
});
