// The result of a run of the bench.

import type { BundleSize } from "./bundle-sizes.js";
import type { Entry } from "./contenders.js";
import type { Measured } from "./gate.js";
import type { Memory } from "./memory.js";
import type { Models } from "./models.js";
import type { Race } from "./race.js";
import type { Measurement, Spread } from "./rounds.js";
import type { Scaling } from "./scaling.js";

/** The result of a runtime. */
export interface RuntimeResults extends Race {
  readonly name: string;
  readonly version: string;
  readonly cold: readonly Measurement[];
  readonly models: Models;
}

/** Everything. */
export interface Results {
  readonly runtimes: readonly RuntimeResults[];
  readonly sizes: readonly BundleSize[];
  readonly memory: readonly Memory[];
  readonly scaling: Scaling;
  /** Of the package, by what `scripts/size` calls them. */
  readonly bytes: Measured;
  readonly toolchain: string;
  readonly baseline: Measured | undefined;
}

/** A peer beside which this package is not ahead. */
export interface Behind {
  readonly measurement: Measurement;
  readonly peer: Entry;
  /** CPU time of this package as a multiple of the peer's, as far as it was measured: in callbacks, by hand, without gzip. */
  readonly times: ReadonlyMap<Entry, Spread>;
}
