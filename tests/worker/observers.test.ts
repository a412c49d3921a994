// Calls by the instrumented global `fetch` of a Worker: each is traced and observed with the settings of its request.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

let collector: Collector;
let upstream: Server;
let worker: RunningWorker;
before(async () => {
  collector = await startCollector();
  upstream = createServer((request, response) => {
    let body = "";
    request.on("data", (text) => {
      body += text;
    });
    request.on("end", () => {
      const { headers } = request;
      const wire = { length: headers["content-length"], isTraced: "opik_trace_id" in headers, body };
      if (request.url !== "/model/stream") return response.end(JSON.stringify(wire));
      for (const part of ["one ", "two ", "three"]) response.write(part);
      return response.end();
    });
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const bindings = {
    OPIK_URL_OVERRIDE: collector.url,
    UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
  };
  worker = await startWorker("tests/worker/observers-worker.ts", { bindings });
});
after(() => {
  upstream.closeAllConnections();
  return closeAll(worker, collector, { close: () => void upstream.close() });
});

test("each request's calls are under its own span, and observed by its own observers", async () => {
  const answers = await Promise.all(
    ["a", "b"].map(async (path) => {
      const response = await fetch(`${worker.url}/${path}`);
      assert.equal(await response.text(), "one two three");
      return JSON.parse(response.headers.get("answers")!) as Record<string, string>;
    }),
  );
  for (const [index, path] of ["a", "b"].entries()) {
    const { plain, asString, asRequest, other } = answers[index]!;
    const body = `{"of":"/${path}"}`;
    const wire = JSON.stringify({ length: `${body.length}`, isTraced: false, body });
    // `propagateTo` is not set, so no call carries trace headers. The body of a `Request` is sent with its length.
    assert.deepEqual(
      { plain, asString, asRequest, other },
      { plain: wire, asString: wire, asRequest: wire, other: wire },
    );
    const ofRequest = (name: string) => {
      const root = collector.spans().find((row) => row["name"] === `GET /${path}`);
      return collector.spans().filter((row) => row["name"] === name && row.parent_span_id === root?.id);
    };
    await collector.until(() => ofRequest("model").length === 3);
    const models = ofRequest("model").sort((one, two) => (one.id < two.id ? -1 : 1));
    assert.deepEqual(
      models.map((row) => [row["type"], row["model"], row["input"], row["output"]]),
      [wire, wire, "one two three"].map((text) => ["llm", path, { body }, { status: 200, text, how: "done" }]),
    );
    const [general] = ofRequest(`POST 127.0.0.1:${(upstream.address() as AddressInfo).port}/other`);
    assert.deepEqual(general!["output"], { status: 200 });
  }
  assert.equal(await (await fetch(`${worker.url}/is-traced`)).json(), true);
});
