// The example page in Rust, as it is built, in Chromium: through a relay, to a real collector.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { relay } from "opik-edge/relay";
import { type Browser, startBrowser, until } from "../browsers/webdriver.js";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { ROOT } from "../support/worker.js";

const ANSWER = "A part of a trace.";
/** The files of the site by path. */
const FILES: Record<string, [file: string, type: string]> = {
  "/": ["examples/rust-page/index.html", "text/html"],
  "/page.js": ["target/rust-page/site/page.js", "text/javascript"],
  "/page_bg.wasm": ["target/rust-page/site/page_bg.wasm", "application/wasm"],
};

let collector: Collector;
let browser: Browser;
let origin: string;
/** The headers of the request for the answer. */
let asked: IncomingHttpHeaders | undefined;

const site = createServer(async (request, response) => {
  const { url = "/", headers, method = "GET" } = request;
  if (url === "/opik") {
    const body = Buffer.concat(await Readable.from(request).toArray());
    const answer = await relayed(
      new Request(origin + url, { method, headers: headers as Record<string, string>, body }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  } else if (url === "/answer") {
    asked = headers;
    response.end(ANSWER);
  } else {
    const [file, type] = FILES[url] ?? [];
    if (!file) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": type }).end(await readFile(join(ROOT, file)));
  }
});
let relayed: (request: Request) => Promise<Response>;

before(async () => {
  collector = await startCollector();
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  relayed = relay({ url: collector.url, apiKey: "stays-on-the-server", projectName: "pages", origins: [origin] });
  browser = await startBrowser("Chromium");
});
after(async () => {
  site.closeAllConnections();
  site.close();
  await closeAll(browser, collector);
});

test("a click is a trace, whose call the server may join", async () => {
  await browser.goTo(origin);
  await until(async () => (await browser.texts("button")).length === 1);
  await browser.click("button");
  await until(async () => (await browser.texts("p")).includes(ANSWER));
  await collector.until(() => collector.spans().length === 2 && collector.traces().length === 1);

  const [trace] = collector.traces();
  const named = (name: string) => collector.spans().find((span) => span["name"] === name)!;
  const [root, call] = [named("question"), named("GET /answer")];
  assert.deepEqual([root.trace_id, root.parent_span_id], [trace!.id, undefined]);
  assert.deepEqual([call.trace_id, call.parent_span_id], [trace!.id, root.id]);
  assert.deepEqual(trace!["input"], { input: "What is a span?" });
  for (const row of [trace!, root, call]) {
    assert.deepEqual([row["output"], row["project_name"]], [{ output: ANSWER }, "pages"]);
  }
  for (const name of ["opik_trace_id", "opik-trace-id"]) assert.equal(asked?.[name], trace!.id, name);
  for (const name of ["opik_parent_span_id", "opik-parent-span-id"]) assert.equal(asked?.[name], call.id, name);
});
