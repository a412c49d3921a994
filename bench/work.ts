// The host's own work, which every contender's request waits for in the same way.

import type { Work } from "./shapes.js";

/** What `work` comes to. */
export async function done(work: Work): Promise<object> {
  return work.output;
}
