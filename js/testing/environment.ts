// Puts the clock and the random bytes of this package under the control of a test.

// `preserve` keeps the reference in the declarations, so that their users need not list it in `lib`.
/// <reference lib="esnext.disposable" preserve="true" />

import { replaceCore } from "../platform/core.js";
import { type Environment, environment } from "../platform/env.js";

/** A clock that a test controls. */
export interface FakeClock {
  /** The current time, in ms since 1970. */
  readonly now: number;
  /**
   * Number of pending timers. Timers of 30 minutes and more are not counted: clients use them to watch spans that stay open (see
   * `maxIdAgeMs`).
   */
  readonly timers: number;
  /** Advances the clock, and runs each timer that becomes due. */
  advance(ms: number): Promise<void>;
  /** Stops the clock, as a Worker's clock stops between I/O. Until then each read advances it by 1 ms. */
  freeze(): void;
  /** Restores the platform's clock. */
  restore(): void;
  /** Lets `using` restore it at the end of the block. */
  [Symbol.dispose](): void;
}

/** The smallest possible half of `maxIdAgeMs`. */
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

/** A replacement that can be undone. */
export interface Restorable {
  /** Restores the platform's own. */
  restore(): void;
  /** Lets `using` restore it at the end of the block. */
  [Symbol.dispose](): void;
}

/**
 * Makes ids the same in every run with the same seed, provided that the clock is the same too. For tests only.
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
    // mulberry32: short, and good enough for ids that only have to differ.
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return (bits ^ (bits >>> 14)) & 0xff;
  };
  const restore = replace({ randomBytes: (length) => Uint8Array.from({ length }, next) });
  return { restore, [Symbol.dispose]: restore };
}

/** Replaces part of the environment, and the core, which remembers the last time and keeps random bytes. */
function replace(part: Partial<Environment>): () => void {
  const before = { ...environment };
  Object.assign(environment, part);
  replaceCore();
  return () => {
    for (const name of Object.keys(part) as (keyof Environment)[]) Object.assign(environment, { [name]: before[name] });
    replaceCore();
  };
}

/** Lets pending promises continue, and platform work such as compression. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}
