// Many requests in one process and in one isolate: memory does not grow, each id occurs once, no timer and no listener is left,
// and each response is whole although its chunks are reused. There are 50,000 requests, or 200,000 with `scripts/check --long`.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { Pool } from "undici";
import { LONG } from "../support/long.js";
import { ROOT, startWorker } from "../support/worker.js";
import { growth, MB, residentBytes, shown } from "./memory.js";
import { ANSWER, ROWS, type Soaked } from "./requests.js";

const REQUESTS = LONG ? 200_000 : 50_000;

function check({ rows, repeated, timers, errors }: Soaked): void {
  assert.deepEqual({ rows, repeated, timers, errors }, { rows: REQUESTS * ROWS, repeated: 0, timers: 0, errors: [] });
}

describe(`${REQUESTS} requests`, { concurrency: 2 }, () => {
  test("in one Node process", async (t) => {
    const args = ["--expose-gc", "--import", "tsx", "tests/soak/node.ts", `${REQUESTS}`];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
    const soaked = JSON.parse(stdout) as Soaked & { heap: number[]; wasm: number[]; listeners: number };
    t.diagnostic(`heap and buffers after each tenth of ${REQUESTS}: ${shown(soaked.heap)}; wasm ${shown(soaked.wasm)}`);
    check(soaked);
    assert.equal(soaked.listeners, 0);
    assert.ok(growth(soaked.heap) < MB, `${soaked.heap}`);
    assert.deepEqual(
      soaked.wasm.map((size) => size <= 2 * MB),
      [true],
      "one instance, which has not grown",
    );
  });

  test("in one workerd isolate", async (t) => {
    const worker = await startWorker("tests/soak/worker.ts", { bindings: { REQUESTS: `${REQUESTS}` } });
    const client = new Pool(worker.url, { connections: 16 });
    const call = async (path: string): Promise<string> => (await client.request({ path, method: "GET" })).body.text();
    const resident: number[] = [];
    try {
      for (let tenth = 1; tenth <= 10; tenth += 1) {
        let left = REQUESTS / 10;
        const caller = async (): Promise<void> => {
          while (left-- > 0) assert.equal(await call("/chat"), ANSWER);
        };
        await Promise.all(Array.from({ length: 16 }, caller));
        const size = await residentBytes();
        if (size !== undefined) resident.push(size);
      }
      t.diagnostic(`workerd's resident memory after each tenth of ${REQUESTS}: ${shown(resident)}`);
      let soaked: Soaked;
      // The last rows arrive after their responses.
      do soaked = JSON.parse(await call("/result"));
      while (soaked.rows < REQUESTS * ROWS);
      check(soaked);
      // Linux reports the memory of a process. The limit is coarse, because V8 chooses when to free.
      if (resident.length > 0) assert.ok(growth(resident) < 32 * MB, shown(resident));
    } finally {
      await client.close();
      await worker.close();
    }
  });
});
