// A source of existing uploads, which a relay, a queue or a flush has taken.

import type { Source } from "./model.js";
import type { Dropped } from "./report.js";
import type { Upload } from "./upload.js";

/** A source that takes its uploads out of `uploads`, in order. */
export function sourceOf(uploads: Upload[], takeDropped: () => Dropped = () => ({})): Source {
  return {
    take: (isEarly) => (isEarly ? undefined : uploads.shift()),
    mark: () => () => rowsOf(uploads),
    takeDropped,
  };
}

/** The number of rows in `uploads`. */
export function rowsOf(uploads: readonly Upload[]): number {
  return uploads.reduce((sum, { rows }) => sum + rows, 0);
}
