// Figures as Markdown.

import type { Quiet } from "./race.js";
import type { Figure, Spread } from "./rounds.js";

/** Rows of cells as a table; all but the first column are numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, column) => (column === 0 ? "---" : "--:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Times and ratios of contenders. */
export function figureTable(figures: readonly Figure[]): string {
  return table(
    ["", "× the floor", "CPU, µs", "wall, µs", "requests", "bytes"],
    figures.map(({ entry, ratio, cpu, wall, requests, bytes }) => [
      entry.name,
      shown(ratio, 2),
      shown(cpu),
      shown(wall),
      requests.toFixed(0),
      bytes.toFixed(0),
    ]),
  );
}

/** Requests that are not recorded. */
export function quietTable(quiet: readonly Quiet[]): string {
  return table(
    ["", "µs more than no tracing"],
    quiet.map(({ name, beyond }) => [name, shown(beyond, 2)]),
  );
}

/** A median, and where four fifths lie. */
export function shown({ median, p10, p90 }: Spread, digits?: number): string {
  return `**${short(median, digits)}** (${short(p10, digits)}–${short(p90, digits)})`;
}

/** Three digits, unless it is said how many after the point. */
export function short(value: number, digits: number = value >= 100 ? 0 : value >= 10 ? 1 : 2): string {
  return value.toFixed(digits);
}
