// Counts the timers that are set and neither ran nor were cleared, but for the one by which a client looks twice a day for what is open
// too long. To be imported before the package, which reads them once.

const TOO_LONG_MS = 30 * 60 * 1000;

const { setTimeout, clearTimeout } = globalThis;
const open = new Set<unknown>();

/** Those that are set. */
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
