// The doctor in workerd: with the flag that nesting needs, and without.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Finding } from "opik-edge/doctor";
import { type Collector, startCollector } from "../../collector/server.js";
import { startWorker } from "../support/worker.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
});
after(() => collector.close());

/** What it says in a Worker with these flags. */
async function findings(compatibilityFlags: string[]): Promise<Record<string, Finding>> {
  const bindings = { OPIK_URL_OVERRIDE: collector.url };
  const worker = await startWorker("tests/doctor/worker.ts", { bindings, compatibilityFlags });
  try {
    const all = (await (await fetch(worker.url)).json()) as Finding[];
    return Object.fromEntries(all.map((finding) => [finding.check, finding]));
  } finally {
    await worker.close();
  }
}

describe("in workerd", () => {
  test("with nodejs_als all is well", async () => {
    const found = await findings(["nodejs_als"]);
    const { clock, ...others } = found;
    assert.deepEqual(
      Object.values(others).filter(({ level }) => level !== "ok"),
      [],
    );
    assert.deepEqual(Object.keys(others), ["core", "nesting", "flush", "streams", "Opik", "headers"]);
    assert.match(others["flush"]!.found, /waitUntil/);
    // On a developer's machine workerd's clock moves; in a data center it does not.
    assert.ok(clock);
  });

  test("without it the one who asks is told of the flag", async () => {
    const found = await findings([]);
    assert.deepEqual([found["nesting"]!.level, found["flush"]!.level], ["note", "ok"]);
    assert.match(found["nesting"]!.fix!, /nodejs_als/);
  });
});
