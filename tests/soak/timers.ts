// Counts the timers that are set and neither ran nor were cleared. To be imported before the package, which reads them once.

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
    open.add(timer);
    return timer;
  },
  clearTimeout: (timer: never) => {
    open.delete(timer);
    clearTimeout(timer);
  },
});
