// What something costs in blocks of the package's JavaScript that have run, by V8's own count of each: the same on a busy machine. What
// runs inside of the engine is not in it; what a regular expression may cost is in regexes.test.ts.

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

  /** How many blocks of the package have run since the last call. */
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
