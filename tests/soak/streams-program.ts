// Holds many streamed answers of a model open at once, and ends them, three times over: `node --expose-gc`. Prints the memory of the heap, of
// buffers before, while half of each answer has arrived, and after the end, and the memory of each WebAssembly instance.

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { Opik } from "opik-edge";
import { llm } from "opik-edge/llm";
import { BODY, CHUNKS, URL } from "../../bench/model-answer.js";
import { wasmBytes } from "./instances.js";

const [streams, isRead] = [Number(process.argv[2]), process.argv[3] === "llm"];
const HALF = CHUNKS.length >> 1;
let rows = 0;

const opik = new Opik({
  apiKey: "none",
  background: false,
  ...(isRead && { observe: [llm()] }),
  transport: {
    fetch: async (_, init) => {
      const batch = JSON.parse(new TextDecoder().decode(init?.body as Uint8Array)) as { spans?: unknown[] };
      rows += batch.spans?.length ?? 0;
      return new Response(null, { status: 204 });
    },
  },
});

function answer(): Response {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = CHUNKS[sent];
        sent += 1;
        if (chunk) controller.enqueue(chunk.slice());
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

async function heldBytes(): Promise<number> {
  const sizes: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    await setTimeout(20);
    (globalThis as unknown as { gc(): void }).gc();
    const { heapUsed, external } = process.memoryUsage();
    sizes.push(heapUsed + external);
  }
  return Math.min(...sizes);
}

async function round(): Promise<{ before: number; open: number; after: number }> {
  const before = await heldBytes();
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  for (let n = 0; n < streams; n += 1) {
    const init = { method: "POST", body: BODY, opik: { via: { fetch: async () => answer() } } };
    const reader = (await opik.fetch(URL, init)).body!.getReader();
    for (let read = 0; read < HALF; read += 1) await reader.read();
    readers.push(reader);
  }
  const open = await heldBytes();
  while (readers.length > 0) {
    for (const reader of readers.splice(0, 50)) {
      for (let next = await reader.read(); !next.done; next = await reader.read());
    }
    await opik.flush(); // so that the core need not grow
  }
  return { before, open, after: await heldBytes() };
}

// The first rounds load and compile, and grow the instances.
const rounds = [await round(), await round(), await round()];
assert.equal(rows, rounds.length * streams);
console.log(JSON.stringify({ rounds, wasm: wasmBytes() }));
