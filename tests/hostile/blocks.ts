// Measures cost as the number of executed blocks of the package's JavaScript, from V8's own coverage. The count is the same
// on a busy machine. It leaves out work inside the engine; regexes.test.ts covers regular expressions.

import { Session } from "node:inspector/promises";
import { after, before } from "node:test";

/** Counts while the tests of this suite run. */
export function countBlocks(): { of(run: () => unknown): Promise<number> } {
  const session = new Session();
  before(async () => {
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  });
  after(() => session.disconnect());

  /** The number of blocks of the package that have run since the last call. */
  async function taken(): Promise<number> {
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const functions = result.filter(({ url }) => url.includes("/pkg/")).flatMap((script) => script.functions);
    return functions.flatMap(({ ranges }) => ranges).reduce((sum, { count }) => sum + count, 0);
  }

  return {
    async of(run) {
      await taken();
      await run();
      return taken();
    },
  };
}
