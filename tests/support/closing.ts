// What a suite closes at its end.

/** Something that has to be closed, or a folder that has to be removed. */
type Opened = { close(): unknown } | { remove(): unknown };

/**
 * Closes all of it, one after the other, whatever becomes of the others. A suite whose set-up has failed has only some of it, and would
 * not end without.
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
