// A database file for a case, in Node. It is removed when the host has ended.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Calls `use` with the path of a new file. */
export async function withDatabase<T>(use: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "opik-edge-clients-"));
  try {
    return await use(join(folder, "test.db"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
