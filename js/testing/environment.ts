// A clock and random bytes that do what a test says, in place of the platform's.

// Whoever reads the declarations need not have it in `lib`.
/// <reference lib="esnext.disposable" preserve="true" />

import { replaceCore } from "../platform/core.js";
import { type Environment, environment } from "../platform/env.js";

/** A clock that a test moves. */
export interface FakeClock {
  /** What it shows, in ms since 1970. */
  readonly now: number;
  /**
   * Timers that are set and not yet due; without those of half a day, by which a client looks after spans that stay open (see
   * `maxIdAgeMs`).
   */
  readonly timers: number;
  /** Moves it on and runs the timers that become due, one by one. */
  advance(ms: number): Promise<void>;
  /** From now on it stands still, as a Worker's does between I/O; otherwise each look at it takes 1 ms. */
  freeze(): void;
  /** Puts the platform's clock back. */
  restore(): void;
  /** `using` does so at the end of the block. */
  [Symbol.dispose](): void;
}

/** The least half of `maxIdAgeMs`. */
const LONG_MS = 30 * 60 * 1000;

/**
 * Replaces the clock and the timers of this package. Call it before anything is recorded.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Opik } from "opik-edge";
 * import { InMemoryExporter, useFakeClock } from "opik-edge/testing";
 *
 * const clock = useFakeClock(Date.parse("2026-11-01T09:00:00Z"));
 * const exporter = new InMemoryExporter();
 * const opik = new Opik({ transport: exporter, background: false });
 * opik.span({ name: "job" }, () => {});
 * await opik.flush();
 * clock.restore();
 *
 * assert.match(String(exporter.spans[0]?.start_time), /^2026-11-01T09:00:00/);
 * ```
 */
export function useFakeClock(startMs = 1_800_000_000_000): FakeClock {
  let time = startMs;
  let frozen = false;
  const timers = new Set<{ readonly dueMs: number; readonly isLong: boolean; readonly run: () => void }>();
  const restore = replace({
    now: () => (frozen ? time : time++),
    after(ms, run) {
      const timer = { dueMs: time + ms, isLong: ms >= LONG_MS, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  });
  return {
    get now() {
      return time;
    },
    get timers() {
      return [...timers].filter(({ isLong }) => !isLong).length;
    },
    async advance(ms) {
      const untilMs = time + ms;
      await settled();
      for (;;) {
        const due = [...timers].filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs);
        const [next] = due;
        if (!next) break;
        time = Math.max(time, next.dueMs);
        timers.delete(next);
        next.run();
        await settled();
      }
      time = Math.max(time, untilMs);
    },
    freeze() {
      frozen = true;
    },
    restore,
    [Symbol.dispose]: restore,
  };
}

/** What can be undone. */
export interface Restorable {
  /** Puts the platform's back. */
  restore(): void;
  /** `using` does so at the end of the block. */
  [Symbol.dispose](): void;
}

/**
 * From now on ids are the same in every run with the same seed, as far as the clock is. For tests alone.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Opik } from "opik-edge";
 * import { useDeterministicIds, useFakeClock } from "opik-edge/testing";
 *
 * function firstId(): string {
 *   using _clock = useFakeClock();
 *   using _ids = useDeterministicIds(7);
 *   return new Opik({ disabled: false, background: false }).trace({ name: "job" }).id;
 * }
 *
 * assert.equal(firstId(), firstId());
 * ```
 */
export function useDeterministicIds(seed = 1): Restorable {
  let state = seed >>> 0;
  const next = (): number => {
    // mulberry32: short, and even enough for ids that only have to differ.
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return (bits ^ (bits >>> 14)) & 0xff;
  };
  const restore = replace({ randomBytes: (length) => Uint8Array.from({ length }, next) });
  return { restore, [Symbol.dispose]: restore };
}

/** Replaces part of the environment, and the core with it, which remembers the last time and has random bytes in stock. */
function replace(part: Partial<Environment>): () => void {
  const before = { ...environment };
  Object.assign(environment, part);
  replaceCore();
  return () => {
    for (const name of Object.keys(part) as (keyof Environment)[]) Object.assign(environment, { [name]: before[name] });
    replaceCore();
  };
}

/** Lets everything go on that waits for a promise, or for the platform's own work, such as compression. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}
