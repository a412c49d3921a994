// The gate of scripts/check: nothing here depends on how long something took.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  baselineOf,
  compare,
  hasCallgrind,
  type Measured,
  measureAllocations,
  measureBytes,
  measureCore,
  measureRequest,
  toolchain,
} from "./gate.js";

const tools = await toolchain();
const baseline = await baselineOf(tools);
const noCounting = (await hasCallgrind()) ? false : "there is no valgrind here";

test("the sizes have not grown", async (t) => judge(t, await measureBytes()));
test("the core takes no more instructions", { skip: noCounting }, async (t) => judge(t, await measureCore()));
test("a request takes no more instructions", { skip: noCounting }, async (t) => judge(t, await measureRequest()));
test("a request allocates no more", async (t) => judge(t, await measureAllocations()));

function judge(t: TestContext, measured: Measured): void {
  const grown: string[] = [];
  for (const [name, value] of Object.entries(measured)) {
    const { text, ok } = compare(name, value, baseline?.[name]);
    t.diagnostic(text);
    if (!ok) grown.push(text);
  }
  assert.deepEqual(grown, [], "where that is worth it, scripts/bench --accept makes it the baseline");
  if (!baseline) t.skip(`no baseline for ${tools}: scripts/bench --accept makes one`);
}
