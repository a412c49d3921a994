// Random attacks, the same in each run. A failure names the seed of its case.

/** Numbers from 0 to below 1, and choices made with them. */
export interface Random {
  (): number;
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  /** One of `items`. */
  of<T>(items: ArrayLike<T>): T;
  /** `true` in `share` of a hundred calls, on average. */
  percent(share: number): boolean;
}

/** The numbers of a seed, by mulberry32. */
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

/** The number of generated cases of each kind. */
export const CASES = 300;
