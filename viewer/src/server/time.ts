// Reads the times of rows: RFC 3339, down to microseconds.

/** ms since 1970, with the fraction that `Date` leaves out; `undefined` for none. */
export function msOf(text: unknown): number | undefined {
  if (typeof text !== "string") return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return undefined;
  const fraction = /\.\d{3}(\d+)/.exec(text)?.[1];
  return fraction ? ms + Number(`0.${fraction}`) : ms;
}
