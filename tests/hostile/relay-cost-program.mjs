// Posts one body to a relay repeatedly, so that callgrind can count its instructions. Reads `{"shape","bytes","posts"}`
// from standard input.

import { readFileSync } from "node:fs";
import { relay } from "opik-edge/relay";
import { bodyOf } from "./relay-cost-bodies.mjs";

const { shape, bytes, posts } = JSON.parse(readFileSync(0, "utf8"));
const body = new TextEncoder().encode(bodyOf(shape, bytes, Date.now()));
const handle = relay({
  url: "http://opik.test/api",
  origins: ["https://app.test"],
  maxBytes: 2 * bytes + 1024,
  transport: { fetch: async () => new Response(null, { status: 204 }) },
  onError: () => {},
});
const headers = { origin: "https://app.test", "content-type": "text/plain" };
for (let n = 0; n < posts; n += 1) {
  const answer = await handle(new Request("http://relay.test/", { method: "POST", headers, body }));
  if (answer.status === 502) throw new Error(`${shape}: ${await answer.text()}`);
}
