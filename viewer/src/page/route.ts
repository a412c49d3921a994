// Where in the page one is: behind the #, so that a link leads there again.

/** A place: its name and the texts that belong to it. */
export interface Route {
  readonly view: string;
  readonly parts: readonly string[];
}

/** The link to a place, whose parts are encoded already. */
export function hrefOf(place: string): string {
  return `#/${place}`;
}

/** The link to a trace's thread. A long name is replaced by the trace's id. */
export function hrefOfThread({ id, thread }: { readonly id: string; readonly thread: string | null }): string {
  const isShort = thread !== null && thread.length <= 200 && thread.isWellFormed();
  return hrefOf(isShort ? `thread/${encodeURIComponent(thread)}` : `thread-of/${id}`);
}

/** The place that a link's hash names. */
export function routeOf(hash: string): Route {
  const [view = "", ...parts] = hash.replace(/^#\/?/, "").split("/");
  return { view, parts: parts.map(decoded) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
