// Uploads that are there already, as a source of what a delivery sends: a relay's, a queue's, what a flush has taken.

import type { Source } from "./model.js";
import type { Dropped } from "./report.js";
import type { Upload } from "./upload.js";

/** A source that gives `uploads`, the first one first, and takes them out of there. */
export function sourceOf(uploads: Upload[], takeDropped: () => Dropped = () => ({})): Source {
  return {
    take: (isEarly) => (isEarly ? undefined : uploads.shift()),
    mark: () => () => rowsOf(uploads),
    takeDropped,
  };
}

/** How many rows they have. */
export function rowsOf(uploads: readonly Upload[]): number {
  return uploads.reduce((sum, { rows }) => sum + rows, 0);
}
