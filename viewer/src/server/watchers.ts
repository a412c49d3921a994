// Waiting for something to become true, without looking at a clock: a condition is looked at again whenever
// something has happened.

/** Waiting callers. */
export class Watchers {
  readonly #checks = new Set<() => void>();

  /** Something has happened. */
  notify(): void {
    for (const check of [...this.#checks]) check();
  }

  /** Resolves as soon as `condition` holds; rejects after `timeoutMs` with what `describe` says then. */
  until(condition: () => boolean, describe: () => string, timeoutMs = 120_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        clearTimeout(timer);
        this.#checks.delete(check);
        settle();
      };
      const check = () => condition() && done(resolve);
      const timer = setTimeout(() => done(() => reject(new Error(`waited in vain: ${describe()}`))), timeoutMs);
      this.#checks.add(check);
      check();
    });
  }
}
