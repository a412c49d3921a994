// A process that makes calls ends in the same way with tracing as without: same exit code, same output.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { freePort } from "../support/ports.js";
import { type Compared, Suite } from "./differential.js";
import type { ExitConfig } from "./exits.js";
import { execute, PART_OF_PROCESSES, partOf, RUNTIMES } from "./runtimes.js";
import { type RecordingServer, startServer } from "./server.js";
import type { Side } from "./sides.js";
import type { Columns } from "./table.js";

const EXITS: Columns = {
  entry: ["opik.fetch", "fetch of the package", "span.fetch"],
  program: [
    ...["nobody handles a rejection", "nobody handles wrong arguments", "a rejection is handled a moment later"],
    ...["a rejection is handled at once", "a listener hears of a rejection", "a rejection is thrown on"],
    ...["a derived promise is not handled", "a body is not read", "a broken body is not read"],
    ...[
      "a body is left in the middle",
      "an aborted call is not handled",
      "a call with an aborted signal is not handled",
    ],
    ...["a body of which a clone fails", "many calls with one signal", "an exit in the middle"],
  ],
};

/** The first line of each error, without file positions. */
const plainly = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => /^\W*(cause\]: |Uncaught |Uncaught \(in promise\) )?\w*([eE]rror|Warning): /.test(line));

describe("processes, plain and traced", () => {
  const suite = new Suite("exits", EXITS);
  const codes = new Set<number>();
  let server: RecordingServer;
  let refused: string;
  before(async () => {
    server = await startServer();
    refused = `http://127.0.0.1:${await freePort()}/`;
  });
  after(async () => {
    console.log(suite.report());
    await server.close();
  });

  for (const { name } of RUNTIMES.filter(({ kind }) => kind === "process")) {
    test(`end alike in ${name}`, async () => {
      const started = performance.now();
      const compared: Compared[] = [];
      // One entry per program, because starting a process is slow.
      const rows = EXITS["program"]!.map((program, index) => ({ program, entry: EXITS["entry"]![index % 3]! }));
      for (const [id, row] of partOf(name, [...rows.entries()], PART_OF_PROCESSES)) {
        const observe = async (side: Side): Promise<unknown> => {
          const url = `${server.url}/${side}/${id}/`;
          const config: ExitConfig = { ...row, isTraced: side === "traced", url, refused };
          const { code, signal, stdout, stderr } = await execute(name, "tests/transparency/exits.ts", config);
          return { end: { code, signal }, printed: stdout, errors: plainly(stderr) };
        };
        const [plain, traced] = await Promise.all([observe("plain"), observe("traced")]);
        compared.push({ row, plain, traced });
      }
      for (const { plain } of compared) codes.add((plain as { end: { code: number } }).end.code);
      await suite.compare(name, compared, (performance.now() - started) / 1000);
    });
  }
  test("some of them fail", () => assert.deepEqual([...codes].sort(), [0, 1, 3]));
});
