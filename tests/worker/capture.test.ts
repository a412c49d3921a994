// `capture` of opik-edge/testing in workerd: any number at once with AsyncLocalStorage, otherwise one at a time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startWorker } from "../support/worker.js";

async function answer(compatibilityFlags: string[]): Promise<Record<string, unknown>> {
  const options = { compatibilityDate: "2024-01-01", compatibilityFlags };
  const worker = await startWorker("tests/worker/capture-worker.ts", options);
  try {
    return (await (await fetch(worker.url)).json()) as Record<string, unknown>;
  } finally {
    await worker.close();
  }
}

test("with AsyncLocalStorage each capture has its own traces", async () => {
  const below = (name: string) => [["work", ["work", [name]]]];
  assert.deepEqual(await answer(["nodejs_als"]), {
    one: below("one"),
    first: below("first"),
    second: below("second"),
    outer: [["outer", ["outer"]]],
    inner: below("inner"),
  });
});

test("without it a single capture gets every trace, and a second capture fails with the reason", async () => {
  const refused =
    "Error: capture: one at a time, since there is no AsyncLocalStorage here: await the capture that is running";
  const apart = (name: string) => [
    ["work", ["work"]],
    [name, [name]],
  ];
  assert.deepEqual(await answer([]), {
    one: apart("one"),
    first: apart("first"),
    second: refused,
    outer: [["outer", ["outer"]]],
    inner: refused,
  });
});
