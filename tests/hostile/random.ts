// Chance that is the same in each run: what an attack is generated from.

/** A source of numbers that depends on nothing but its seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to below `end` (mulberry32). */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  /** One of them. */
  of<T>(values: ArrayLike<T>): T {
    return values[this.below(values.length)]!;
  }

  /** Whether something that happens so often in a hundred times happens now. */
  percent(share: number): boolean {
    return this.below(100) < share;
  }
}
