// Searches everything that users can get hold of for a key, in every runtime. A failure names the path to the key.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { type Collector, startCollector } from "../support/collector.js";
import { RUNTIMES } from "../transparency/runtimes.js";
import { SENTINEL, type SecretsResult } from "./secrets-program.js";

const PROGRAM = "tests/hostile/secrets-program.ts";
/** Pages are left out, because a page has no key. */
const TRIED = RUNTIMES.filter(({ kind }) => kind === "process" || kind === "worker");
/** Without Node's modules, only the console of a Worker prints. */
const PRINTS = /^(Node|Deno|Bun)|nodejs_compat/;
const UUID = "[0-9a-f]{8}-[0-9a-f-]{27}";

describe("a key is visible nowhere", () => {
  let collector: Collector;
  /** Refuses everything and repeats the key, as a proxy's debugging page does. */
  const refusing = createServer((request, response) => {
    request.resume();
    response.writeHead(400, { "content-type": "text/plain", "x-key": request.headers.authorization ?? "" });
    response.end(`refused: ${"x".repeat(270)} ${JSON.stringify(request.headers)}`);
  });
  before(async () => {
    collector = await startCollector();
    await once(refusing.listen(0, "127.0.0.1"), "listening");
  });
  after(async () => {
    await collector.close();
    refusing.closeAllConnections();
    refusing.close();
  });

  for (const runtime of TRIED) {
    test(`in ${runtime.name}`, async () => {
      const before = collector.requests.length;
      const running = await runtime.start(PROGRAM, { url: "", serve() {} });
      try {
        const config = {
          collector: collector.url,
          refusing: `http://127.0.0.1:${(refusing.address() as AddressInfo).port}/api`,
        };
        const { leaks, printed, printers, looks } = (await running.run(config)) as SecretsResult;
        assert.deepEqual(leaks.slice(0, 20), []);
        assert.ok(looks > 500, String(looks));
        assert.equal(printers.length > 0, PRINTS.test(runtime.name), String(printers));
        for (const [what, shown] of Object.entries(printed)) {
          assert.doesNotMatch(what, /^taken/, `${shown} is no configuration`);
          if (what === "codes") assert.deepEqual(shown, ["delivery_failed", "unserializable"]);
          else assert.match(String(shown), new RegExp(`^\\[(span ${UUID}|trace ${UUID}|client)\\]$`), what);
        }
      } finally {
        await running.close();
      }
      const requests = collector.requests.slice(before);
      const bodies = requests.map(({ body }) => body).join("\n");
      assert.match(bodies, /"name":"tracked"/, "the arguments have arrived");
      assert.match(bodies, new RegExp(`\\["?\\[span ${UUID}\\]","\\[trace ${UUID}\\]","\\[client\\]"`));
      assert.ok(!bodies.includes(SENTINEL), bodies.slice(bodies.indexOf(SENTINEL) - 200).slice(0, 300));
    });
  }
});
