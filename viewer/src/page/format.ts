// Values → the texts that stand for them.

const COUNT = new Intl.NumberFormat("en");

/** 1234 → 1,234. */
export function count(value: number): string {
  return COUNT.format(value);
}

/** A duration. Fractions of a ms are shown where the clock has them. */
export function duration(ms: number): string {
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${Math.max(1, Math.round(ms * 1000))} µs`;
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** An offset on a ruler whose steps are `step`. */
export function offset(ms: number, step: number): string {
  if (ms === 0) return "0 ms";
  if (step >= 60_000) return duration(ms);
  if (ms >= 1000 && step >= 10) return `${Number((ms / 1000).toFixed(2))} s`;
  return step >= 1 ? `${count(Math.round(ms))} ms` : `${Number((ms * 1000).toFixed(1))} µs`;
}

/** USD. */
export function cost(value: number): string {
  return `$${value >= 0.01 ? value.toFixed(2) : Number(value.toPrecision(2))}`;
}

const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** The time of today, or the date and time of another day. */
export function time(ms: number, nowMs: number): string {
  return new Date(ms).toDateString() === new Date(nowMs).toDateString() ? TIME.format(ms) : DATE.format(ms);
}

/**
 * A text as it is shown in one line: what would turn it around or end the line becomes a sign, and so does half of a
 * character.
 */
export function line(text: string, most = 300): string {
  const shown = text
    .slice(0, most)
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "�");
  return text.length > most ? `${shown}…` : shown;
}
