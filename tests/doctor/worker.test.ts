// The doctor in workerd: with the flag that nesting needs, and without.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Finding } from "opik-edge/doctor";
import { type Collector, startCollector } from "../support/collector.js";
import { startWorker } from "../support/worker.js";

let collector: Collector;
before(async () => {
  collector = await startCollector();
});
after(() => collector.close());

/** Its findings in a Worker with these flags, and this compatibility date. */
async function findings(compatibilityFlags: string[], compatibilityDate: string): Promise<Record<string, Finding>> {
  const bindings = { OPIK_URL_OVERRIDE: collector.url };
  const worker = await startWorker("tests/doctor/worker.ts", { bindings, compatibilityFlags, compatibilityDate });
  try {
    const all = (await (await fetch(worker.url)).json()) as Finding[];
    return Object.fromEntries(all.map((finding) => [finding.check, finding]));
  } finally {
    await worker.close();
  }
}

describe("in workerd", () => {
  for (const [name, flags, date] of [
    ["with nodejs_als", ["nodejs_als"], "2026-08-03"],
    ["from 2026-08-04 on", [], "2026-08-04"],
  ] as const) {
    test(`${name} all is well`, async () => {
      const { clock, ...others } = await findings([...flags], date);
      assert.deepEqual(
        Object.values(others).filter(({ level }) => level !== "ok"),
        [],
      );
      assert.deepEqual(Object.keys(others), ["core", "nesting", "flush", "streams", "Opik", "headers"]);
      assert.match(others["flush"]!.found, /waitUntil/);
      // On a developer's machine workerd's clock advances; in a data center it stands still.
      assert.ok(clock);
    });
  }

  test("without either flag, the finding names both", async () => {
    const found = await findings([], "2026-08-03");
    assert.deepEqual([found["nesting"]!.level, found["flush"]!.level], ["note", "ok"]);
    assert.match(found["nesting"]!.fix!, /2026-08-04.*nodejs_als/);
  });
});
