// The bench still works: every contender delivers every shape, whole.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Installed, installTarball } from "../tests/support/installed.js";
import { CONTENDERS, QUIET, UNTRACED, UNTRACED_HANDLER } from "./contenders.js";
import { checkOnce, startIn, withPlayers } from "./race.js";
import { EDGE, payloadBytes, SHAPES } from "./shapes.js";

test("the edge request has 7 KB of payload", () => assert.equal(payloadBytes(EDGE), 7 * 1024));

describe("every contender delivers", () => {
  let installed: Installed;
  before(async () => {
    installed = await installTarball();
  });
  after(() => installed.remove());

  for (const entry of [...CONTENDERS, UNTRACED, UNTRACED_HANDLER, ...QUIET.map((quiet) => quiet.entry)]) {
    test(`${entry.name}, in Node`, () =>
      withPlayers(
        [entry],
        (one) => startIn("Node", installed, one),
        async ([player]) => {
          for (const shape of Object.keys(SHAPES)) await checkOnce(player!, shape);
          if (entry.headers) await player!.ask({ run: 1, headers: true });
        },
      ));
  }
  for (const entry of CONTENDERS) {
    test(`${entry.name}, in workerd`, () =>
      withPlayers(
        [entry],
        (one) => startIn("workerd", installed, one),
        ([player]) => checkOnce(player!, "edge"),
      ));
  }
});
