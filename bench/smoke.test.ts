// The bench still works: every contender delivers every shape, whole.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Installed, installTarball } from "../tests/support/installed.js";
import { bundleProgram } from "./bundle.js";
import { CONTENDERS, QUIET, UNTRACED, UNTRACED_HANDLER } from "./contenders.js";
import { startPlayer } from "./players.js";
import { checkOnce } from "./race.js";
import { EDGE, payloadBytes, SHAPES } from "./shapes.js";

test("the edge request has 7 KB of payload", () => assert.equal(payloadBytes(EDGE), 7 * 1024));

describe("every contender delivers", () => {
  let installed: Installed;
  before(async () => {
    installed = await installTarball();
  });
  after(() => installed.remove());

  for (const entry of [...CONTENDERS, UNTRACED, UNTRACED_HANDLER, ...QUIET.map((quiet) => quiet.entry)]) {
    test(entry.name, async () => {
      const player = startPlayer(entry, process.execPath, [await bundleProgram(installed, entry.file)]);
      try {
        for (const shape of Object.keys(SHAPES)) await checkOnce(player, shape);
        if (entry.headers) await player.ask({ run: 1, headers: true });
      } finally {
        await player.close();
      }
    });
  }
});
