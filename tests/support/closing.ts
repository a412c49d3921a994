// Cleans up at the end of a suite.

/** Something to close, or a folder to remove. */
type Opened = { close(): unknown } | { remove(): unknown };

/**
 * Closes everything in turn, even if closing some of it fails. When a suite's set-up has failed, some arguments are
 * `undefined`; the suite would hang if the others stayed open.
 */
export async function closeAll(...opened: readonly (Opened | undefined)[]): Promise<void> {
  const failed: unknown[] = [];
  for (const one of opened) {
    try {
      if (one) await ("close" in one ? one.close() : one.remove());
    } catch (error) {
      failed.push(error);
    }
  }
  if (failed.length > 0) throw new AggregateError(failed, failed.map(String).join("\n"));
}
