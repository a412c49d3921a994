// The soak in one Node process: `node --expose-gc`. Prints its result and the memory measured on the way.

import "./timers.js";
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { wasmBytes } from "./instances.js";
import { ANSWER, prepare, ROWS } from "./requests.js";

const requests = Number(process.argv.at(-1));
const { fetch, result } = prepare(requests);
const listeners = process.eventNames().length;
const heap: number[] = [];
for (let done = 1; done <= requests; done += 1) {
  const held: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => held.push(promise) };
  assert.equal(await (await fetch(new Request("http://host.test/chat"), {}, ctx)).text(), ANSWER);
  await Promise.all(held);
  if (done % (requests / 10) === 0) {
    // Rows in flight, and answers that are still to be released, are not a leak.
    while (result().rows < done * ROWS) await setTimeout(50);
    const sizes: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      await setTimeout(20);
      (globalThis as unknown as { gc(): void }).gc();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      sizes.push(heapUsed + arrayBuffers);
    }
    heap.push(Math.min(...sizes));
  }
}
console.log(
  JSON.stringify({ ...result(), heap, wasm: wasmBytes(), listeners: process.eventNames().length - listeners }),
);
