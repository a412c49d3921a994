// A thousand streamed answers of a model are open at once, half arrived. Recording them takes a few kilobytes each beyond letting them
// pass, and nothing after their end.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../support/worker.js";
import { MB } from "./memory.js";

const STREAMS = 1000;
/** For one stream: the text so far, the span, and the state of the reader. */
const MAX_BYTES = 8 * 1024;

interface Held {
  readonly rounds: readonly { readonly before: number; readonly open: number; readonly after: number }[];
  readonly wasm: readonly number[];
}

async function hold(what: "llm" | "passed"): Promise<Held> {
  const args = ["--expose-gc", "--import", "tsx", "tests/soak/streams-program.ts", `${STREAMS}`, what];
  return JSON.parse((await promisify(execFile)(process.execPath, args, { cwd: ROOT })).stdout) as Held;
}

/** Bytes of one open stream. The memory of the instances has grown in an earlier round, and is shared out. */
function bytesOfOne({ rounds, wasm }: Held): number {
  const { open, before } = rounds.at(-1)!;
  return (open - before + wasm.reduce((sum, size) => sum + size, 0)) / STREAMS;
}

test(`the memory of ${STREAMS} open streams of a model`, async (t) => {
  const [read, passed] = [await hold("llm"), await hold("passed")];
  assert.deepEqual([read.wasm.length, passed.wasm.length], [2, 1], "the reader has an instance of its own");
  t.diagnostic(`bytes of one: ${bytesOfOne(read).toFixed()} recorded, ${bytesOfOne(passed).toFixed()} passed on`);
  t.diagnostic(`bytes of the instances: ${read.wasm}`);
  assert.ok(bytesOfOne(read) - bytesOfOne(passed) < MAX_BYTES);
  const { before, after } = read.rounds.at(-1)!;
  assert.ok(after - before < MB, `${before} before, ${after} after`);
});
