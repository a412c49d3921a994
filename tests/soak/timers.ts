// Counts the timers that were set and have neither run nor been cleared. Leaves out the timer by which a client checks
// twice a day for spans open too long. Import this before the package, which reads the timer functions once.

const TOO_LONG_MS = 30 * 60 * 1000;

const { setTimeout, clearTimeout } = globalThis;
const open = new Set<unknown>();

/** Timers that are set. */
export const timers: ReadonlySet<unknown> = open;

Object.assign(globalThis, {
  setTimeout: (run: () => void, ms?: number) => {
    const timer = setTimeout(() => {
      open.delete(timer);
      run();
    }, ms);
    if ((ms ?? 0) < TOO_LONG_MS) open.add(timer);
    return timer;
  },
  clearTimeout: (timer: never) => {
    open.delete(timer);
    clearTimeout(timer);
  },
});
