// `capture` of opik-edge/testing, called as in a user's unit test.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, mock, test } from "node:test";
import express from "express";
import { Hono } from "hono";
import { flush, getTrackContext, Opik, score, span, trace, fetch as tracedFetch, track } from "opik-edge";
import { withOpik as withWorker } from "opik-edge/cloudflare";
import { opikMiddleware as inHono } from "opik-edge/hono";
import { opikMiddleware, withOpik as withNode } from "opik-edge/node";
import { withOpik } from "opik-edge/server";
import { assertTrees, capture, InMemoryExporter, useDeterministicIds, useFakeClock } from "opik-edge/testing";

const CALLER = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

// Stands for a user's modules: created at import, with any settings.
const exporter = new InMemoryExporter();
const client = new Opik({ transport: exporter, background: false, projectName: "shop", redact: { keys: ["secret"] } });
const disabled = new Opik({ disabled: true });
const summarise = track(async function summarise(text: string) {
  await null;
  return span({ name: "model", type: "llm" }, () => text.slice(0, 3));
});
const ofClient = client.track(async function ofClient(secret: string) {
  await null;
  return { secret };
});

const sent: string[] = [];
before(() => {
  for (const name of ["OPIK_API_KEY", "OPIK_URL_OVERRIDE"]) delete process.env[name];
  // Nothing that is captured is sent or logged.
  mock.method(console, "warn", (...said: unknown[]) => void sent.push(String(said)));
  mock.method(globalThis, "fetch", original(globalThis.fetch));
});
after(() => assert.deepEqual(sent, []));

function original(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return (input, init) => {
    const { hostname } = new URL(String(input instanceof Request ? input.url : input));
    if (hostname !== "127.0.0.1") sent.push(hostname);
    return fetch(input, init);
  };
}

const SUMMARISE = { name: "summarise", input: { arguments: ["hello"] }, spans: [{ name: "model", type: "llm" }] };

test("the package's own functions, without a client and without a key", async () => {
  const traces = await capture(() => summarise("hello"));
  assertTrees(traces, [{ name: "summarise", spans: [{ ...SUMMARISE, output: { output: "hel" } }] }]);
});

test("spans, traces, joined traces and calls of any kind", async () => {
  const traces = await capture(async () => {
    trace({ name: "empty" }).end();
    span({ name: "joined", parent: CALLER }).end();
    await span({ name: "above" }, async () => {
      await tracedFetch("https://never.test/", { opik: { via: { fetch: async () => new Response("text") } } }).then(
        (answer) => answer.text(),
      );
      assert.ok(getTrackContext());
    });
  });
  assertTrees(traces, [
    { name: "empty", spans: [] },
    { id: CALLER.opik_trace_id, name: undefined, spans: [{ name: "joined" }] },
    { name: "above", spans: [{ name: "above", spans: [{ name: "GET never.test/" }] }] },
  ]);
});

test("a function that records nothing", async () => {
  assert.deepEqual(await capture(() => {}), []);
});

test("clients that were created before, with their settings, and disabled clients", async () => {
  const traces = await capture(async () => {
    await ofClient("password");
    disabled.span({ name: "disabled" }, () => {});
    await client.distributedHeaders(CALLER, () => span({ name: "own" }, () => {}), { span: false, flush: true });
    new Opik({ sampleRate: 0 }).span({ name: "made here, unsampled and without a key" }).end();
  });
  assertTrees(traces, [
    { name: "ofClient", project_name: "shop", spans: [{ output: { secret: "[redacted]" }, spans: [] }] },
    { name: "disabled" },
    { id: CALLER.opik_trace_id, spans: [{ name: "own", project_name: "shop" }] },
    { name: "made here, unsampled and without a key" },
  ]);
  await client.flush();
  assert.equal(exporter.requests.length, 0);
  client.span({ name: "outside" }).end();
  await client.flush();
  assertTrees(exporter, [{ name: "outside" }]);
  exporter.clear();
});

test("a Worker's handler, which has no key", async () => {
  const worker = withWorker({
    async fetch(request: Request, _env: object, ctx: { waitUntil(promise: Promise<unknown>): void }) {
      ctx.waitUntil(span({ name: "later" }, async () => {}));
      return new Response(await summarise(await request.text()));
    },
  });
  const waited: Promise<unknown>[] = [];
  const traces = await capture(async () => {
    const request = new Request("https://host.test/chat", { method: "POST", body: "hello" });
    const response = await worker.fetch(request, {}, { waitUntil: (promise) => void waited.push(promise) });
    assert.equal(await response.text(), "hel");
    await Promise.all(waited);
  });
  const root = { name: "POST /chat", output: { status: 200 } };
  assertTrees(traces, [{ name: "POST /chat", spans: [{ ...root, spans: [{ name: "later" }, SUMMARISE] }] }]);
});

test("a handler of a web server, including a Next route, for its first and for further requests", async () => {
  const GET = withOpik(async (_request: Request) => new Response(await summarise("hello")));
  const request = () => new Request("https://host.test/next", { headers: CALLER });
  for (let n = 0; n < 2; n += 1) {
    const traces = await capture(async () => void (await (await GET(request())).text()));
    assertTrees(traces, [{ id: CALLER.opik_trace_id, spans: [{ name: "GET /next", spans: [SUMMARISE] }] }]);
  }
});

/** One listener of each kind of server. The path `/text` answers with the result of `summarise`. */
const SERVERS: Record<string, () => RequestListener> = {
  Express: () => {
    const app = express();
    app.use(opikMiddleware());
    app.get("/text", async (_request, response) => void response.send(await summarise("hello")));
    return app;
  },
  "Node's http": () => withNode(async (_request, response) => void response.end(await summarise("hello"))),
};

async function listening(listener: RequestListener): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/text` };
}

function closed({ server }: { readonly server: Server }): void {
  server.close();
  server.closeAllConnections();
}

for (const [name, listener] of Object.entries(SERVERS)) {
  test(`${name}, listening before the capture or started in it`, async () => {
    const running = await listening(listener());
    const asked = await capture(async () => assert.equal(await (await fetch(running.url)).text(), "hel"));
    closed(running);
    const started = await capture(async () => {
      const own = await listening(listener());
      assert.equal(await (await fetch(own.url)).text(), "hel");
      closed(own);
    });
    for (const traces of [asked, started]) {
      assertTrees(traces, [
        { name: "GET /text", spans: [{ name: "GET /text", output: { status: 200 }, spans: [SUMMARISE] }] },
      ]);
    }
  });
}

test("Hono", async () => {
  const app = new Hono();
  app.use(inHono());
  app.get("/text", async (c) => c.text(await summarise("hello")));
  const traces = await capture(async () => assert.equal(await (await app.request("/text")).text(), "hel"));
  assertTrees(traces, [{ name: "GET /text", spans: [{ name: "GET /text", spans: [SUMMARISE] }] }]);
});

test("handlers with their own exporter, after a flush", async () => {
  const own = new InMemoryExporter();
  const settings = { transport: own };
  const GET = withOpik(async (_request: Request) => new Response("web"), settings);
  const app = new Hono();
  app.use(inHono(settings));
  app.get("/text", (c) => c.text("hono"));
  const withMiddleware = express();
  withMiddleware.use(opikMiddleware(settings));
  withMiddleware.get("/text", (_request, response) => void response.send("express"));
  const running = await listening(withMiddleware);
  const inNode = await listening(withNode((_request, response) => response.end("node"), settings));
  await (await GET(new Request("https://host.test/route"))).text();
  await (await app.request("/text")).text();
  for (const { url } of [running, inNode]) await (await fetch(url)).text();
  for (const one of [running, inNode]) {
    closed(one);
    await once(one.server, "close");
  }
  await flush();
  assertTrees(own, [{ name: "GET /route" }, { name: "GET /text" }, { name: "GET /text" }, { name: "GET /text" }]);
});

test("capture passes on what the function throws, and an assertion inside gives the traces", async () => {
  const error = new RangeError("no");
  const fails = track(async function fails() {
    throw error;
  });
  const isIt = (caught: unknown) => caught === error;
  await assert.rejects(capture(fails), isIt);
  await assert.rejects(
    capture(() => {
      throw error;
    }),
    isIt,
  );
  const traces = await capture(() => assert.rejects(fails, isIt));
  assertTrees(traces, [{ name: "fails", spans: [{ error_info: { message: "no" } }] }]);
});

test("nested captures, concurrent captures, and a capture in a span", async () => {
  let inner: unknown;
  const outer = await capture(async () => {
    span({ name: "before" }, () => {});
    inner = await span({ name: "around" }, () => capture(() => ofClient("x")));
    span({ name: "after" }, () => {});
  });
  assertTrees(outer, [{ name: "before" }, { name: "around", spans: [{ spans: [] }] }, { name: "after" }]);
  assertTrees(inner as typeof outer, [{ name: "ofClient" }]);

  const pause = () => new Promise((resolve) => setTimeout(resolve));
  const all = await Promise.all(
    ["a", "b", "c"].map((name) =>
      capture(async () => {
        await pause();
        await span({ name }, async () => {
          await pause();
          client.span({ name: `${name} below` }, pause);
        });
      }),
    ),
  );
  for (const [at, name] of ["a", "b", "c"].entries()) {
    assertTrees(all[at]!, [{ name, spans: [{ name, spans: [{ name: `${name} below` }] }] }]);
  }
  const whole = await client.span({ name: "host" }, () => capture(() => summarise("hello")));
  assertTrees(whole, [{ name: "summarise" }]);
  await client.flush();
  exporter.clear();
});

test("rows that are recorded outside of a capture go to their own destination", async () => {
  let release = (): void => {};
  const waiting = new Promise<void>((resolve) => {
    release = resolve;
  });
  const traces = client.span({ name: "host" }, async () => {
    const captured = capture(() => waiting.then(() => summarise("hello")));
    await null;
    client.span({ name: "meanwhile" }).end();
    release();
    return captured;
  });
  assertTrees(await traces, [{ name: "summarise" }]);
  await client.flush();
  assertTrees(exporter, [{ name: "host", spans: [{ name: "host", spans: [{ name: "meanwhile" }] }] }]);
  exporter.clear();
});

test("open spans are unfinished, and later rows are not captured", async () => {
  const traces = await capture(() => void span({ name: "open" }));
  assertTrees(traces, [{ name: "open", spans: [{ metadata: { opik_edge_unfinished: true } }] }]);
});

test("scores are in the exporter", async () => {
  const own = new InMemoryExporter();
  const traces = await capture(() => {
    const rated = span({ name: "rated" });
    rated.end();
    score({ spanId: rated.id, name: "own", value: 1 });
    client.score({ traceId: rated.traceId, name: "client's", value: 0 });
    rated.score({ name: "span's", value: 0.5 });
  }, own);
  assertTrees(traces, [{ name: "rated" }]);
  assert.deepEqual(own.scores.map(({ name }) => name).sort(), ["client's", "own", "span's"]);
});

test("with a clock and ids that the test sets", async () => {
  const run = async () => {
    using clock = useFakeClock();
    using _ids = useDeterministicIds(7);
    const traces = await capture(async () => {
      const slow = client.span({ name: "slow" });
      await clock.advance(5000);
      slow.end();
    });
    return traces.flatMap(({ row, spans }) => [row.id, ...spans.map((below) => [below.row.id, below.row["end_time"]])]);
  };
  const [first, second] = [await run(), await run()];
  assert.deepEqual(first, second);
  assert.match(String((first[1] as unknown[])[1]), /^2027-01-15T08:00:05/);
});
