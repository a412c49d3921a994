// Cost of a post to a relay: even for the worst body, a byte costs no more because the body is long. The tests count
// executed blocks (blocks.ts), and with --long the instructions of the whole process, by callgrind. Both counts are the
// same on a busy machine. regexes.test.ts covers regular expressions.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { hasCallgrind } from "../../bench/gate.js";
import { countProgram } from "../../bench/instructions/count.js";
import { LONG } from "../support/long.js";
import { countBlocks } from "./blocks.js";
import { bodyOf, SHAPES } from "./relay-cost-bodies.mjs";
import { post, relayTo, Upstream } from "./relay-support.js";

const KB = 1024;
const SIZES = [KB, 64 * KB, KB * KB] as const;

/** Largest allowed cost of the longest body, relative to a body of 64 KB, a sixteenth of its length. */
const MOST_TIMES = 16 * 1.1;

describe("blocks of JavaScript", () => {
  const blocks = countBlocks();

  async function stepsOf(shape: string, bytes: number): Promise<number> {
    const handle = relayTo(new Upstream(), { maxBytes: 4 * KB * KB });
    const request = post(bodyOf(shape, bytes, Date.now()));
    return blocks.of(async () => assert.notEqual((await handle(request)).status, 502));
  }

  for (const shape of SHAPES) {
    test(shape, async (t) => {
      const steps: number[] = [];
      for (const bytes of SIZES) steps.push(await stepsOf(shape, bytes));
      t.diagnostic(`${steps.join(", ")} blocks for ${SIZES.join(", ")} bytes`);
      const [, middle, longest] = steps as [number, number, number];
      assert.ok(longest <= MOST_TIMES * middle, `${longest / middle} times as many`);
      assert.ok(longest < 8 * SIZES[2], "a few for each character");
    });
  }
});

const why = LONG
  ? (await hasCallgrind())
    ? false
    : "there is no valgrind here"
  : "with --long only: it takes minutes";
test("instructions of the worst body", { skip: why }, async (t) => {
  const program = join(import.meta.dirname, "relay-cost-program.mjs");
  const count = (shape: string, bytes: number, posts: number): Promise<number> =>
    countProgram(program, JSON.stringify({ shape, bytes, posts }));
  for (const shape of ["usage of many names", "a string of escaped quotes that does not end"]) {
    const costs: number[] = [];
    // The difference leaves out the process itself, and loading and compiling for the first post.
    for (const bytes of SIZES) costs.push((await count(shape, bytes, 3)) - (await count(shape, bytes, 2)));
    t.diagnostic(`${shape}: ${costs.join(", ")} instructions for ${SIZES.join(", ")} bytes`);
    const [, middle, longest] = costs as [number, number, number];
    assert.ok(longest <= 2 * MOST_TIMES * middle, `${longest / middle} times as many`);
  }
});
