// The bench still works: every contender delivers every shape, whole.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Installed, installTarball } from "../tests/support/installed.js";
import { CONTENDERS, ENTRIES, type Entry, MODEL_PASSED, MODELS } from "./contenders.js";
import { withPlayers } from "./players.js";
import { checkOnce } from "./race.js";
import { RUNTIMES, type Runtime } from "./runtimes.js";
import { EDGE, payloadBytes, SHAPES } from "./shapes.js";

test("the edge request has 7 KB of payload", () => assert.equal(payloadBytes(EDGE), 7 * 1024));

describe("every contender delivers", () => {
  let installed: Installed;
  before(async () => {
    installed = await installTarball();
  });
  after(() => installed.remove());

  const deliver = (runtime: Runtime, entry: Entry, shapes: readonly string[]): Promise<void> =>
    withPlayers(
      [entry],
      (one) => runtime.start(installed, one),
      async ([player]) => {
        for (const shape of shapes) await checkOnce(player!, shape);
        if (entry.headers) await player!.ask({ run: 1, headers: true });
      },
    );
  const atHand = RUNTIMES.find(({ name }) => name === `Node ${process.versions.node.split(".", 1)[0]}`)!;
  for (const entry of ENTRIES.filter((one) => !MODELS.includes(one))) {
    test(`${entry.name}, every shape`, () => deliver(atHand, entry, Object.keys(SHAPES)));
  }
  for (const runtime of RUNTIMES) {
    for (const entry of MODELS) {
      test(`${entry.name}, of a model's answer, in ${runtime.name}`, () =>
        withPlayers(
          [entry],
          (one) => runtime.start(installed, one),
          async ([player]) => {
            const { delivered = [] } = await player!.ask({ show: "edge" });
            assert.equal(delivered.length, 2);
            const isRecorded = /edge edge edge/.test(JSON.stringify(delivered));
            assert.equal(isRecorded, entry !== MODEL_PASSED);
          },
        ));
    }
  }
  for (const runtime of RUNTIMES.filter((one) => one !== atHand)) {
    for (const entry of CONTENDERS) {
      test(`${entry.name}, in ${runtime.name}`, () => deliver(runtime, entry, ["edge"]));
    }
  }
});
