// Attacks that are made up at random, the same in each run: a failure names the seed of its case.

/** Numbers from 0 to below 1, and choices made with them. */
export interface Random {
  (): number;
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  /** One of `items`. */
  of<T>(items: ArrayLike<T>): T;
  /** Whether something that happens so often in a hundred times happens now. */
  percent(share: number): boolean;
}

/** The numbers of a seed: mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return Object.assign(next, {
    below,
    of: <T>(items: ArrayLike<T>): T => items[below(items.length)] as T,
    percent: (share: number): boolean => below(100) < share,
  });
}

/** How many cases of each kind are made up. */
export const CASES = 300;
