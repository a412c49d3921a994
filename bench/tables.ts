// Figures as Markdown.

import type { Spread } from "./rounds.js";

/** Rows of cells as a table; all but the first column are numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, column) => (column === 0 ? "---" : "--:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A median, and where four fifths lie. */
export function shown({ median, p10, p90 }: Spread, digits?: number): string {
  return `**${short(median, digits)}** (${short(p10, digits)}–${short(p90, digits)})`;
}

/** Three digits or more, unless it is said how many after the point. */
export function short(
  value: number,
  digits: number = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2,
): string {
  return digits === 0 ? Math.round(value).toLocaleString("en") : value.toFixed(digits);
}
