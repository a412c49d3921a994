// A service binding as a transport, and a Durable Object that sends in the background, in workerd.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Response as MiniflareResponse } from "miniflare";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

let collector: Collector;
let worker: RunningWorker;
const proxied: { url: string; key: string | null; encoding: string | null }[] = [];
before(async () => {
  collector = await startCollector({ fault: ({ body }) => (body.includes('"hangs"') ? "hang" : undefined) });
  worker = await startWorker("tests/transports/binding-worker.ts", {
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    miniflare: {
      serviceBindings: {
        // Stands for a user's Worker that has the key and passes the rows on.
        PROXY: async ({ url, headers, body }: Request) => {
          const encoding = headers.get("content-encoding");
          proxied.push({ url, key: headers.get("authorization"), encoding });
          const { pathname } = new URL(url);
          const init = {
            method: "POST",
            headers: { "content-type": "application/json" },
            body,
            duplex: "half" as const,
          };
          const { status } = await fetch(collector.url + pathname.replace("/opik/api", ""), init as RequestInit);
          return new MiniflareResponse(null, { status });
        },
      },
      durableObjects: { COUNTER: "Counter" },
    },
  });
});
after(() => closeAll(worker, collector));

test("rows go through a service binding, which holds the key", async () => {
  assert.equal(await (await fetch(worker.url)).text(), "ok");
  await collector.until(() => collector.traces().length === 1 && collector.spans().length === 1);
  assert.deepEqual(
    proxied.map(({ url, key }) => ({ url, key })),
    ["traces", "spans"].map((kind) => ({ url: `https://www.comet.com/opik/api/v1/private/${kind}/batch`, key: null })),
  );
});

test("requests that share a client do not wait for each other, and do not send each other's rows", async () => {
  const slow = fetch(`${worker.url}/?shared=hangs`).then((response) => response.json());
  await collector.until(() => collector.requests.some(({ body }) => body.includes("hangs")));
  const { sent, dropped, requests } = await (await fetch(`${worker.url}/?shared=quick`)).json();
  assert.deepEqual([sent, dropped, requests], [1, {}, 1]);
  assert.equal((await slow).kept, 1);
});

test("a Durable Object sends in the background, the rows of many requests together", async () => {
  for (let n = 1; n <= 10; n += 1) assert.equal(await (await fetch(`${worker.url}/object`)).text(), `${n}`);
  const counted = () => collector.spans().filter(({ name }) => `${name}`.startsWith("count "));
  await collector.until(() => counted().length === 10);
  const requests = collector.requests.filter(({ path }) => path.endsWith("/spans/batch"));
  assert.ok(requests.length < 6, `${requests.length}`);
});
