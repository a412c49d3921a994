// From the server that renders a page to the page: a span's context as meta elements or as a header, since a page can not
// read the headers it came with.

import { isBrowser } from "../platform/env.js";
import { type HeaderCarrier, NAMES } from "../record/headers.js";
import type { Span } from "../record/model.js";

/** The two names: those headers that are element and metric names too. */
const [, , TRACE, PARENT] = NAMES as [string, string, string, string];

/** `<meta>` elements for the page's head; "" when there is nothing to hand on, as where tracing is off. */
export function contextMeta(span: Span | undefined): string {
  return pairsOf(span)
    .map(([name, value]) => `<meta name="${name}" content="${value}">`)
    .join("");
}

/** The value of a `Server-Timing` header (W3C Server Timing); "" when there is nothing to hand on. */
export function contextServerTiming(span: Span | undefined): string {
  return pairsOf(span)
    .map(([name, value]) => `${name};desc="${value}"`)
    .join(", ");
}

/**
 * In a page: the context that the server has handed over, to be the `parent` of what belongs to the page's loading;
 * `undefined` where there is none.
 */
export function serverContext(): HeaderCarrier | undefined {
  if (!isBrowser()) return undefined;
  const ids = found(fromMeta) ?? found(fromServerTiming);
  return ids && { [TRACE]: ids[0], [PARENT]: ids[1] };
}

/** What `read` finds; nothing where an element that is called `querySelector` stands in place of the function, say. */
function found(read: () => Ids | undefined): Ids | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function pairsOf(span: Span | undefined): [name: string, value: string][] {
  return Object.entries(span?.headers({ spelling: "hyphen" }) ?? {});
}

/** How the page was loaded (W3C Server Timing). */
interface Navigation {
  readonly serverTiming?: readonly { readonly name: string; readonly description: string }[];
}

type Ids = readonly [trace: string, parent: string];

function fromMeta(): Ids | undefined {
  const { document } = globalThis as { document?: Document };
  const read = (name: string): string => document?.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
  return both(read(TRACE), read(PARENT));
}

function fromServerTiming(): Ids | undefined {
  const { performance } = globalThis as { performance?: { getEntriesByType(type: string): readonly Navigation[] } };
  const [navigation] = performance?.getEntriesByType("navigation") ?? [];
  const read = (wanted: string): string =>
    navigation?.serverTiming?.find(({ name }) => name === wanted)?.description ?? "";
  return both(read(TRACE), read(PARENT));
}

function both(trace: string, parent: string): Ids | undefined {
  return trace && parent ? [trace, parent] : undefined;
}
