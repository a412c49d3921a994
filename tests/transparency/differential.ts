// Compares the observations of each case without tracing and with it. A difference is a failure, named by runtime, case
// and aspect, unless known.ts (to be fixed) or accepted.ts (cannot be fixed) lists it. Prints the number of each.
// Platforms are not fully deterministic, so a difference counts only if it occurs twice.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../support/worker.js";
import { ACCEPTED } from "./accepted.js";
import { KNOWN } from "./known.js";
import { type Columns, nameOf, type Row } from "./table.js";

/** Selects cases that differ in one aspect. */
export interface Listed {
  /** The suite; every suite by default. */
  readonly suite?: string;
  /** The path of the differing member, such as `response.status`. It may be nested in other members. */
  readonly aspect: string;
  /** Selects cases by the values of columns; all by default. In known.ts every selected case must differ. */
  readonly where?: Row;
  /** The runtimes; all by default. `workerd` includes all its variants. */
  readonly runtimes?: readonly string[];
}

/** An accepted difference and its reason. Some of its cases may be equal. */
export interface Accepted extends Listed {
  readonly reason: string;
}

/** The observations of a case in one runtime on both sides. A side is `{ lacks }` if the platform lacks the feature. */
export interface Compared {
  readonly row: Row;
  readonly plain: unknown;
  readonly traced: unknown;
}

/** A member that differs between the sides. */
export interface Difference {
  readonly row: Row;
  readonly aspect: string;
  readonly plain: unknown;
  readonly traced: unknown;
}

/** The result of a suite in a runtime. */
interface Outcome {
  readonly runtime: string;
  readonly cases: number;
  readonly equal: number;
  readonly accepted: number;
  readonly known: number;
  /** Number of cases that differed at first but not when repeated. */
  readonly once: number;
  /** Number of cases that were not run, by missing feature. */
  readonly notThere: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Compares the cases of one suite, runtime by runtime. */
export class Suite {
  readonly #outcomes: Outcome[] = [];
  readonly #used = new Set<Accepted>();

  /** `columns` name the cases. If `isSample` is set, rows of known.ts may select no case. */
  constructor(
    readonly name: string,
    readonly columns: Columns,
    readonly isSample = false,
  ) {}

  /** Fails on differences that neither list has, and on rows of known.ts whose cases are equal. `again` repeats some of the cases. */
  async compare(
    runtime: string,
    cases: readonly Compared[],
    seconds: number,
    again?: (rows: readonly Row[]) => Promise<readonly Compared[]>,
  ): Promise<void> {
    const notThere: Record<string, number> = {};
    const there = cases.filter(({ plain, traced }) => {
      const reason = lackOf(plain) ?? lackOf(traced);
      if (reason !== undefined) notThere[reason] = (notThere[reason] ?? 0) + 1;
      return reason === undefined;
    });
    const differences = there.map((compared) => differencesOf(compared));
    await this.#write(runtime, differences.flat(), there);

    const concerns = (listed: Listed): boolean => (listed.suite ?? this.name) === this.name && isRunIn(listed, runtime);
    const accepted = ACCEPTED.filter(concerns);
    const known = KNOWN.filter(concerns);
    const problems: string[] = [];
    const found: Difference[] = [];
    const counts = { equal: 0, accepted: 0, known: 0, once: 0 };
    for (const ofCase of differences) {
      const kinds = ofCase.map((difference) => {
        const row = accepted.find((listed) => isListed(listed, difference));
        if (row) this.#used.add(row);
        if (row) return "accepted";
        if (known.some((listed) => isListed(listed, difference))) return "known";
        found.push(difference);
        return "new";
      });
      const worst = ["new", "known", "accepted"].find((kind) => kinds.includes(kind as never)) ?? "equal";
      if (worst !== "new") counts[worst as keyof typeof counts] += 1;
    }
    if (!this.isSample) problems.push(...known.flatMap((listed) => stale(listed, there, differences)));
    const lasting = again && found.length > 0 ? await repeated(found, again) : found;
    counts.once = new Set(found.map(({ row }) => row)).size - new Set(lasting.map(({ row }) => row)).size;
    this.#outcomes.push({ runtime, cases: cases.length, ...counts, notThere, seconds });
    problems.push(...this.#described(lasting));
    assert.equal(problems.length, 0, `${problems.length} kinds of problems in ${runtime}:\n\n${problems.join("\n\n")}`);
  }

  /** For each aspect, the number of differing cases and the first of them. */
  #described(found: readonly Difference[]): string[] {
    const aspects = new Map<string, Difference[]>();
    for (const difference of found) {
      const { aspect } = difference;
      aspects.set(aspect, [...(aspects.get(aspect) ?? []), difference]);
    }
    return [...aspects].map(([aspect, all]) => {
      const [{ row, plain, traced }] = all as [Difference];
      return `${aspect} differs in ${all.length}, first ${nameOf(row, this.columns)}\n  plain  ${brief(plain)}\n  traced ${brief(traced)}`;
    });
  }

  /** Writes all differences to target/transparency, because they are too long for a log. */
  async #write(runtime: string, differences: Difference[], there: readonly Compared[]): Promise<void> {
    const folder = join(ROOT, "target/transparency/report");
    await mkdir(folder, { recursive: true });
    const file = `${this.name}, ${runtime}.json`.replaceAll("/", "-");
    const rows = there.map(({ row }) => row);
    await writeFile(join(folder, file), JSON.stringify({ suite: this.name, runtime, rows, differences }, null, 1));
  }

  /** One line per runtime, then the number of rows in accepted.ts and known.ts. */
  report(): string {
    const lines = this.#outcomes.map(({ runtime, cases, equal, accepted, known, once, notThere, seconds }) => {
      const missing = Object.values(notThere).reduce((sum, count) => sum + count, 0);
      const counts = [
        `${cases} cases`,
        `${equal} equal`,
        `${accepted} accepted`,
        `${known} known`,
        `${missing} not there`,
        ...(once > 0 ? [`${once} different once`] : []),
      ];
      const reasons = Object.entries(notThere).map(([reason, count]) => `${reason}: ${count}`);
      return `${this.name} in ${runtime}: ${counts.join(", ")}, ${seconds.toFixed(1)} s${reasons.length > 0 ? ` (${reasons.join(", ")})` : ""}`;
    });
    const mine = ACCEPTED.filter(({ suite = this.name }) => suite === this.name);
    lines.push(
      `${this.name}: ${mine.length} rows of accepted.ts, ${KNOWN.filter(({ suite = this.name }) => suite === this.name).length} of known.ts`,
    );
    return lines.join("\n");
  }

  /** Rows of accepted.ts that matched no difference in any runtime. */
  unused(): Accepted[] {
    return ACCEPTED.filter((row) => row.suite === this.name && !this.#used.has(row));
  }
}

/** `true` if a row applies to this runtime. */
export function isRunIn({ runtimes }: Listed, runtime: string): boolean {
  return runtimes?.some((name) => name === runtime || runtime.startsWith(`${name},`)) ?? true;
}

/** The differences that occur again when their cases are repeated. */
async function repeated(
  found: readonly Difference[],
  again: (rows: readonly Row[]) => Promise<readonly Compared[]>,
): Promise<Difference[]> {
  const rows = [...new Set(found.map(({ row }) => row))];
  const compared = await again(rows);
  const aspects = new Map(
    compared.map((one, index) => [rows[index], differencesOf(one).map(({ aspect }) => aspect)] as const),
  );
  return found.filter(({ row, aspect }) => aspects.get(row)?.includes(aspect));
}

function lackOf(observed: unknown): string | undefined {
  return (observed as { lacks?: string } | undefined)?.lacks;
}

function isListed({ aspect, where = {} }: Listed, difference: Difference): boolean {
  return isOf(aspect, difference) && matches(where, difference.row);
}

/** `true` if a difference belongs to this aspect, possibly within a nested response. */
function isOf(aspect: string, difference: Difference): boolean {
  return `.${difference.aspect}`.endsWith(`.${aspect}`) || difference.aspect.startsWith(`${aspect}.`);
}

const matches = (where: Row, row: Row): boolean =>
  Object.entries(where).every(([column, value]) => row[column] === value);

/** Problems of a row of known.ts: it selects no case, or selects a case that is equal now. */
function stale(listed: Listed, there: readonly Compared[], differences: readonly Difference[][]): string[] {
  const { aspect, where = {} } = listed;
  let found = 0;
  const equal = there.filter(({ row }, index) => {
    if (!matches(where, row)) return false;
    found += 1;
    return !differences[index]!.some((difference) => isOf(aspect, difference));
  });
  const row = `known.ts: ${JSON.stringify(listed)}`;
  if (found === 0) return [`${row} is of no case`];
  return equal.length > 0
    ? [`${row} is equal now in ${equal.length} of ${found}: ${JSON.stringify(equal[0]!.row)}`]
    : [];
}

/** The differences of a case, by aspect. */
export function differencesOf({ row, plain, traced }: Compared): Difference[] {
  const found: Difference[] = [];
  const look = (one: unknown, other: unknown, path: string[]): void => {
    if (canonical(one) === canonical(other)) return;
    const isDeep = path.length > 1 && path.at(-1) !== "response";
    if (!isDeep && path[0] !== "outcome" && isRecord(one) && isRecord(other)) {
      for (const key of new Set([...Object.keys(one), ...Object.keys(other)]))
        look(one[key], other[key], [...path, key]);
    } else {
      found.push({ row, aspect: path.join("."), plain: one, traced: other });
    }
  };
  const [one, other] = [withoutChanging(plain), withoutChanging(traced)] as [Observation, Observation];
  if (one.outcome === other.outcome) {
    look(one, other, []);
  } else {
    // With different outcomes, the other members are not comparable.
    look({ outcome: one }, { outcome: other }, []);
    look({ requests: one.requests }, { requests: other.requests }, []);
  }
  return found;
}

/** The observation of a case. Every other member is a separate aspect. */
interface Observation {
  readonly outcome?: string;
  readonly requests?: unknown;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Text that changes in every run: the paths of the sides and their parameter for service workers, blob URLs, client ports and form
 * boundaries.
 */
const CHANGING: readonly (readonly [RegExp, string])[] = [
  [/\b(plain|traced)\/(?=\d)/g, "side/"],
  [/&traced=[01]/g, ""],
  [/blob:[^"\\ ]+/g, "blob:"],
  // Chromium starts its error for invalid JSON with the method that was running.
  [/Failed to execute '(json|close)' on '\w+': /g, ""],
  [/from 127\.0\.0\.1:\d+/g, "from 127.0.0.1"],
  [/boundary=[^"\\;]+/g, "boundary="],
];

function withoutChanging(observed: unknown): unknown {
  const text = JSON.stringify(observed) ?? "null";
  return JSON.parse(CHANGING.reduce((changed, [pattern, word]) => changed.replaceAll(pattern, word), text));
}

/** Serializes a value with its members sorted, so that equal values give equal text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}
