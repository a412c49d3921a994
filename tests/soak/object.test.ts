// Calls one Durable Object thousands of times: every row of every call arrives. With `scripts/check --long` the number of
// calls is high enough to judge memory too: workerd warms up during the first 20,000.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LONG } from "../support/long.js";
import { startWorker } from "../support/worker.js";
import { growth, MB, residentBytes, shown } from "./memory.js";

const CALLS = LONG ? 100_000 : 10_000;
/** Rows of one call: the trace, its root span, and one more. After each hundred, a call without the last waits for their work. */
const ROWS = CALLS * 3 + (CALLS / 100) * 2;

test(`${CALLS} calls of one Durable Object`, async (t) => {
  const worker = await startWorker("tests/soak/object-worker.ts", {
    miniflare: { durableObjects: { COUNTER: { className: "Counter", useSQLite: true } } },
  });
  const resident: number[] = [];
  try {
    for (let tenth = 1; tenth <= 10; tenth += 1) {
      for (let n = 0; n < CALLS / 1000; n += 1) assert.equal(await (await fetch(`${worker.url}/steps`)).text(), "done");
      const size = await residentBytes();
      if (size !== undefined) resident.push(size);
    }
    t.diagnostic(`workerd's resident memory after each tenth of ${CALLS}: ${shown(resident)}`);
    let result: { count: number; rows: number };
    // The last rows arrive after their calls. Asking for the result is itself a call; its rows are not waited for.
    do result = (await (await fetch(`${worker.url}/result`)).json()) as typeof result;
    while (result.rows < ROWS);
    assert.equal(result.count, CALLS);
    if (LONG && resident.length > 0) assert.ok(growth(resident) < 32 * MB, shown(resident));
  } finally {
    await worker.close();
  }
});
