// Requests that a page of another site can make a browser send to a relay. They reach the relay, are refused there, and the
// page reads nothing of the answers. In Chromium; the other browsers share its rules for requests across sites.

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { relay } from "opik-edge/relay";
import { traceOf } from "../hostile/relay-support.js";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type Browser, startBrowser, until } from "./webdriver.js";

let collector: Collector;
let browser: Browser;
let site: Server;
let evil: Server;
/** Requests at the relay: the origin that the browser sends, and the status of the answer. */
const seen: { way: string; method: string; origin: string | undefined; status: number }[] = [];

before(async () => {
  collector = await startCollector();
  let handle: ReturnType<typeof relay>;
  site = await serve(async (request) => {
    const response = await handle(request);
    const way = new URL(request.url).search.slice(1);
    const origin = request.headers.get("origin") ?? undefined;
    seen.push({ way, method: request.method, origin, status: response.status });
    return response;
  });
  handle = relay({ url: collector.url, apiKey: "k", origins: [originOf(site, "127.0.0.1")] });
  evil = await serve(async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/redirect") {
      return new Response(null, { status: 307, headers: { location: `${relayUrl()}?redirected` } });
    }
    return new Response(PAGE, { headers: { "content-type": "text/html" } });
  });
  browser = await startBrowser("Chromium");
});
after(() => closeAll(browser, site, evil, collector));

const originOf = (server: Server, host: string): string => `http://${host}:${(server.address() as AddressInfo).port}`;
const relayUrl = (): string => `${originOf(site, "127.0.0.1")}/opik`;

async function serve(answer: (request: Request) => Promise<Response>): Promise<Server> {
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = "GET", url = "/" } = incoming;
    const body = method === "GET" || method === "HEAD" ? null : Buffer.concat(chunks);
    const headers = Object.entries(incoming.headers as Record<string, string>);
    const response = await answer(new Request(`http://${incoming.headers.host}${url}`, { method, headers, body }));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** Each way returns the part of an answer that the page could read. */
const PAGE = `<!doctype html><script>
  const read = async (promise) => {
    try {
      const response = await promise;
      return response.type + " " + (await response.text());
    } catch {
      return "nothing";
    }
  };
  const inFrame = (html, sandbox) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    if (sandbox) frame.sandbox = sandbox;
    addEventListener("message", ({ data }) => resolve(data), { once: true });
    frame.srcdoc = html;
    document.body.append(frame);
  });
  const form = (url, body, enctype) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = "target" + Math.random();
    document.body.append(frame);
    const sent = document.createElement("form");
    Object.assign(sent, { method: "post", action: url, enctype, target: frame.name });
    const input = document.createElement("input");
    // A form of text/plain sends NAME=VALUE. With the sign inside a string, the text is JSON.
    const cut = body.lastIndexOf("page") + 2;
    Object.assign(input, { name: body.slice(0, cut), value: body.slice(cut) });
    sent.append(input);
    document.body.append(sent);
    frame.onload = () => {
      try {
        const { body: shown } = frame.contentDocument;
        if (frame.contentWindow.location.href !== "about:blank") resolve(shown.textContent);
      } catch {
        resolve("nothing");
      }
    };
    sent.submit();
  });
  globalThis.attack = async (url, body) => {
    const plain = { method: "POST", body };
    const json = { ...plain, headers: { "content-type": "application/json" } };
    const script = (way) => "fetch('" + url + "?" + way + "', { method: 'POST', body: " + JSON.stringify(JSON.stringify(JSON.parse(body))) +
      " }).then((response) => response.text()).catch(() => 'nothing')";
    const found = {};
    found.cors = await read(fetch(url + "?cors", plain));
    found["no-cors"] = await read(fetch(url + "?no-cors", { ...plain, mode: "no-cors", credentials: "include" }));
    found.preflight = await read(fetch(url + "?preflight", json));
    found.redirected = await read(fetch("/redirect", plain));
    found.beacon = navigator.sendBeacon(url + "?beacon", body) ? "nothing" : "not sent";
    found.xhr = await new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("POST", url + "?xhr");
      request.withCredentials = true;
      request.onloadend = () => resolve(request.responseText || "nothing");
      request.send(body);
    });
    found.form = await form(url + "?form", body, "text/plain");
    found.sandboxed = await inFrame("<script>" + script("sandboxed") + ".then((text) => parent.postMessage(text, '*'))<\\/script>", "allow-scripts");
    const worker = new Worker(URL.createObjectURL(new Blob([script("worker") + ".then((text) => postMessage(text))"])));
    found.worker = await new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
    return found;
  };
</script><body></body>`;

test("is refused in every way, and the page reads nothing", async () => {
  const body = JSON.stringify({ traces: [traceOf(Date.now())] });
  await browser.goTo(originOf(evil, "localhost"));
  const found = (await browser.call("attack", relayUrl(), body)) as Record<string, string>;
  for (const [way, read] of Object.entries(found)) {
    assert.ok(read === "nothing" || read === "opaque ", `${way} has read ${read}`);
  }
  await until(async () => seen.length === Object.keys(found).length);
  const ways = new Map(seen.map((request) => [request.way, request]));
  assert.deepEqual([...ways.keys()].sort(), Object.keys(found).sort(), "each has reached the relay");
  for (const { way, origin, status } of seen) {
    assert.equal(status, 403, `${way}, of ${origin}`);
    assert.ok(origin === "null" || origin === originOf(evil, "localhost"), `${way}, of ${origin}`);
  }
  assert.equal(ways.get("preflight")!.method, "OPTIONS");
  assert.equal(ways.get("sandboxed")!.origin, "null");
  assert.equal(collector.requests.length, 0);
  const headers = { origin: originOf(site, "127.0.0.1"), "content-type": "text/plain" };
  assert.equal(
    (await fetch(relayUrl(), { method: "POST", headers, body })).status,
    200,
    "it is the site that is refused",
  );
});
