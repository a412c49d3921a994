// Calls every function of the package that falls back to the variables.

import assert from "node:assert/strict";
import { flush, score, span, trace, fetch as tracedFetch, track } from "opik-edge";
import { tracedRpc, withContext } from "opik-edge/cloudflare";
import { withOpik } from "opik-edge/server";

assert.equal(
  span({ name: "x" }, () => 1),
  1,
);
span({ name: "x" }).end();
assert.equal(track(() => 2)(), 2);
trace({ name: "x" }).end();
score({ traceId: "0193b3a5-7c1f-7000-8000-000000000001", name: "x", value: 1 });
assert.equal(await (await tracedFetch("data:text/plain,x")).text(), "x");
assert.equal(await tracedRpc({ method: async () => 3 }).method(), 3);
assert.deepEqual(withContext({ id: 1 }), { id: 1 });
assert.equal(
  await (await withOpik(async (_request: Request) => new Response("4"))(new Request("https://example.com/"))).text(),
  "4",
);
assert.equal((await flush()).sent, 0);
console.log("all passed");
