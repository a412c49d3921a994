// Tables of cases. A column is a set of named values, and a row names one value of each. Rows are plain data, so that a
// test can pass them to a program, which looks the values up.

/** The names of a column's values. The first is the default. */
export type Column = readonly string[];
/** Columns by name. */
export type Columns = Readonly<Record<string, Column>>;
/** A case: the name of a value for each column. */
export type Row = Readonly<Record<string, string>>;

/** Thrown by a program if its platform lacks a feature. The case is counted as missing, with this reason. */
export class Lacks extends Error {}

/** Names a row by the values that differ from the defaults. */
export function nameOf(row: Row, columns: Columns): string {
  const said = Object.keys(columns).filter((column) => row[column] !== columns[column]![0]);
  return said.map((column) => `${column}: ${row[column]}`).join(", ") || "as usual";
}

/** A row with `values`, and defaults for the rest. */
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

/** Every combination of the values of `columns`, with the defaults of `all` for other columns. */
export function product(all: Columns, columns: Columns): Row[] {
  let rows: Row[] = [usual(all)];
  for (const [column, values] of Object.entries(columns)) {
    rows = rows.flatMap((row) => values.map((value) => ({ ...row, [column]: value })));
  }
  return rows;
}

/** `count` rows with random values. */
export function anyRows(columns: Columns, seed: number, count: number): Row[] {
  const next = random(seed);
  return Array.from({ length: count }, () =>
    Object.fromEntries(Object.entries(columns).map(([column, values]) => [column, pick(values, next)])),
  );
}

/** Number of random rows to choose each row from. */
const CANDIDATES = 24;

/** Combinations that need special treatment. */
export interface Rules {
  /** `true` for a row that must fail before the rest of it has an effect. */
  readonly clashes?: (row: Row) => boolean;
  /** `true` for a row whose outcome depends on timing. */
  readonly races?: (row: Row) => boolean;
}

const never = (): boolean => false;

/**
 * Rows in which each value meets each value of every other column at least once. A pair that clashes gets a separate row
 * with defaults; a pair that races is left out.
 *
 * Greedy, as in AETG (Cohen et al., 1997). Packages such as covertable and pict-node need the rules in their own
 * language, which takes more code than this.
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
      // In random order, so that the rules do not always change the same columns.
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
