// The cost of recording a model's streamed answer, beyond letting it pass: by `opik-edge/llm`, and by a TextDecoder and
// `JSON.parse`.

import type { Installed } from "../tests/support/installed.js";
import { MODELS } from "./contenders.js";
import { STREAM_BYTES } from "./model-answer.js";
import { withPlayers } from "./players.js";
import { type Effort, over, playRounds, type Spread, spread } from "./rounds.js";
import type { Runtime } from "./runtimes.js";

/** Of one runtime; in microseconds for each KB of the stream. */
export interface Models {
  /** Of the whole call, with nothing that looks into it. */
  readonly passed: Spread;
  /** Beyond that. */
  readonly read: Spread;
  readonly decoded: Spread;
  /** The one as a multiple of the other. */
  readonly ratio: Spread;
}

/** Measures them in one run. */
export async function measureModels(installed: Installed, runtime: Runtime, effort: Effort): Promise<Models> {
  return withPlayers(
    MODELS,
    (entry) => runtime.start(installed, entry),
    async (players) => {
      const figures = await playRounds(players, (run) => ({ run, shape: "edge" }), effort);
      const [passed, read, decoded] = figures.map(({ rounds }) =>
        rounds.map((micros) => (micros * 1024) / STREAM_BYTES),
      );
      const beyond = (rounds: readonly number[]): number[] => rounds.map((micros, round) => micros - passed![round]!);
      return {
        passed: spread(passed!),
        read: spread(beyond(read!)),
        decoded: spread(beyond(decoded!)),
        ratio: spread(over(beyond(read!), beyond(decoded!))),
      };
    },
  );
}
