// Tables of cases: a column is a set of named values, a row names one of each. Rows are data that a test hands to a program,
// which looks its values up.

/** The values of a column by name; the first is the one that is meant where nothing else is said. */
export type Column = readonly string[];
/** Columns by name. */
export type Columns = Readonly<Record<string, Column>>;
/** A case: the name of a value for each column. */
export type Row = Readonly<Record<string, string>>;

/** Thrown by a program where its platform has no such thing: the case is counted as not there, with this reason. */
export class Lacks extends Error {}

/** What a row is called: the values that are not the usual ones. */
export function nameOf(row: Row, columns: Columns): string {
  const said = Object.keys(columns).filter((column) => row[column] !== columns[column]![0]);
  return said.map((column) => `${column}: ${row[column]}`).join(", ") || "as usual";
}

/** The row where nothing is said but `values`. */
export function usual(columns: Columns, values: Row = {}): Row {
  const row = Object.fromEntries(Object.entries(columns).map(([column, [first]]) => [column, first!]));
  return { ...row, ...values };
}

/** A sequence of numbers in [0, 1) that is the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every combination of the values of `columns`; of other columns the usual one of `all`. */
export function product(all: Columns, columns: Columns): Row[] {
  let rows: Row[] = [usual(all)];
  for (const [column, values] of Object.entries(columns)) {
    rows = rows.flatMap((row) => values.map((value) => ({ ...row, [column]: value })));
  }
  return rows;
}

/** `count` rows of any values. */
export function anyRows(columns: Columns, seed: number, count: number): Row[] {
  const next = random(seed);
  return Array.from({ length: count }, () =>
    Object.fromEntries(Object.entries(columns).map(([column, values]) => [column, pick(values, next)])),
  );
}

/** Rows tried for each that is taken. */
const CANDIDATES = 24;

/** What can not be one of many things in a row. */
export interface Rules {
  /** A row that must fail before the rest of it matters. */
  readonly clashes?: (row: Row) => boolean;
  /** A row whose outcome is up to who is faster. */
  readonly races?: (row: Row) => boolean;
}

const never = (): boolean => false;

/**
 * Rows in which each value meets each value of every other column at least once. A pair that clashes
 * has a row of its own, usual in all else; one that races has none.
 *
 * Greedy, as in AETG (Cohen et al., 1997). The packages for this (covertable, pict-node) want the rules in a language of their
 * own; this is shorter than their use.
 */
export function pairs(columns: Columns, seed: number, { clashes = never, races = never }: Rules = {}): Row[] {
  const next = random(seed);
  const names = Object.keys(columns);
  const rows: Row[] = [];
  const open = new Set<string>();
  const key = (a: number, x: string, b: number, y: string): string => `${a}\0${x}\0${b}\0${y}`;
  names.forEach((first, a) => {
    for (const second of names.slice(a + 1)) {
      for (const pair of product({}, { [first]: columns[first]!, [second]: columns[second]! })) {
        const row = usual(columns, pair);
        if (races(row)) continue;
        if (clashes(row)) rows.push(row);
        else open.add(key(a, row[first]!, names.indexOf(second), row[second]!));
      }
    }
  });
  const covered = (row: Row): string[] => {
    const found: string[] = [];
    for (let a = 0; a < names.length; a += 1) {
      for (let b = a + 1; b < names.length; b += 1) {
        const pair = key(a, row[names[a]!]!, b, row[names[b]!]!);
        if (open.has(pair)) found.push(pair);
      }
    }
    return found;
  };
  while (open.size > 0) {
    let best: { row: Row; pairs: string[] } | undefined;
    const [pair] = open;
    const [a, x, b, y] = pair!.split("\0");
    for (let tried = 0; tried < CANDIDATES; tried += 1) {
      let row = usual(columns, { [names[Number(a)]!]: x!, [names[Number(b)]!]: y! });
      // In any order, so that not always the same columns give way.
      for (const name of shuffled(names, next)) {
        if (name === names[Number(a)] || name === names[Number(b)]) continue;
        const changed = { ...row, [name]: pick(columns[name]!, next) };
        if (!clashes(changed) && !races(changed)) row = changed;
      }
      const found = covered(row);
      if (!best || found.length > best.pairs.length) best = { row, pairs: found };
    }
    rows.push(best!.row);
    for (const found of best!.pairs) open.delete(found);
  }
  return rows;
}

function pick<T>(values: readonly T[], next: () => number): T {
  return values[Math.floor(next() * values.length)]!;
}

function shuffled<T>(values: readonly T[], next: () => number): T[] {
  return values
    .map((value) => ({ value, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
