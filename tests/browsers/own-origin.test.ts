// Headers that Chromium, Firefox and WebKit send about the origin of a page's request. A relay without `origins` recognises
// its own pages by them. Also: where a redirect takes a header.

import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { relay } from "opik-edge/relay";
import { traceOf, Upstream } from "../hostile/relay-support.js";
import { closeAll } from "../support/closing.js";
import { BROWSERS, type Browser, startBrowser, until } from "./webdriver.js";

/** Each way returns the part of the answer that the page could read; a beacon cannot read its answer. */
const PAGE = `<!doctype html><script>
  const text = (promise) => promise.then((response) => response.text(), () => "nothing");
  const inWorker = (url, body) => new Promise((resolve) => {
    const code = "onmessage = ({ data: [url, init] }) => fetch(url, init).then((r) => r.text()).catch(() => 'nothing').then(postMessage)";
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage([url, { method: "POST", body }]);
  });
  globalThis.send = async (way, url, body) => {
    const init = { method: "POST", body, headers: { "content-type": "text/plain;charset=UTF-8" } };
    if (way === "beacon") return String(navigator.sendBeacon(url, body));
    if (way === "worker") return inWorker(url, body);
    return text(fetch(url, { ...init, keepalive: way === "keepalive", mode: way === "no-cors" ? way : "cors" }));
  };
  globalThis.call = (url, headers) => text(fetch(url, { headers }));
</script>`;

const upstream = new Upstream();
const handle = relay({ url: "http://opik.test/api", transport: upstream, onError: () => {} });
/** Requests at the relay, by the query of their URL, and the headers that a redirect has brought to the other origin. */
const seen = new Map<string, { readonly site: string | undefined; readonly status: number }>();
const brought: IncomingHttpHeaders[] = [];

let site: Server;
let other: Server;
before(async () => {
  [site, other] = [await serve(), await serve()];
});
after(() => closeAll(site, other));
const originOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/**
 * A site with a page, a relay, and a path that redirects to the other origin, whose CORS headers allow every page what it
 * asks for.
 */
async function serve(): Promise<Server> {
  const server = createServer(async (incoming, outgoing) => {
    const { url = "/", method = "GET", headers } = incoming;
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    if (url.startsWith("/opik")) {
      const given = Object.entries(headers as Record<string, string>);
      const body = method === "POST" ? Buffer.concat(chunks) : null;
      const answer = await handle(new Request(`http://inside.test${url}`, { method, headers: given, body }));
      seen.set(url.split("?")[1] ?? "", {
        site: headers["sec-fetch-site"] as string | undefined,
        status: answer.status,
      });
      outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    } else if (url === "/redirect") {
      outgoing.writeHead(307, { location: `${originOf(other)}/arrived` }).end();
    } else if (url === "/arrived") {
      if (method === "GET") brought.push(headers);
      const allowed = {
        "access-control-allow-origin": "*",
        "access-control-allow-headers": "opik-token, opik_trace_id",
      };
      outgoing.writeHead(method === "GET" ? 200 : 204, allowed).end(method === "GET" ? "arrived" : undefined);
    } else {
      outgoing.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

for (const name of Object.keys(BROWSERS)) {
  describe(`in ${name}`, () => {
    let browser: Browser;
    before(async () => {
      browser = await startBrowser(name);
    });
    after(() => browser?.close());

    const send = async (
      way: string,
      from: string,
    ): Promise<{ site: string | undefined; status: number; read: unknown }> => {
      const query = `${name}-${way}-${from}`;
      const body = JSON.stringify({ traces: [traceOf(Date.now())] });
      const read = await browser.call("send", way, `${originOf(site)}/opik?${query}`, body);
      await until(async () => seen.has(query));
      return { ...seen.get(query)!, read };
    };

    test("the relay takes every kind of request from its origin's pages", async () => {
      await browser.goTo(originOf(site));
      for (const way of ["fetch", "keepalive", "beacon", "worker"]) {
        const { site: said, status, read } = await send(way, "own");
        assert.deepEqual([said, status], ["same-origin", 200], way);
        if (way !== "beacon") assert.match(String(read), /^\{"now":/, way);
      }
    });

    test("and refuses a page of another port of the same host, which reads nothing", async () => {
      await browser.goTo(originOf(other));
      const taken = upstream.requests.length;
      for (const way of ["fetch", "keepalive", "beacon", "worker", "no-cors"]) {
        const { site: said, status, read } = await send(way, "other");
        assert.deepEqual([said, status], ["same-site", 403], way);
        assert.ok(way === "beacon" || read === "nothing" || read === "", `${way} has read ${read}`);
      }
      assert.equal(upstream.requests.length, taken);
    });

    test("a redirect brings a token only to an origin that allows the header by name", async () => {
      await browser.goTo(originOf(site));
      brought.length = 0;
      assert.equal(await browser.call("call", "/redirect", { "opik-token": "v1.a.b" }), "arrived");
      assert.deepEqual(
        brought.map((headers) => headers["opik-token"]),
        ["v1.a.b"],
      );
      assert.equal(await browser.call("call", "/redirect", { "opik-token": "v1.a.b", "x-other": "1" }), "nothing");
      assert.equal(brought.length, 1);
    });
  });
}
