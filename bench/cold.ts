// The first requests of a process, or of an isolate of workerd: what most of them live for.

import type { Installed } from "../tests/support/installed.js";
import { COMPRESSED, CONTENDERS, type Entry, FLOOR, UNTRACED } from "./contenders.js";
import { type Player, timed } from "./players.js";
import { figuresOf, type Measurement, spread } from "./rounds.js";
import type { Runtime } from "./runtimes.js";

/** The number of requests since the contender was loaded. */
export const FIRST = [1, 10, 100, 1000];
export const IMPORT = "import";

/** The phase of the first `requests`, with the import before them or without. */
export function firstPhase(requests: number, imported: boolean): string {
  return `${imported ? "import and " : ""}first ${requests.toLocaleString("en")}`;
}

/**
 * Starts all contenders but `absent` afresh in each of `rounds`, and lets them serve edge requests. Figures are the CPU
 * time of a whole phase in microseconds. The import's figure excludes the time of loading without a tracer; in workerd
 * that contains the isolate.
 */
export async function measureCold(
  installed: Installed,
  runtime: Runtime,
  absent: readonly Entry[],
  rounds: number,
): Promise<Measurement[]> {
  const entries = [UNTRACED, ...CONTENDERS.filter((entry) => entry !== COMPRESSED && !absent.includes(entry))];
  const nursery = await runtime.open(installed, entries);
  try {
    // First-time work of the machine and the host counts for no contender.
    for (const entry of [UNTRACED, FLOOR]) await live(await nursery.start(entry));
    const lives: Map<Entry, Life>[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const all = new Map<Entry, Life>();
      for (let n = 0; n < entries.length; n += 1) {
        const entry = entries[(n + round) % entries.length]!;
        all.set(entry, await live(await nursery.start(entry)));
      }
      lives.push(all);
    }
    const nothing = spread(lives.map((all) => all.get(UNTRACED)!.load)).median;
    const measurement = (phase: string, of: (life: Life) => number): Measurement => {
      const sides = entries.slice(1).map((entry) => ({ entry, cpu: lives.map((all) => of(all.get(entry)!)) }));
      return { runtime: runtime.name, shape: "edge", phase, figures: figuresOf(sides) };
    };
    const loaded = ({ load }: Life): number => load - nothing;
    return [
      measurement(IMPORT, loaded),
      ...FIRST.flatMap((requests, index) => [
        measurement(firstPhase(requests, false), ({ first }) => first[index]!),
        measurement(firstPhase(requests, true), (life) => loaded(life) + life.first[index]!),
      ]),
    ];
  } finally {
    await nursery.close();
  }
}

/** In microseconds of CPU time. */
interface Life {
  readonly load: number;
  /** By the numbers of `FIRST`. */
  readonly first: number[];
}

async function live(player: Player): Promise<Life> {
  try {
    const spent = async (command: Parameters<Player["ask"]>[0]): Promise<number> =>
      (await timed(player.pid, () => player.ask(command))).cpuMs * 1000;
    const load = await spent({ load: true });
    const first: number[] = [];
    let served = 0;
    let all = 0;
    for (const requests of FIRST) {
      all += await spent({ run: requests - served, shape: "edge" });
      first.push(all);
      served = requests;
    }
    return { load, first };
  } finally {
    await player.close();
  }
}
